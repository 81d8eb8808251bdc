# SPDX-License-Identifier: GPL-2.0-or-later
"""Faults that a running QEMU shows: the same scene with stock and with the drop-in."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import bitmap_stream as s
import hostile_guest
import hostile_images
import hostile_tries
import pytest
from qdb_tools.build import Build
from qdb_tools.log import Failure
from qdb_tools.machine import Machine
from qdb_tools.qcow2 import Stored

K = 65536
Scene = Callable[[Build, Path], str]
Both = Callable[[Scene], list[str]]
# What the guest will write (granules 65 and 100) is dirty already, in the second word.
BEFORE = (1 << 65 - 64 | 1 << 100 - 64).to_bytes(8, "little")
DIED = {-4: "SIGILL", -5: "SIGTRAP", -6: "SIGABRT", -11: "SIGSEGV"}


def start(build: Build, *arguments: str) -> Machine:
    return Machine(build.program("qemu-system-x86_64"), "-machine", "none", *arguments)


def survives(vm: Machine, act: Callable[[], str]) -> str:
    """What an act that may kill QEMU comes to; a QEMU that lives is asked for its status."""
    try:
        answer = act()
        status = vm.command("query-status")["status"]
        return f"{answer}; {status}"
    except (Failure, OSError):
        code = hostile_tries.signal_or_code(vm.process.wait(timeout=20))
        found = hostile_tries.ASSERTION.search(vm.said())
        return f"dies of {DIED.get(code, code)}" + (f": {found[1]}" if found else "")


def null_disk(size: int) -> str:
    return f"driver=null-co,node-name=disk,size={size},read-zeroes=on"


@pytest.fixture
def both(builds: list[Build], fast: Path) -> Both:
    """What a scene comes to with stock QEMU, and with the drop-in."""

    def play(scene: Scene) -> list[str]:
        for build in builds:
            (fast / build.label).mkdir()
        return [scene(build, fast / build.label) for build in builds]

    return play


@pytest.mark.parametrize("more", [[], ["b"]], ids=["alone", "after one that is there"])
def test_enable_of_a_missing_name(both: Both, more: list[str]) -> None:
    """Entry 13 of docs/differences.md: a transaction."""

    def scene(build: Build, folder: Path) -> str:
        with start(build, "-blockdev", null_disk(64 * K)) as vm:
            vm.command("block-dirty-bitmap-add", node="disk", name="b")
            names = [{"node": "disk", "name": name} for name in (*more, "nobody")]
            actions = [{"type": "block-dirty-bitmap-enable", "data": data} for data in names]
            ask = partial(vm.ask, "transaction", actions=actions)
            return survives(vm, lambda: ask()["error"]["desc"])

    assert both(scene) == ["dies of SIGSEGV", "Dirty bitmap 'nobody' not found; running"]


def test_backup_after_growth(both: Both) -> None:
    """Entry 8: an image whose bitmap has bits past the end.

    The disk grows, the guest writes there, and an incremental backup is made.
    """
    write = f"-P 7 {110 * K} {K}"

    def scene(build: Build, folder: Path) -> str:
        disk, target = folder / "disk.qcow2", folder / "target.qcow2"
        bits = sum(1 << bit for bit in range(101, 128)).to_bytes(16, "little")
        hostile_images.image(Stored(b"inc", bits=bits), size=101 * K).write(disk)
        hostile_images.image(Stored(b"unused"), size=128 * K).write(target)
        nodes = [
            f"driver=qcow2,node-name={name},file.driver=file,file.filename={file}"
            for name, file in (("disk", disk), ("target", target))
        ]
        with start(build, "-blockdev", nodes[0], "-blockdev", nodes[1]) as vm:
            vm.command("block_resize", node_name="disk", size=128 * K)
            vm.monitor(f'qemu-io disk "write {write}"')
            job = {"job_id": "backup", "device": "disk", "target": "target"}
            vm.command("blockdev-backup", **job, sync="incremental", bitmap="inc")
            vm.finish_job("backup")
            vm.quit()
        words = ["-f", "qcow2", "-c", f"read {write}", str(target)]
        read = hostile_tries.run(build, folder, "qemu-io", words)
        return "lost" if "verification failed" in read.out else "in the backup"

    assert both(scene) == ["lost", "in the backup"]


def migrated(build: Build, folder: Path, chunks: list[bytes]) -> str:
    guest = hostile_guest.migrate(build, folder, s.stream(*chunks))
    if guest.ended != "completed":
        return f"{guest.ended} of {guest.about}"
    regions = guest.after_writes[b"disk", b"b"][2]
    granule = hostile_guest.WRITES[0] * K
    assert regions is not None
    dirty = any(start <= granule < start + length for start, length in regions)
    return "the write is dirty" if dirty else "the write is lost"


ALL = hostile_guest.NODES[b"disk"] // s.SECTOR  # sectors
WORD = 64 * K // s.SECTOR
ON, END = s.start(flags=s.ENABLED), s.complete()
TWO_WORDS = s.bits(0, ALL, b"\x01" + bytes(7) + b"\x02" + bytes(7))
SKIPS = "completed, then dies of hbitmap_iter_skip_words: Assertion `cur' failed"
CHUNK = "serialization_chunk: Assertion `(last >> hb->granularity) < hb->size' failed"
STREAMS = {
    # Entry 9, a write afterwards.
    "bits after the end of a bitmap": (
        [ON, END, s.bits(0, ALL, bytes(8) + BEFORE)],
        "the write is lost",
        "the write is dirty",
    ),
    "zeroes after the end of a bitmap": (
        [ON, TWO_WORDS, END, s.zeroes(0, ALL)],
        SKIPS,
        "the write is dirty",
    ),
    # Entry 15.
    "zeroes across 2^64": (
        [s.start(), s.zeroes((1 << 55) - WORD, 2 * WORD), END],
        "dies of code -11: ",
        f"dies of {CHUNK}",
    ),
}


@pytest.mark.parametrize("name", STREAMS)
def test_stream(both: Both, name: str) -> None:
    chunks, stock, ours = STREAMS[name]
    assert both(lambda build, folder: migrated(build, folder, chunks)) == [stock, ours]


def test_migration_of_a_disk_of_no_bytes(both: Both) -> None:
    """Entry 20: a live migration between two QEMUs of the build, nothing hostile in it."""
    options = ["-blockdev", null_disk(0)]
    capability = [{"capability": "dirty-bitmaps", "state": True}]

    def scene(build: Build, folder: Path) -> str:
        stream = folder / "stream"
        with start(build, *options) as source:
            source.command("block-dirty-bitmap-add", node="disk", name="b", granularity=K)
            source.command("migrate-set-capabilities", capabilities=capability)
            source.command("migrate", uri=f"exec:cat > {stream}")
            hostile_guest.wait_for_end(source)
        with start(build, *options, "-incoming", "defer") as vm:

            def arrive() -> str:
                vm.command("migrate-set-capabilities", capabilities=capability)
                vm.command("migrate-incoming", uri=f"exec:cat {stream}")
                hostile_guest.wait_for_end(vm)
                return "arrives"

            return survives(vm, arrive)

    died = "dies of SIGABRT: hbitmap_iter_init: Assertion `pos < hb->size' failed"
    assert both(scene) == [died, "arrives; running"]
