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
from collections.abc import Callable
from pathlib import Path
from typing import Any

import libvirt  # type: ignore[import-not-found]  # Debian's python3-libvirt
import libvirt_qemu  # type: ignore[import-not-found]
from qdb_tools import regions
from qdb_tools.model import Bitmap, Content, Guest
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
facts: list[Any] = []  # what stock QEMU and the library must agree on, one after the other


def fact(value: Any) -> None:
    facts.append(json.loads(json.dumps(value).replace(str(FOLDER), "FOLDER")))


class Disk:
    """A disk of the guest: its image, and the independent record of what was written."""

    def __init__(self, number: int, name: str, size: int) -> None:
        self.name, self.size, self.image = name, size, FOLDER / f"{name}.qcow2"
        self.device = f"/machine/peripheral/virtio-disk{number}/virtio-backend"
        self.content = Content(FOLDER / f"{name}.raw", size)
        self.since: dict[str, Bitmap] = {}  # what was written since each checkpoint
        self.writer = Guest(number)
        run(["qemu-img", "create", "-q", "-f", "qcow2", self.image, size])

    def holds(self, image: Path, content: Path) -> None:
        """An image has this content, and this is a fact."""
        raw = FOLDER / "raw"
        run(["qemu-img", "convert", "-O", "raw", image, raw])
        assert filecmp.cmp(raw, content, shallow=False), f"{image}: not what was written"
        fact((image.name, raw.stat().st_size))

    def clusters(self, image: Path) -> list[tuple[int, int]]:
        """What is in an image itself, and not in those below it, as regions of granules."""
        found = Bitmap(self.size, GRANULE)
        for area in json.loads(run(["qemu-img", "map", "--output=json", image])):
            if area["depth"] == 0 and area["present"]:
                found.add(area["start"], area["start"] + area["length"])
        return found.regions()


class Domain:
    """A paused domain with two disks, and the private libvirtd that runs it."""

    def __init__(self) -> None:
        self.disks = [Disk(number, *item) for number, item in enumerate(SIZES.items())]
        self.start_libvirtd()
        disks = "".join(
            f"<disk type='file' device='disk'><driver name='qemu' type='qcow2'/>"
            f"<source file='{d.image}'/><target dev='{d.name}' bus='virtio'/></disk>"
            for d in self.disks
        )
        self.connection.defineXML(XML.replace("DISKS", disks))
        self.start()

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

    def start(self) -> None:
        self.domain.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED)

    def kill(self) -> None:
        pid = Path(os.environ["XDG_RUNTIME_DIR"]) / "libvirt/qemu/run/guest.pid"
        os.kill(int(pid.read_text()), signal.SIGKILL)
        wait_until("libvirt saw the end", lambda: not self.domain.isActive())

    def stop(self) -> None:
        """QEMU ends in an orderly way, and stores the bitmaps."""
        self.domain.destroyFlags(libvirt.VIR_DOMAIN_DESTROY_GRACEFUL)

    def guest_io(self, disk: Disk, line: str) -> None:
        hmp = libvirt_qemu.VIR_DOMAIN_QEMU_MONITOR_COMMAND_HMP
        line = f'qemu-io -d {disk.device} "{line}"'
        said = libvirt_qemu.qemuMonitorCommand(self.domain, line, hmp)
        assert not said.strip(), said

    def write(self, count: int) -> None:
        for disk in self.disks:
            writes = disk.writer.writes(count // 2, range(disk.size), zeroes=False)
            for write in writes:
                self.guest_io(disk, write.line)
            disk.content.apply(writes)
            for bitmap in disk.since.values():
                bitmap.record(writes)

    def tell_bitmaps(self) -> None:
        """The bitmaps of each disk, as query-block lists them, are a fact."""
        query = '{"execute":"query-block"}'
        for b in json.loads(libvirt_qemu.qemuMonitorCommand(self.domain, query, 0))["return"]:
            bitmaps = b["inserted"].get("dirty-bitmaps", [])
            fact((b["qdev"], sorted(bitmaps, key=lambda bitmap: str(bitmap.get("name")))))

    # Checkpoints and backups

    def checkpoints(self) -> list[str]:
        fact(sorted(checkpoint.getName() for checkpoint in self.domain.listAllCheckpoints()))
        return list(facts[-1])

    def checkpoint(self, name: str, create: bool = True) -> str:
        xml = f"<domaincheckpoint><name>{name}</name></domaincheckpoint>"
        if create:
            self.domain.checkpointCreateXML(xml)
        for disk in self.disks:
            disk.since[name] = Bitmap(disk.size, GRANULE)
        return xml

    def delete(self, name: str, flags: int = 0) -> None:
        self.domain.checkpointLookupByName(name).delete(flags)
        for disk in self.disks:
            disk.since.pop(name, None)

    def begin(self, mode: str, since: str, checkpoint: str, folder: Path) -> None:
        folder.mkdir()
        part, driver = ("target", "<driver type='qcow2'/>") if mode == "push" else ("scratch", "")
        disks = "".join(
            f"<disk name='{d.name}' backup='yes' type='file'>"
            f"<{part} file='{folder}/{d.name}'/>{driver}</disk>"
            for d in self.disks
        )
        incremental = f"<incremental>{since}</incremental>" if since else ""
        server = f"<server transport='unix' socket='{folder}/nbd'/>" if mode == "pull" else ""
        parts = f"{incremental}{server}<disks>{disks}</disks>"
        backup = f"<domainbackup mode='{mode}'>{parts}</domainbackup>"
        new = self.checkpoint(checkpoint, create=False) if checkpoint else None
        self.domain.backupBegin(backup, new)

    def refused(self, attempt: Callable[[], None]) -> None:
        """An attempt that must fail; its words are a fact."""
        try:
            attempt()
        except libvirt.libvirtError as error:
            fact(error.get_error_message())
        else:
            raise AssertionError("it did not fail")

    def no_job(self) -> bool:
        return bool(self.domain.jobStats()["type"] == libvirt.VIR_DOMAIN_JOB_NONE)

    def push(self, since: str, checkpoint: str = "") -> Path:
        """A push backup; returns the folder of the targets."""
        folder = FOLDER / f"push-{len(facts)}"
        self.begin("push", since, checkpoint, folder)
        wait_until("the push backup ends", self.no_job)
        fact(self.domain.jobStats(libvirt.VIR_DOMAIN_JOB_STATS_COMPLETED)["success"])
        assert facts[-1] == 1
        return folder

    def pull(self, since: str, checkpoint: str = "") -> None:
        """A pull backup, while the guest writes: what it offers is what was there before."""
        folder = FOLDER / f"pull-{len(facts)}"
        wanted = [disk.since[since].regions() for disk in self.disks]
        then = [disk.content.copy(FOLDER / f"{disk.name}.then") for disk in self.disks]
        self.begin("pull", since, checkpoint, folder)
        for disk, dirty, content in zip(self.disks, wanted, then):
            self.write(10)
            fact(regions.by_nbdinfo(folder / "nbd", disk.name, f"backup-{disk.name}"))
            assert facts[-1] == [list(region) for region in dirty], disk.name
            # Read by libnbd: what is not dirty too.
            run(["nbdcopy", f"nbd+unix:///{disk.name}?socket={folder}/nbd", FOLDER / "read"])
            assert filecmp.cmp(FOLDER / "read", content, shallow=False), disk.name
        self.domain.abortJob()
        wait_until("the pull backup ends", self.no_job)

    def is_chain(self, full: Path, *increments: Path) -> None:
        """A full push backup and the increments on it are what is in the record."""
        rebase = "qemu-img rebase -u -f qcow2 -F qcow2 -b".split()
        for disk in self.disks:
            for below, above in zip([full, *increments], increments):
                run([*rebase, below / disk.name, above / disk.name])
            disk.holds([full, *increments][-1] / disk.name, disk.content.file)


def push_and_pull(guest: Domain) -> None:
    guest.write(60)
    full = guest.push("", "one")
    guest.is_chain(full)
    guest.write(40)
    guest.pull("one", "two")
    guest.write(40)
    guest.checkpoint("three")
    guest.write(40)
    guest.tell_bitmaps()

    guest.delete("two")
    assert guest.checkpoints() == ["one", "three"], "two is gone from the middle"
    guest.tell_bitmaps()
    guest.refused(lambda: guest.begin("pull", "two", "", FOLDER / "no"))
    guest.pull("one")
    guest.pull("three")

    first = guest.push("one", "four")
    guest.is_chain(full, first)
    for disk in guest.disks:
        fact(disk.clusters(first / disk.name))
        assert disk.clusters(first / disk.name) == disk.since["one"].regions()

    guest.restart_libvirtd(signal.SIGTERM)
    assert guest.checkpoints() == ["four", "one", "three"]
    guest.write(40)
    second = guest.push("four", "five")
    guest.is_chain(full, first, second)
    guest.restart_libvirtd(signal.SIGKILL)
    guest.write(30)

    guest.stop()
    guest.start()
    guest.tell_bitmaps()
    guest.write(30)
    saved = FOLDER / "saved"
    guest.domain.save(str(saved))
    guest.connection.restoreFlags(str(saved), None, libvirt.VIR_DOMAIN_SAVE_PAUSED)
    # QEMU takes the images over when a restored guest runs: for a moment of the firmware, which
    # finds nothing to boot.
    guest.domain.resume()
    guest.domain.suspend()
    guest.tell_bitmaps()
    guest.write(30)
    guest.is_chain(full, first, second, guest.push("five", "six"))
    guest.pull("one")


def killed(guest: Domain) -> None:
    """After kill -9, bitmaps are inconsistent: no increment comes of them, a new chain begins."""
    guest.stop()
    guest.start()
    guest.write(20)
    guest.begin("pull", "six", "seven", FOLDER / "cut off")
    guest.write(20)
    for disk in guest.disks:
        guest.guest_io(disk, "flush")
    guest.kill()
    for disk in guest.disks:
        about = json.loads(run(["qemu-img", "info", "--output=json", disk.image]))
        fact(about["format-specific"]["data"]["bitmaps"])
    guest.start()
    guest.tell_bitmaps()
    guest.refused(lambda: guest.begin("pull", "six", "", FOLDER / "not"))
    # The youngest was never stored; libvirt can only forget it.
    guest.refused(lambda: guest.delete("seven"))
    guest.delete("seven", libvirt.VIR_DOMAIN_CHECKPOINT_DELETE_METADATA_ONLY)
    for name in ("six", "five", "four", "three", "one"):
        guest.delete(name)
    assert guest.checkpoints() == []
    guest.tell_bitmaps()
    full = guest.push("", "eight")
    guest.write(30)
    guest.is_chain(full, guest.push("eight"))
    guest.delete("eight")


def virtnbdbackup(guest: Domain) -> None:
    folder, restored = FOLDER / "virtnbdbackup", FOLDER / "restored"
    about = f"-U {SESSION} -d guest -n -o {folder} -S {FOLDER} -f {folder}.nbd"
    for number in range(4):
        run(["virtnbdbackup", *about.split(), "-l", "inc" if number else "full"])
        guest.tell_bitmaps()
        then = [disk.content.copy(FOLDER / f"{disk.name}.then") for disk in guest.disks]
        guest.write(40)
        if number == 1:
            guest.restart_libvirtd(signal.SIGTERM)
    restored.mkdir()
    run(["virtnbdrestore", *f"-U {SESSION} -i {folder} -o {restored} -a restore -n".split()])
    for disk, content in zip(guest.disks, then):
        disk.holds(restored / disk.image.name, content)


def main() -> None:
    guest = Domain()
    for part in (push_and_pull, killed, virtnbdbackup):
        part(guest)
    guest.stop()
    for disk in guest.disks:
        disk.holds(disk.image, disk.content.file)
        found = run(["qemu-img", "check", disk.image])
        assert "No errors were found" in found, found
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
