# SPDX-License-Identifier: GPL-2.0-or-later
"""What `tools/bench --qemu` measures: real QEMU programs on images with big bitmaps."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from qdb_tools import bench_fleecing, nbd_extents
from qdb_tools.build import Build
from qdb_tools.machine import Daemon
from qdb_tools.process import run
from qdb_tools.qcow2 import AUTO, Image, Stored

TIB, GIB = 1 << 40, 1 << 30
FORTY_PERCENT, ONE_PERCENT = 102, 3  # of 256
LIMIT = 300  # seconds
Prepare = Callable[[Path], None]
Measure = Callable[[Build, Path], float]


@dataclass
class Row:
    name: str
    prepare: Prepare  # makes the files in a folder, once
    measure: Measure  # seconds
    fresh: bool = False  # the image is changed: each run has a copy
    once: bool = False  # takes minutes: one round, whatever was asked for


def at_random(size: int, share: int, seed: int) -> bytes:
    """Bits of a disk of `size` at 64 KiB, `share` of 256 of them set at random."""
    rng, bits = random.Random(seed), size // 65536
    # Bit by bit over the whole array at once: and, or of random words give any binary fraction.
    number = 0
    for place in range(8):
        word = rng.getrandbits(bits)
        number = number | word if share >> place & 1 else number & word
    return number.to_bytes(bits // 8, "little")


def disk(size: int, *shares: int, flags: int = AUTO) -> Prepare:
    """An image with bitmaps 0, 1 and so on, each with so many of its bits set."""

    def prepare(folder: Path) -> None:
        bitmaps = [
            Stored(name=b"%d" % i, flags=flags, bits=at_random(size, share, i))
            for i, share in enumerate(shares)
        ]
        Image(size, bitmaps=bitmaps).lay_out().write(folder / "disk.qcow2")

    return prepare


def seconds(build: Build, folder: Path, line: str) -> float:
    program, *words = line.split()
    begun = time.monotonic()
    run(["timeout", LIMIT, build.program(program), *words], cwd=folder)
    return time.monotonic() - begun


def command(line: str) -> Measure:
    return lambda build, folder: seconds(build, folder, line)


def writes(build: Build, folder: Path) -> float:
    line = "qemu-img bench -w -f qcow2 -s 4096 -d 32 -t unsafe -c {} -S {} disk.qcow2"
    # The first pass allocates clusters; what is timed writes over them.
    seconds(build, folder, line.format(16384, 65536))
    return seconds(build, folder, line.format(100000, 77824))


def over_nbd(read: Measure) -> Measure:
    """Exports the bitmap from a daemon, and times `read(build, folder)`."""

    def measure(build: Build, folder: Path) -> float:
        with Daemon(build.program("storage-daemon/qemu-storage-daemon"), folder, LIMIT) as daemon:
            file = {"driver": "file", "filename": "disk.qcow2", "read-only": True}
            daemon.command("blockdev-add", driver="qcow2", node_name="n", read_only=True, file=file)
            daemon.command("nbd-server-start", addr={"type": "unix", "data": {"path": "sock"}})
            export = {"id": "e", "type": "nbd", "node_name": "n", "name": "e", "bitmaps": ["0"]}
            daemon.command("block-export-add", **export)
            took = read(build, folder)
            daemon.quit()
            return took

    return measure


def all_extents(size: int) -> Measure:
    def read(_: Build, folder: Path) -> float:
        client = nbd_extents.Client(folder / "sock", "e", "qemu:dirty-bitmap:0")
        begun = time.monotonic()
        client.extents(size)
        took = time.monotonic() - begun
        client.close()
        return took

    return over_nbd(read)


def fleecing(tebibytes: int) -> Row:
    def prepare(folder: Path) -> None:
        bench_fleecing.thin_disk(folder / "disk.qcow2", tebibytes * TIB)

    name = f"`qemu-img map` of the old content, fleecing, {tebibytes} TiB with data in each GiB"
    return Row(name, prepare, bench_fleecing.map_old_content, once=tebibytes > 1)


def writing(bitmaps: int) -> Row:
    name = f"`qemu-img bench -w`, 100,000 writes of 4 KiB, bitmaps that record: {bitmaps}"
    return Row(name, disk(GIB, *[0] * bitmaps), writes, fresh=True)


MERGE = command("qemu-img bitmap --merge 0 disk.qcow2 1")
CLEAR = command("qemu-img bitmap --clear disk.qcow2 0")
OPEN = command("qemu-io -f qcow2 -c quit disk.qcow2")
OPEN_TO_READ = command("qemu-io -r -f qcow2 -c quit disk.qcow2")
BITMAP = "driver=nbd,server.type=unix,server.path=sock,export=e,x-dirty-bitmap=qemu:dirty-bitmap:0"
MAP = over_nbd(command(f"qemu-img map --output=json --image-opts {BITMAP}"))

MUCH_AND_LITTLE = disk(16 * TIB, FORTY_PERCENT, ONE_PERCENT)
LITTLE_AND_MUCH = disk(16 * TIB, ONE_PERCENT, FORTY_PERCENT)
TEN = disk(16 * TIB, *[ONE_PERCENT, FORTY_PERCENT] * 5)
BIG = disk(16 * TIB, ONE_PERCENT, flags=0)
DENSE, SMALL = (disk(size, FORTY_PERCENT, flags=0) for size in (TIB, 4 * GIB))
CLEARED = "`qemu-img bitmap --clear`, 16 TiB, two bitmaps, 40 % and 1 %"
ROWS = [
    *map(fleecing, (1, 4)),
    Row("`qemu-img bitmap --merge`, 16 TiB, 40 % into 1 %", MUCH_AND_LITTLE, MERGE, fresh=True),
    Row("`qemu-img bitmap --merge`, 16 TiB, 1 % into 40 %", LITTLE_AND_MUCH, MERGE, fresh=True),
    Row(CLEARED, MUCH_AND_LITTLE, CLEAR, fresh=True),
    Row("open and close, 16 TiB, 10 stored bitmaps", TEN, OPEN, fresh=True),
    Row("the same, read-only", TEN, OPEN_TO_READ),
    *map(writing, (0, 1, 16, 50)),
    Row("all of a bitmap over NBD, 1 TiB, 40 % at random", DENSE, all_extents(TIB)),
    Row("all of a bitmap over NBD, 16 TiB, 1 % at random", BIG, all_extents(16 * TIB)),
    Row("`qemu-img map` of a bitmap over NBD, 4 GiB, 40 % at random", SMALL, MAP),
]
