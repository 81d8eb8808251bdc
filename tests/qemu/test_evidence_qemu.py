# SPDX-License-Identifier: GPL-2.0-or-later
"""Faults that a running QEMU shows: the same scene with stock and with the drop-in.

Those of migration streams (entries 9 and 15) are in test_hostile.py.
"""

from collections.abc import Callable
from pathlib import Path

import hostile_guest
import hostile_tries
import pytest
from hostile_guest import CAPABILITIES, start
from hostile_images import image
from qdb_tools.build import Build
from qdb_tools.log import Failure
from qdb_tools.machine import Machine, transaction
from qdb_tools.qcow2 import Stored

K = 65536
Both = Callable[..., list[str]]
DIED = {-4: "SIGILL", -5: "SIGTRAP", -6: "SIGABRT", -11: "SIGSEGV"}


def survives(vm: Machine, act: Callable[[], str]) -> str:
    """What an act that may kill QEMU comes to; a QEMU that lives is asked for its status."""
    try:
        return f"{act()}; {vm.command('query-status')['status']}"
    except (Failure, OSError):
        code = hostile_tries.signal_or_code(vm.process.wait(timeout=20))
        found = hostile_tries.ASSERTION.search(vm.said())
        return f"dies of {DIED.get(code, code)}" + (f": {found[1]}" if found else "")


@pytest.mark.parametrize("more", [[], ["b"]], ids=["alone", "after one that is there"])
def test_enable_of_a_missing_name(both: Both, more: list[str]) -> None:
    """Entry 13 of docs/differences.md: a transaction."""

    def scene(build: Build, folder: Path) -> str:
        with start(build, disk=64 * K) as vm:
            vm.command("block-dirty-bitmap-add", node="disk", name="b")
            names = [{"node": "disk", "name": name} for name in (*more, "nobody")]
            enable = transaction(*(("block-dirty-bitmap-enable", data) for data in names))
            return survives(vm, lambda: vm.ask(enable[0], **enable[1])["error"]["desc"])

    assert both(scene) == ["dies of SIGSEGV", "Dirty bitmap 'nobody' not found; running"]


def test_backup_after_growth(both: Both) -> None:
    """Entry 8: bits past the end; the disk grows, the guest writes there, and backs up."""
    write = f"-P 7 {110 * K} {K}"

    def scene(build: Build, folder: Path) -> str:
        disk, target = folder / "disk.qcow2", folder / "target.qcow2"
        bits = sum(1 << bit for bit in range(101, 128)).to_bytes(16, "little")
        image(Stored(b"inc", bits=bits), size=101 * K).write(disk)
        image(Stored(b"unused"), size=128 * K).write(target)
        node = "driver=qcow2,file.driver=file"
        disks = [f"{node},node-name={file.stem},file.filename={file}" for file in (disk, target)]
        with start(build, "-blockdev", disks[0], "-blockdev", disks[1]) as vm:
            vm.command("block_resize", node_name="disk", size=128 * K)
            vm.monitor(f'qemu-io disk "write {write}"')
            job = {"job_id": "backup", "device": "disk", "target": "target", "bitmap": "inc"}
            vm.command("blockdev-backup", **job, sync="incremental")
            vm.finish_job("backup")
            vm.quit()
        words = ["-f", "qcow2", "-c", f"read {write}", str(target)]
        read = hostile_tries.run(build, folder, "qemu-io", words)
        return "lost" if "verification failed" in read.out else "in the backup"

    assert both(scene) == ["lost", "in the backup"]


def test_migration_of_a_disk_of_no_bytes(both: Both) -> None:
    """Entry 20: a live migration between two QEMUs of the build, nothing hostile in it."""

    def scene(build: Build, folder: Path) -> str:
        stream = folder / "stream"
        with start(build, disk=0) as source:
            source.command("block-dirty-bitmap-add", node="disk", name="b", granularity=K)
            source.command("migrate-set-capabilities", capabilities=CAPABILITIES)
            source.command("migrate", uri=f"exec:cat > {stream}")
            hostile_guest.wait_for_end(source)
        with start(build, "-incoming", "defer", disk=0) as vm:
            return survives(vm, lambda: hostile_guest.receive(vm, stream))

    died = "dies of SIGABRT: hbitmap_iter_init: Assertion `pos < hb->size' failed"
    assert both(scene) == [died, "completed; running"]
