# SPDX-License-Identifier: GPL-2.0-or-later
"""What `tools/bench --qemu` measures: real QEMU programs on images with big bitmaps."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from qdb_tools import bench_fleecing, debian
from qdb_tools.build import Build
from qdb_tools.machine import Daemon
from qdb_tools.process import run
from qdb_tools.qcow2 import Image, Stored

TIB, GIB, MIB = 1 << 40, 1 << 30, 1 << 20
LIMIT = 300  # seconds


def at_random(size: int, share: int, seed: int) -> bytes:
    """Bits of a disk of `size` at 64 KiB, `share` of 256 of them set at random."""
    rng, length = random.Random(seed), size // 65536 // 8
    if share < 8:
        bits = bytearray(length)
        for _ in range(length * 8 * share // 256):
            bits[rng.randrange(length)] |= 1 << rng.randrange(8)
        return bytes(bits)
    # Bit by bit over the whole array at once: and, or of random words give any binary fraction.
    number = 0
    for place in range(8):
        word = rng.getrandbits(length * 8)
        number = number | word if share >> place & 1 else number & word
    return number.to_bytes(length, "little")


FORTY_PERCENT = 102  # of 256
ONE_PERCENT = 3  # of 256


Prepare = Callable[[Path], None]
Measure = Callable[[Build, Path], float]


@dataclass
class Row:
    name: str
    prepare: Prepare  # makes the files in a folder, once
    measure: Measure  # seconds
    fresh: bool = False  # the image is changed: each run has a copy
    once: bool = False  # takes minutes: one round, whatever was asked for


def write(path: Path, size: int, *bitmaps: Stored) -> None:
    Image(size, bitmaps=list(bitmaps)).lay_out().write(path)


def timed(build: Build, folder: Path, program: str, *words: str) -> float:
    begun = time.monotonic()
    run(["timeout", LIMIT, build.program(program), *words], cwd=folder)
    return time.monotonic() - begun


def pair_of(first: int, second: int) -> Prepare:
    def prepare(folder: Path) -> None:
        write(
            folder / "disk.qcow2",
            16 * TIB,
            Stored(name=b"a", bits=at_random(16 * TIB, first, 1)),
            Stored(name=b"b", bits=at_random(16 * TIB, second, 2)),
        )

    return prepare


def ten_bitmaps(folder: Path) -> None:
    bitmaps = [
        Stored(name=b"%d" % i, bits=at_random(16 * TIB, FORTY_PERCENT if i % 2 else ONE_PERCENT, i))
        for i in range(10)
    ]
    write(folder / "disk.qcow2", 16 * TIB, *bitmaps)


def merge(build: Build, folder: Path) -> float:
    return timed(build, folder, "qemu-img", "bitmap", "--merge", "a", "disk.qcow2", "b")


def clear(build: Build, folder: Path) -> float:
    return timed(build, folder, "qemu-img", "bitmap", "--clear", "disk.qcow2", "a")


def open_and_close(build: Build, folder: Path) -> float:
    return timed(build, folder, "qemu-io", "-f", "qcow2", "-c", "quit", "disk.qcow2")


def open_to_read(build: Build, folder: Path) -> float:
    return timed(build, folder, "qemu-io", "-r", "-f", "qcow2", "-c", "quit", "disk.qcow2")


def empty_disk(count: int) -> Prepare:
    def prepare(folder: Path) -> None:
        write(
            folder / "disk.qcow2",
            GIB,
            *[Stored(name=b"%d" % i, granularity_bits=16) for i in range(count)],
        )

    return prepare


def bench_writes(build: Build, folder: Path) -> float:
    # The first pass allocates clusters; what is timed writes over them.
    words = ["bench", "-w", "-f", "qcow2", "-s", "4096", "-d", "32", "-t", "unsafe", "disk.qcow2"]
    timed(build, folder, "qemu-img", *words[:2], "-c", "16384", "-S", "65536", *words[2:])
    return timed(build, folder, "qemu-img", *words[:2], "-c", "100000", "-S", "77824", *words[2:])


def exported(size: int, share: int) -> Prepare:
    def prepare(folder: Path) -> None:
        write(
            folder / "disk.qcow2", size, Stored(name=b"a", flags=0, bits=at_random(size, share, 3))
        )

    return prepare


def over_nbd(read: Measure) -> Measure:
    """Exports the bitmap from a daemon, and times `read(build, folder)`."""

    def measure(build: Build, folder: Path) -> float:
        with Daemon(build.program("storage-daemon/qemu-storage-daemon"), folder, LIMIT) as daemon:
            file = {"driver": "file", "filename": "disk.qcow2", "read-only": True}
            node = {"driver": "qcow2", "node_name": "disk", "read_only": True, "file": file}
            daemon.command("blockdev-add", **node)
            addr = {"type": "unix", "data": {"path": "sock"}}
            daemon.command("nbd-server-start", addr=addr)
            export = {"id": "e", "type": "nbd", "node_name": "disk", "name": "e", "bitmaps": ["a"]}
            daemon.command("block-export-add", **export)
            took = read(build, folder)
            daemon.quit()
            return took

    return measure


def all_extents(_: Build, folder: Path) -> float:
    """A program of libnbd reads it, in answers that have as much as the server gives."""
    debian.need(["libnbd-bin"], "reading a bitmap with nbdinfo")
    words = ["nbdinfo", "--map=qemu:dirty-bitmap:a", "--totals", "nbd+unix:///e?socket=sock"]
    begun = time.monotonic()
    run(["timeout", LIMIT, *words], cwd=folder)
    return time.monotonic() - begun


def map_it(build: Build, folder: Path) -> float:
    options = (
        "driver=nbd,server.type=unix,server.path=sock,export=e,x-dirty-bitmap=qemu:dirty-bitmap:a"
    )
    return timed(build, folder, "qemu-img", "map", "--output=json", "--image-opts", options)


def thin_disk(tebibytes: int) -> Prepare:
    return lambda folder: bench_fleecing.thin_disk(folder / "disk.qcow2", tebibytes * TIB)


def fleecing(tebibytes: int) -> Row:
    name = "`qemu-img map` of the old content, fleecing, {} TiB with data in each GiB"
    measure = bench_fleecing.map_old_content
    return Row(name.format(tebibytes), thin_disk(tebibytes), measure, once=tebibytes > 1)


ROWS = [
    *map(fleecing, (1, 4)),
    Row(
        "`qemu-img bitmap --merge`, 16 TiB, 40 % into 1 %",
        pair_of(FORTY_PERCENT, ONE_PERCENT),
        merge,
        fresh=True,
    ),
    Row(
        "`qemu-img bitmap --merge`, 16 TiB, 1 % into 40 %",
        pair_of(ONE_PERCENT, FORTY_PERCENT),
        merge,
        fresh=True,
    ),
    Row(
        "`qemu-img bitmap --clear`, 16 TiB, two bitmaps, 40 % and 1 %",
        pair_of(FORTY_PERCENT, ONE_PERCENT),
        clear,
        fresh=True,
    ),
    Row("open and close, 16 TiB, 10 stored bitmaps", ten_bitmaps, open_and_close, fresh=True),
    Row("the same, read-only", ten_bitmaps, open_to_read),
    *(
        Row(
            f"`qemu-img bench -w`, 100,000 writes of 4 KiB, bitmaps that record: {bitmaps}",
            empty_disk(bitmaps),
            bench_writes,
            fresh=True,
        )
        for bitmaps in (0, 1, 16, 50)
    ),
    Row(
        "all of a bitmap over NBD, 1 TiB, 40 % at random",
        exported(TIB, FORTY_PERCENT),
        over_nbd(all_extents),
    ),
    Row(
        "all of a bitmap over NBD, 16 TiB, 1 % at random",
        exported(16 * TIB, ONE_PERCENT),
        over_nbd(all_extents),
    ),
    Row(
        "`qemu-img map` of a bitmap over NBD, 4 GiB, 40 % at random",
        exported(4 * GIB, FORTY_PERCENT),
        over_nbd(map_it),
    ),
]
