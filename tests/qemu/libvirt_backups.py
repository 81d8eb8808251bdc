# SPDX-License-Identifier: GPL-2.0-or-later
"""Backups of a guest by libvirt and virtnbdbackup on one build of QEMU; prints facts as JSON.

    unshare ... /usr/bin/python3 libvirt_backups.py BUILD FOLDER

test_libvirt.py starts it so, in namespaces of its own: whatever it starts ends with it. The
guest is paused from its first moment on; what it writes is written through its disk devices by
the monitor, and kept in a record beside, with which each backup is compared byte by byte.
"""

import filecmp
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import libvirt  # type: ignore[import-not-found]  # Debian's python3-libvirt
import libvirt_qemu  # type: ignore[import-not-found]
from qdb_tools import model, regions
from qdb_tools.model import Bitmap, Guest
from qdb_tools.process import run, wait_until

GRANULE = 64 << 10
SIZES = {"vda": 48 << 20, "vdb": (16 << 20) + (40 << 10)}
SESSION = "qemu:///session"
BUILD, FOLDER = Path(sys.argv[1]), Path(sys.argv[2])
XML = f"""
<domain type='kvm'><name>guest</name><memory unit='MiB'>32</memory>
  <os><type arch='x86_64'>hvm</type></os><features><acpi/></features>
  <devices><emulator>{BUILD}/qemu-system-x86_64</emulator>DISKS<memballoon model='none'/></devices>
</domain>"""
DISK = """<disk type='file' device='disk'><driver name='qemu' type='qcow2'/>
<source file='{0.image}'/><target dev='{0.name}' bus='virtio'/></disk>"""
facts: list[Any] = []  # what stock QEMU and the library must agree on, one after the other


def fact(value: Any) -> None:
    facts.append(json.loads(json.dumps(value).replace(str(FOLDER), "FOLDER")))


class Disk:
    """A disk of the guest: its image, and the independent record of what was written."""

    def __init__(self, number: int, name: str, size: int) -> None:
        self.name, self.size, self.image = name, size, FOLDER / f"{name}.qcow2"
        self.device = f"/machine/peripheral/virtio-disk{number}/virtio-backend"
        self.content, self.then = FOLDER / f"{name}.raw", FOLDER / f"{name}.then"
        self.since: dict[str, Bitmap] = {}  # what was written since each checkpoint
        self.guest = Guest(number)
        run(["qemu-img", "create", "-q", "-f", "qcow2", self.image, size])
        run(["truncate", "-s", size, self.content])

    def clusters(self, image: Path) -> list[tuple[int, int]]:
        """What is in an image itself, and not in those below it, as regions of granules."""
        found = Bitmap(self.size, GRANULE)
        for area in json.loads(run(["qemu-img", "map", "--output=json", image])):
            if area["depth"] == 0 and area["present"]:
                found.add(area["start"], area["start"] + area["length"])
        return found.regions()


def holds(image: Path, content: Path) -> None:
    said = run(["qemu-img", "compare", "-f", "qcow2", "-F", "raw", image, content])
    assert said == "Images are identical.\n", f"{image}: {said}"  # no word of their sizes


class Domain:
    """A paused domain with two disks, and the private libvirtd that runs it."""

    pushed: Path  # the folder of the last push backup

    def __init__(self) -> None:
        self.disks = [Disk(number, *item) for number, item in enumerate(SIZES.items())]
        self.start_libvirtd()
        self.connection.defineXML(XML.replace("DISKS", "".join(map(DISK.format, self.disks))))
        self.start()

    def start(self) -> None:
        self.domain.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED)

    def start_libvirtd(self) -> None:
        with (FOLDER / "libvirtd.log").open("a") as log:
            self.libvirtd = subprocess.Popen(["/usr/sbin/libvirtd"], stdout=log, stderr=log)
        wait_until("libvirtd listens", self.connect)

    def connect(self) -> bool:
        try:
            self.connection = libvirt.open(SESSION)
        except libvirt.libvirtError:
            return False
        return True

    def restart_libvirtd(self, how: signal.Signals) -> None:
        self.connection.close()
        self.libvirtd.send_signal(how)
        self.libvirtd.wait()
        self.start_libvirtd()

    @property
    def domain(self) -> libvirt.virDomain:
        return self.connection.lookupByName("guest")

    def stop(self) -> None:
        """QEMU ends in an orderly way, and stores the bitmaps."""
        self.domain.destroyFlags(libvirt.VIR_DOMAIN_DESTROY_GRACEFUL)

    def restart(self) -> None:
        self.stop()
        self.start()

    def guest_io(self, disk: Disk, line: str) -> None:
        hmp = libvirt_qemu.VIR_DOMAIN_QEMU_MONITOR_COMMAND_HMP
        line = f'qemu-io -d {disk.device} "{line}"'
        said = libvirt_qemu.qemuMonitorCommand(self.domain, line, hmp)
        assert not said.strip(), said

    def write(self, count: int) -> None:
        for disk in self.disks:
            writes = disk.guest.writes(count // 2, range(disk.size), others="")
            for write in writes:
                self.guest_io(disk, write.line)
            model.apply(writes, disk.content)
            for bitmap in disk.since.values():
                bitmap.record(writes)

    def remember(self) -> None:
        """What is on a disk now is in its `then`."""
        for disk in self.disks:
            run(["cp", "--sparse=always", disk.content, disk.then])

    def tell_bitmaps(self) -> None:
        """The bitmaps of each disk, as query-block lists them, are a fact."""
        query = '{"execute":"query-block"}'
        for b in json.loads(libvirt_qemu.qemuMonitorCommand(self.domain, query, 0))["return"]:
            bitmaps = b["inserted"].get("dirty-bitmaps", [])
            fact((b["qdev"], sorted(bitmaps, key=lambda bitmap: str(bitmap.get("name")))))

    def checkpoints(self) -> list[str]:
        return sorted(checkpoint.getName() for checkpoint in self.domain.listAllCheckpoints())

    def checkpoint(self, name: str) -> str:
        """The XML of one that is made now."""
        for disk in self.disks:
            disk.since[name] = Bitmap(disk.size, GRANULE)
        return f"<domaincheckpoint><name>{name}</name></domaincheckpoint>"

    def delete(self, name: str, flags: int = 0) -> None:
        self.domain.checkpointLookupByName(name).delete(flags)
        for disk in self.disks:
            disk.since.pop(name, None)

    def begin(self, mode: str, since: str, checkpoint: str = "") -> Path:
        """Begins a backup; returns its folder."""
        folder = Path(tempfile.mkdtemp(dir=FOLDER))
        incremental = f"<incremental>{since}</incremental>" if since else ""
        server = f"<server transport='unix' socket='{folder}/nbd'/>" if mode == "pull" else ""
        part, driver = ("target", "<driver type='qcow2'/>") if mode == "push" else ("scratch", "")
        disk = f"<disk name='NAME' type='file'><{part} file='{folder}/NAME'/>{driver}</disk>"
        disks = "".join(disk.replace("NAME", name) for name in SIZES)
        xml = f"{incremental}{server}<disks>{disks}</disks>"
        new = self.checkpoint(checkpoint) if checkpoint else None
        self.domain.backupBegin(f"<domainbackup mode='{mode}'>{xml}</domainbackup>", new)
        return folder

    def refused(self, attempt: Callable[..., Any], *arguments: Any) -> None:
        """An attempt that must fail; its words are a fact."""
        try:
            attempt(*arguments)
        except libvirt.libvirtError as error:
            fact(error.get_error_message())
        else:
            raise AssertionError("it did not fail")

    def no_job(self) -> bool:
        return bool(self.domain.jobStats()["type"] == libvirt.VIR_DOMAIN_JOB_NONE)

    def push(self, since: str, checkpoint: str = "") -> None:
        """A push backup: on those before it, from a full one on, it is what is in the record."""
        folder = self.begin("push", since, checkpoint)
        wait_until("the push backup ends", self.no_job)
        assert self.domain.jobStats(libvirt.VIR_DOMAIN_JOB_STATS_COMPLETED)["success"] == 1
        for disk in self.disks:
            image = folder / disk.name
            if since:
                rebase = "qemu-img rebase -u -f qcow2 -F qcow2 -b".split()
                run([*rebase, self.pushed / disk.name, image])
                assert disk.clusters(image) == disk.since[since].regions()
            holds(image, disk.content)
        self.pushed = folder

    def pull(self, since: str, checkpoint: str = "") -> None:
        """A pull backup, while the guest writes: what it offers is what was there before."""
        wanted = [disk.since[since].regions() for disk in self.disks]
        self.remember()
        socket = self.begin("pull", since, checkpoint) / "nbd"
        for disk, dirty in zip(self.disks, wanted):
            self.write(10)
            assert regions.by_nbdinfo(socket, disk.name, f"backup-{disk.name}") == dirty, disk.name
            # Read by libnbd: what is not dirty too.
            run(["nbdcopy", f"nbd+unix:///{disk.name}?socket={socket}", FOLDER / "read"])
            assert filecmp.cmp(FOLDER / "read", disk.then, shallow=False), disk.name
        self.domain.abortJob()
        wait_until("the pull backup ends", self.no_job)


def push_and_pull(guest: Domain) -> None:
    guest.write(60)
    guest.push("", "one")
    guest.write(40)
    guest.pull("one", "two")
    guest.write(40)
    guest.domain.checkpointCreateXML(guest.checkpoint("three"))
    guest.write(40)
    guest.tell_bitmaps()

    guest.delete("two")
    assert guest.checkpoints() == ["one", "three"], "two is gone from the middle"
    guest.tell_bitmaps()
    guest.refused(guest.begin, "pull", "two")
    guest.pull("one")
    guest.pull("three")
    guest.push("one", "four")

    guest.restart_libvirtd(signal.SIGTERM)
    assert guest.checkpoints() == ["four", "one", "three"]
    guest.write(40)
    guest.push("four", "five")
    guest.restart_libvirtd(signal.SIGKILL)
    guest.write(30)

    guest.restart()
    guest.tell_bitmaps()
    guest.write(30)
    guest.domain.save(f"{FOLDER}/saved")
    guest.connection.restoreFlags(f"{FOLDER}/saved", None, libvirt.VIR_DOMAIN_SAVE_PAUSED)
    # QEMU takes the images over when a restored guest runs: for a moment of the firmware, which
    # finds nothing to boot.
    guest.domain.resume()
    guest.domain.suspend()
    guest.tell_bitmaps()
    guest.write(30)
    guest.push("five", "six")
    guest.pull("one")


def killed(guest: Domain) -> None:
    """After kill -9, bitmaps are inconsistent: no increment comes of them, a new chain begins."""
    guest.restart()
    guest.write(20)
    guest.begin("pull", "six", "seven")
    guest.write(20)
    for disk in guest.disks:
        guest.guest_io(disk, "flush")
    pid = Path(os.environ["XDG_RUNTIME_DIR"]) / "libvirt/qemu/run/guest.pid"
    os.kill(int(pid.read_text()), signal.SIGKILL)
    wait_until("libvirt saw the end", lambda: not guest.domain.isActive())
    for disk in guest.disks:
        about = json.loads(run(["qemu-img", "info", "--output=json", disk.image]))
        fact(about["format-specific"]["data"]["bitmaps"])
    guest.start()
    guest.tell_bitmaps()
    guest.refused(guest.begin, "pull", "six")
    # The youngest was never stored; libvirt can only forget it.
    guest.refused(guest.delete, "seven")
    guest.delete("seven", libvirt.VIR_DOMAIN_CHECKPOINT_DELETE_METADATA_ONLY)
    for name in ("six", "five", "four", "three", "one"):
        guest.delete(name)
    assert guest.checkpoints() == []
    guest.tell_bitmaps()
    guest.push("", "eight")
    guest.write(30)
    guest.push("eight")
    guest.delete("eight")


def virtnbdbackup(guest: Domain) -> None:
    folder, restored = FOLDER / "virtnbdbackup", FOLDER / "restored"
    about = f"-U {SESSION} -d guest -n -o {folder} -S {FOLDER} -f {folder}.nbd"
    for number in range(4):
        run(["virtnbdbackup", *about.split(), "-l", "inc" if number else "full"])
        guest.tell_bitmaps()
        guest.remember()
        guest.write(40)
        if number == 1:
            guest.restart_libvirtd(signal.SIGTERM)
    restored.mkdir()
    run(["virtnbdrestore", *f"-U {SESSION} -i {folder} -o {restored} -a restore -n".split()])
    for disk in guest.disks:
        holds(restored / disk.image.name, disk.then)


def main() -> None:
    guest = Domain()
    for part in (push_and_pull, killed, virtnbdbackup):
        part(guest)
    guest.stop()
    for disk in guest.disks:
        holds(disk.image, disk.content)
        run(["qemu-img", "check", disk.image])
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
