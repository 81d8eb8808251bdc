# SPDX-License-Identifier: GPL-2.0-or-later
"""A backup reads the old content through snapshot-access while the disk is written (fleecing).

No guest runs: a qemu-io writes where the guest would, above the copy-before-write filter.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from qdb_tools.bench_fleecing import DISK, OLD, put_filter
from qdb_tools.build import Build
from qdb_tools.machine import Daemon
from qdb_tools.model import MIB, Guest, script
from qdb_tools.process import output, run

SIZE = 192 * MIB + 3 * 4096  # the last cluster is not whole
GUEST = OLD.replace("old", "filter")


def fleece(build: Build, folder: Path, vm: Daemon) -> list[str]:
    """One backup; the maps of the old content that it saw before and after the writes."""
    img, io = build.program("qemu-img"), [str(build.program("qemu-io")), *"-d unmap -f raw".split()]

    def content(image: str) -> bytes:
        run([img, "convert", "-O", "raw", image, "read.raw"], cwd=folder)
        return (folder / "read.raw").read_bytes()

    old = content(DISK)
    put_filter(vm, driver="qcow2", file={"driver": "file", "filename": "saved.qcow2"})
    maps = [run([img, "map", "--output=json", OLD], cwd=folder)]
    writes = script(Guest(2).writes(1500, range(SIZE), "zero discard"))
    with ThreadPoolExecutor() as pool:
        guest = pool.submit(run, [*io, GUEST], cwd=folder, input=writes)
        while not guest.done():
            assert content(OLD) == old, "while the disk is written"
    guest.result()
    assert content(GUEST) != old, "nothing was written"
    maps.append(run([img, "map", "--output=json", OLD], cwd=folder))
    assert content(OLD) == old, "after the writes"
    # What a backup has copied it discards; then that, and nothing else, can't be read any more.
    run([*io, "-c", f"discard {32 * MIB} {MIB}", OLD], cwd=folder)
    for start, readable in (31, True), (32, False), (33, True):
        code, said = output([*io, "-c", f"read {start * MIB} {MIB}", OLD], cwd=folder)
        assert (code == 0) == readable, said
    return maps


def test_old_content_while_written(both: Callable[..., list[list[str]]], stock: Build) -> None:
    def scene(build: Build, folder: Path) -> list[str]:
        for name in DISK, "saved.qcow2":
            run([stock.program("qemu-img"), "create", "-f", "qcow2", folder / name, SIZE])
        writes = Guest(1).writes(150, range(SIZE), others="")
        run([stock.program("qemu-io"), "-f", "qcow2", folder / DISK], input=script(writes))
        with Daemon(build.program("storage-daemon/qemu-storage-daemon"), folder) as vm:
            if build.stock and build.version == "7.2":
                # Its hbitmap_status is wrong (docs/qemu-faults.md): the reader gets new data.
                with pytest.raises(AssertionError, match="while the disk is written"):
                    fleece(build, folder, vm)
                return []
            maps = fleece(build, folder, vm)
            vm.quit()
        return maps

    theirs, ours = both(scene)
    assert theirs in ([], ours), "stock and drop-in report other extents"
    assert ours[0].count("\n") > 50, "few extents prove little"
