# SPDX-License-Identifier: GPL-2.0-or-later
"""Faults that a running QEMU shows: the same scene with stock and with the drop-in."""

from collections.abc import Callable
from pathlib import Path

import bitmap_stream as s
import hostile_guest
import hostile_images
import hostile_tries
import pytest
from qdb_tools import qcow2
from qdb_tools.build import Build
from qdb_tools.log import Failure
from qdb_tools.machine import Machine

K = 65536
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


def transaction(build: Build, folder: Path, *more: str) -> str:
    with start(build, "-blockdev", null_disk(64 * K)) as vm:
        vm.command("block-dirty-bitmap-add", node="disk", name="b")

        def act() -> str:
            actions = [
                {"type": "block-dirty-bitmap-enable", "data": {"node": "disk", "name": name}}
                for name in (*more, "nobody")
            ]
            return vm.ask("transaction", actions=actions)["error"]["desc"]

        return survives(vm, act)


def transaction_of_two(build: Build, folder: Path) -> str:
    return transaction(build, folder, "b")


def backup_after_growth(build: Build, folder: Path) -> str:
    """An image whose bitmap has bits past the end; the disk grows, the guest writes there, and an incremental backup is made."""
    disk, target = folder / "disk.qcow2", folder / "target.qcow2"
    bits = bytearray(16)
    for bit in range(101, 128):
        bits[bit // 8] |= 1 << bit % 8
    hostile_images.image(qcow2.Stored(name=b"inc", bits=bytes(bits)), size=101 * K).write(disk)
    hostile_images.image(qcow2.Stored(name=b"unused"), size=128 * K).write(target)
    nodes = [
        word
        for name, file in (("disk", disk), ("target", target))
        for word in (
            "-blockdev",
            f"driver=qcow2,node-name={name},file.driver=file,file.filename={file}",
        )
    ]
    with start(build, *nodes) as vm:
        vm.command("block_resize", node_name="disk", size=128 * K)
        vm.monitor(f'qemu-io disk "write -P 7 {110 * K} {K}"')
        vm.command(
            "blockdev-backup",
            job_id="backup",
            device="disk",
            target="target",
            sync="incremental",
            bitmap="inc",
        )
        vm.finish_job("backup")
        vm.quit()
    read = hostile_tries.run(
        build, folder, "qemu-io", ["-f", "qcow2", "-c", f"read -P 7 {110 * K} {K}", str(target)]
    )
    return (
        "the write is not in the backup"
        if "verification failed" in read.out
        else "the write is in the backup"
    )


def migrated(build: Build, folder: Path, *chunks: bytes) -> str:
    guest = hostile_guest.migrate(build, folder, s.stream(*chunks))
    if guest.ended != "completed":
        return f"{guest.ended} of {guest.about}"
    bitmap = guest.after_writes[b"disk", b"b"]
    granule = hostile_guest.WRITES[0] * K
    assert bitmap[2] is not None
    return (
        "the write is lost"
        if not any(start <= granule < start + length for start, length in bitmap[2])
        else "the write is dirty"
    )


def write_after_bits(build: Build, folder: Path) -> str:
    all_sectors = hostile_guest.NODES[b"disk"] // s.SECTOR
    return migrated(
        build,
        folder,
        s.start(flags=s.ENABLED),
        s.complete(),
        s.bits(0, all_sectors, bytes(8) + BEFORE),
    )


def write_after_zeroes(build: Build, folder: Path) -> str:
    all_sectors = hostile_guest.NODES[b"disk"] // s.SECTOR
    return migrated(
        build,
        folder,
        s.start(flags=s.ENABLED),
        s.bits(0, all_sectors, b"\x01" + bytes(7) + b"\x02" + bytes(7)),
        s.complete(),
        s.zeroes(0, all_sectors),
    )


def wild_zeroes(build: Build, folder: Path) -> str:
    word = 64 * K // s.SECTOR
    guest = hostile_guest.migrate(
        build, folder, s.stream(s.start(), s.zeroes((1 << 55) - word, 2 * word), s.complete())
    )
    return f"{guest.ended} of {guest.about}"


def disk_of_no_bytes(build: Build, folder: Path) -> str:
    """A live migration between two QEMUs of the build, nothing hostile in it."""
    stream = folder / "stream"
    options = ["-blockdev", null_disk(0)]
    capability = [{"capability": "dirty-bitmaps", "state": True}]
    with start(build, *options) as source:
        source.command("block-dirty-bitmap-add", node="disk", name="b", granularity=K)
        source.command("migrate-set-capabilities", capabilities=capability)
        source.command("migrate", uri=f"exec:cat > {stream}")
        hostile_guest.wait_for_end(source)
    with start(build, *options, "-incoming", "defer") as vm:

        def act() -> str:
            vm.command("migrate-set-capabilities", capabilities=capability)
            vm.command("migrate-incoming", uri=f"exec:cat {stream}")
            hostile_guest.wait_for_end(vm)
            return "arrives"

        return survives(vm, act)


Scene = Callable[[Build, Path], str]
# (entry of docs/differences.md, fault, scene, what stock comes to, what the drop-in comes to)
SCENES: list[tuple[int, str, Scene, str, str]] = [
    (
        13,
        "transaction, enable of a missing name",
        transaction,
        "dies of SIGSEGV",
        "Dirty bitmap 'nobody' not found; running",
    ),
    (
        13,
        "the same, after an enable of one that is there",
        transaction_of_two,
        "dies of SIGSEGV",
        "Dirty bitmap 'nobody' not found; running",
    ),
    (
        8,
        "image: bits past the end, growth, incremental backup",
        backup_after_growth,
        "the write is not in the backup",
        "the write is in the backup",
    ),
    (
        9,
        "stream: bits after the end of a bitmap, then a write",
        write_after_bits,
        "the write is lost",
        "the write is dirty",
    ),
    (
        9,
        "stream: zeroes after the end of a bitmap, then a write",
        write_after_zeroes,
        "completed, then dies of hbitmap_iter_skip_words: Assertion `cur' failed",
        "the write is dirty",
    ),
    (
        15,
        "stream: zeroes across 2^64",
        wild_zeroes,
        "dies of code -11: ",
        "dies of serialization_chunk: Assertion `(last >> hb->granularity) < hb->size' failed",
    ),
    (
        20,
        "migration of a disk of no bytes",
        disk_of_no_bytes,
        "dies of SIGABRT: hbitmap_iter_init: Assertion `pos < hb->size' failed",
        "arrives; running",
    ),
]


@pytest.mark.parametrize("row", SCENES, ids=lambda row: row[1])
def test_scene(row: tuple[int, str, Scene, str, str], builds: list[Build], fast: Path) -> None:
    _, _, scene, stock_wanted, ours_wanted = row
    found = []
    for build in builds:
        folder = fast / build.label
        folder.mkdir()
        found.append(scene(build, folder))
    assert found == [stock_wanted, ours_wanted]
