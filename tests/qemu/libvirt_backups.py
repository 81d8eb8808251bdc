# SPDX-License-Identifier: GPL-2.0-or-later
"""Backups of a guest by libvirt and virtnbdbackup on one build of QEMU; prints facts as JSON.

    unshare ... /usr/bin/python3 libvirt_backups.py BUILD FOLDER

test_libvirt.py starts it so, in namespaces of its own: whatever it starts ends with it. The
guest is paused from its first moment on; what it writes is written through its disk devices by
the monitor, and kept in a record beside, with which each backup is compared byte by byte.
"""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

# Debian's python3-libvirt and python3-libnbd.
import libvirt  # type: ignore[import-not-found]
import libvirt_qemu  # type: ignore[import-not-found]
import nbd  # type: ignore[import-not-found]

GRANULE = 64 << 10
SIZES = {"vda": 48 << 20, "vdb": (16 << 20) + (40 << 10)}
HMP = libvirt_qemu.VIR_DOMAIN_QEMU_MONITOR_COMMAND_HMP
BUILD, FOLDER = Path(sys.argv[1]), Path(sys.argv[2])
facts: dict[str, Any] = {}


def fact(about: str, value: Any) -> None:
    """What stock QEMU and the library must agree on."""
    assert about not in facts, about
    facts[about] = json.loads(json.dumps(value).replace(str(FOLDER), "FOLDER"))


def check(about: str, got: Any, wanted: Any) -> None:
    if isinstance(got, bytes):
        assert got == wanted, f"{about}: not what was written"
    assert got == wanted, f"{about}: got {str(got)[:500]}, wanted {str(wanted)[:500]}"
    fact(about, len(got) if isinstance(got, bytes) else got)


def wait_until(about: str, condition: Callable[[], bool], limit: int = 60) -> None:
    end = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < end, f"{about}: not within {limit} s"
        time.sleep(0.05)


def run(*words: object) -> str:
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def extents(granules: Iterable[int], size: int) -> list[tuple[int, int]]:
    """(start, length) in bytes of the runs among granules."""
    found: list[tuple[int, int]] = []
    for start in sorted(granule * GRANULE for granule in granules):
        length = min(GRANULE, size - start)
        if found and sum(found[-1]) == start:
            found[-1] = (found[-1][0], found[-1][1] + length)
        else:
            found.append((start, length))
    return found


class Disk:
    """A disk of the guest: its image, and the independent record of what was written."""

    def __init__(self, name: str) -> None:
        self.name, self.size = name, SIZES[name]
        self.image = FOLDER / f"{name}.qcow2"
        self.content = bytearray(self.size)
        self.since: dict[str, set[int]] = {}  # granules written since each checkpoint
        run("qemu-img", "create", "-q", "-f", "qcow2", self.image, self.size)

    def record(self, offset: int, length: int, pattern: int) -> None:
        self.content[offset : offset + length] = bytes([pattern]) * length
        for granules in self.since.values():
            granules |= set(range(offset // GRANULE, (offset + length - 1) // GRANULE + 1))

    def dirty(self, checkpoint: str) -> list[tuple[int, int]]:
        return extents(self.since[checkpoint], self.size)


class Guest:
    """A paused domain with two disks, and the private libvirtd that runs it."""

    def __init__(self) -> None:
        self.random = random.Random(20)
        self.disks = [Disk(name) for name in SIZES]
        self.start_libvirtd()
        self.connection.defineXML(self.xml())
        self.start()

    def xml(self) -> str:
        disks = "".join(
            f"<disk type='file' device='disk'><driver name='qemu' type='qcow2'/>"
            f"<source file='{d.image}'/><target dev='{d.name}' bus='virtio'/></disk>"
            for d in self.disks
        )
        return (
            "<domain type='kvm'><name>guest</name><memory unit='MiB'>32</memory>"
            "<os><type arch='x86_64'>hvm</type></os><features><acpi/></features>"
            f"<devices><emulator>{BUILD}/qemu-system-x86_64</emulator>{disks}"
            "<memballoon model='none'/></devices></domain>"
        )

    def start_libvirtd(self) -> None:
        with (FOLDER / "libvirtd.log").open("a") as log:
            self.libvirtd = subprocess.Popen(["/usr/sbin/libvirtd"], stdout=log, stderr=log)
        wait_until("libvirtd listens", self.connect)

    def connect(self) -> bool:
        try:
            self.connection = libvirt.open("qemu:///session")
        except libvirt.libvirtError:
            return False
        return True

    def restart_libvirtd(self, how: signal.Signals) -> None:
        self.connection.close()
        self.libvirtd.send_signal(how)
        self.libvirtd.wait()
        self.start_libvirtd()
        self.domain = self.connection.lookupByName("guest")

    def start(self) -> None:
        self.domain = self.connection.lookupByName("guest")
        self.domain.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED)

    def pid(self) -> int:
        run_folder = Path(os.environ["XDG_RUNTIME_DIR"]) / "libvirt" / "qemu" / "run"
        return int((run_folder / "guest.pid").read_text())

    def kill(self) -> None:
        os.kill(self.pid(), signal.SIGKILL)
        wait_until("libvirt saw the end", lambda: not self.domain.isActive())

    def stop(self) -> None:
        """QEMU ends in an orderly way, and stores the bitmaps."""
        self.domain.destroyFlags(libvirt.VIR_DOMAIN_DESTROY_GRACEFUL)

    def monitor(self, line: str) -> str:
        return str(libvirt_qemu.qemuMonitorCommand(self.domain, line, HMP))

    def guest_io(self, disk: Disk, line: str) -> None:
        path = f"/machine/peripheral/virtio-disk{self.disks.index(disk)}/virtio-backend"
        said = self.monitor(f'qemu-io -d {path} "{line}"')
        assert not said.strip(), said

    def flush(self) -> None:
        for disk in self.disks:
            self.guest_io(disk, "flush")

    def write(self, count: int) -> None:
        for _ in range(count):
            disk = self.random.choice(self.disks)
            length = 512 * self.random.choice([1, 8, 77, self.random.randint(1, 500)])
            offset = 512 * self.random.randint(0, (disk.size - length) // 512)
            pattern = self.random.randint(1, 255)
            self.guest_io(disk, f"write -P {pattern} {offset} {length}")
            disk.record(offset, length, pattern)

    def bitmaps(self) -> dict[str, Any]:
        """The bitmaps of each disk as query-block lists them."""
        answer = json.loads(
            libvirt_qemu.qemuMonitorCommand(self.domain, '{"execute":"query-block"}', 0)
        )
        listed = {
            b["qdev"].split("/")[3]: b["inserted"].get("dirty-bitmaps", [])
            for b in answer["return"]
        }
        return {
            disk: sorted(found, key=lambda b: str(b.get("name"))) for disk, found in listed.items()
        }

    # Checkpoints and backups

    def checkpoints(self) -> list[str]:
        return sorted(c.getName() for c in self.domain.listAllCheckpoints())

    @staticmethod
    def checkpoint_xml(name: str) -> str:
        return f"<domaincheckpoint><name>{name}</name></domaincheckpoint>"

    def count_from(self, checkpoint: str) -> None:
        for disk in self.disks:
            disk.since[checkpoint] = set()

    def checkpoint(self, name: str) -> None:
        self.domain.checkpointCreateXML(self.checkpoint_xml(name))
        self.count_from(name)

    def delete(self, name: str) -> None:
        self.domain.checkpointLookupByName(name).delete()
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
        xml = f"<domainbackup mode='{mode}'>{parts}</domainbackup>"
        self.domain.backupBegin(xml, self.checkpoint_xml(checkpoint) if checkpoint else None)
        if checkpoint:
            self.count_from(checkpoint)

    def refused(self, about: str, attempt: Callable[[], None]) -> None:
        """An attempt that must fail; its words are a fact."""
        try:
            attempt()
        except libvirt.libvirtError as error:
            fact(about, error.get_error_message())
        else:
            raise AssertionError(f"{about}: it did not fail")

    def no_job(self) -> bool:
        return bool(self.domain.jobStats()["type"] == libvirt.VIR_DOMAIN_JOB_NONE)

    def push(self, about: str, since: str = "", checkpoint: str = "") -> Path:
        """A push backup; returns the folder of the targets."""
        folder = FOLDER / about.replace(" ", "-")
        self.begin("push", since, checkpoint, folder)
        wait_until(about, self.no_job)
        done = self.domain.jobStats(libvirt.VIR_DOMAIN_JOB_STATS_COMPLETED)
        check(f"{about}: success", done["success"], 1)
        return folder

    def pull(self, about: str, since: str = "", checkpoint: str = "") -> dict[str, bytearray]:
        """A pull backup, while the guest writes; returns what it has of each disk."""
        folder = FOLDER / about.replace(" ", "-")
        wanted = {d.name: d.dirty(since) if since else [(0, d.size)] for d in self.disks}
        then = {d.name: bytes(d.content) for d in self.disks}
        self.begin("pull", since, checkpoint, folder)
        found = {}
        for disk in self.disks:
            self.write(10)
            found[disk.name] = bytearray(disk.size)
            client = nbd.NBD()
            context = f"qemu:dirty-bitmap:backup-{disk.name}" if since else ""
            if since:
                client.add_meta_context(context)
            client.set_export_name(disk.name)
            client.connect_unix(f"{folder}/nbd")
            dirty = dirty_extents(client, context, disk.size) if since else [(0, disk.size)]
            check(f"{about}: dirty extents of {disk.name}", dirty, wanted[disk.name])
            for start, length in dirty:
                for at in range(start, start + length, 1 << 20):
                    part = min(1 << 20, start + length - at)
                    found[disk.name][at : at + part] = client.pread(part, at)
                    same = found[disk.name][at : at + part] == then[disk.name][at : at + part]
                    assert same, f"{about}: {disk.name} differs at {at}"
            client.shutdown()
        self.domain.abortJob()
        wait_until(about, self.no_job)
        return found


def dirty_extents(client: nbd.NBD, context: str, size: int) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    at = 0

    def extent(name: str, offset: int, entries: list[int], _error: object) -> int:
        nonlocal at
        assert name == context
        for length, flags in zip(entries[::2], entries[1::2]):
            if flags and found and sum(found[-1]) == offset:
                found[-1] = (found[-1][0], found[-1][1] + length)
            elif flags:
                found.append((offset, length))
            offset += length
        at = offset
        return 0

    while at < size:
        client.block_status(size - at, at, extent)
    return found


def raw_bytes(image: Path) -> bytes:
    raw = FOLDER / "raw"
    run("qemu-img", "convert", "-O", "raw", image, raw)
    return raw.read_bytes()


def allocated(image: Path, size: int) -> list[tuple[int, int]]:
    areas = json.loads(run("qemu-img", "map", "--output=json", image))
    own = [(a["start"], a["length"]) for a in areas if a["depth"] == 0 and a["present"]]
    return extents(
        {at // GRANULE for start, length in own for at in range(start, start + length, GRANULE)},
        size,
    )


def chain(guest: Guest, about: str, full: Path, increments: list[Path]) -> None:
    """A full push backup and the increments on it are what is in the record."""
    for disk in guest.disks:
        for below, above in zip([full, *increments], increments):
            run(
                "qemu-img",
                "rebase",
                "-u",
                "-f",
                "qcow2",
                "-F",
                "qcow2",
                "-b",
                below / disk.name,
                above / disk.name,
            )
        check(
            f"{about}: {disk.name}",
            raw_bytes([full, *increments][-1] / disk.name),
            bytes(disk.content),
        )


def push_and_pull(guest: Guest) -> None:
    guest.write(60)
    full = guest.push("full push", checkpoint="one")
    chain(guest, "the full backup", full, [])
    guest.write(40)
    guest.pull("pull since one", "one", "two")
    guest.write(40)
    guest.checkpoint("three")
    guest.write(40)
    fact("bitmaps with three checkpoints", guest.bitmaps())

    guest.delete("two")
    check("two is gone from the middle", guest.checkpoints(), ["one", "three"])
    fact("bitmaps without two", guest.bitmaps())
    guest.refused("a backup since two", lambda: guest.begin("pull", "two", "", FOLDER / "no"))
    guest.pull("pull since one without two", "one")
    guest.pull("pull since three", "three")

    first = guest.push("push since one", "one", "four")
    chain(guest, "full and increment", full, [first])
    for disk in guest.disks:
        check(
            f"clusters of the increment of {disk.name}",
            allocated(first / disk.name, disk.size),
            disk.dirty("one"),
        )

    guest.restart_libvirtd(signal.SIGTERM)
    check("checkpoints after a restart of libvirtd", guest.checkpoints(), ["four", "one", "three"])
    guest.write(40)
    second = guest.push("push since four", "four", "five")
    chain(guest, "full and two increments", full, [first, second])
    guest.restart_libvirtd(signal.SIGKILL)
    guest.write(30)

    guest.stop()
    guest.start()
    fact("bitmaps after a new start", guest.bitmaps())
    guest.write(30)
    saved = FOLDER / "saved"
    guest.domain.save(str(saved))
    guest.connection.restoreFlags(str(saved), None, libvirt.VIR_DOMAIN_SAVE_PAUSED)
    guest.domain = guest.connection.lookupByName("guest")
    # QEMU takes the images over when a restored guest runs: for a moment of the firmware, which
    # finds nothing to boot.
    guest.domain.resume()
    guest.domain.suspend()
    fact("bitmaps after save and restore", guest.bitmaps())
    guest.write(30)
    third = guest.push("push since five", "five", "six")
    chain(guest, "full and three increments", full, [first, second, third])
    guest.pull("pull since one, at the end", "one")


def killed(guest: Guest) -> None:
    """After kill -9, bitmaps are inconsistent: no increment comes of them, a new chain begins."""
    guest.stop()
    guest.start()
    guest.write(20)
    guest.begin("pull", "six", "seven", FOLDER / "cut off")
    guest.write(20)
    guest.flush()
    guest.kill()
    for disk in guest.disks:
        about = json.loads(run("qemu-img", "info", "--output=json", disk.image))
        fact(f"{disk.name}: after kill -9", about["format-specific"]["data"]["bitmaps"])
    guest.start()
    fact("bitmaps after kill -9", guest.bitmaps())
    guest.refused("a backup since six", lambda: guest.begin("pull", "six", "", FOLDER / "not"))
    # The youngest was never stored; libvirt can only forget it.
    guest.refused("deletion of a checkpoint that is lost", lambda: guest.delete("seven"))
    guest.domain.checkpointLookupByName("seven").delete(
        libvirt.VIR_DOMAIN_CHECKPOINT_DELETE_METADATA_ONLY
    )
    for name in ("six", "five", "four", "three", "one"):
        guest.delete(name)
    check("no checkpoints are left", guest.checkpoints(), [])
    fact("no bitmaps are left", guest.bitmaps())
    full = guest.push("full push after kill -9", checkpoint="eight")
    guest.write(30)
    chain(guest, "a new chain", full, [guest.push("push since eight", "eight")])
    guest.delete("eight")


def virtnbdbackup(guest: Guest) -> None:
    folder, restored = FOLDER / "virtnbdbackup", FOLDER / "restored"
    for number in range(4):
        level = "inc" if number else "full"
        run(
            "virtnbdbackup",
            "-U",
            "qemu:///session",
            "-d",
            "guest",
            "-l",
            level,
            "-n",
            "-o",
            folder,
            "-S",
            FOLDER,
            "-f",
            FOLDER / "virtnbdbackup.nbd",
        )
        fact(f"bitmaps after virtnbdbackup {number}", guest.bitmaps())
        then = {d.name: bytes(d.content) for d in guest.disks}
        guest.write(40)
        if number == 1:
            guest.restart_libvirtd(signal.SIGTERM)
    restored.mkdir()
    run(
        "virtnbdrestore",
        "-U",
        "qemu:///session",
        "-i",
        folder,
        "-o",
        restored,
        "-a",
        "restore",
        "-n",
    )
    for disk in guest.disks:
        check(
            f"virtnbdrestore: {disk.name}", raw_bytes(restored / disk.image.name), then[disk.name]
        )


def main() -> None:
    guest = Guest()
    for part in (push_and_pull, killed, virtnbdbackup):
        part(guest)
    guest.stop()
    for disk in guest.disks:
        check(f"{disk.name}: its image", raw_bytes(disk.image), bytes(disk.content))
        found = re.sub(r"\d+/\d+ = .*", "", run("qemu-img", "check", disk.image))
        assert "No errors were found" in found, found
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
