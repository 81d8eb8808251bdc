# SPDX-License-Identifier: GPL-2.0-or-later
"""What `tools/bench --qemu` measures: real QEMU programs on images with big bitmaps."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from qdb_tools.bench_fleecing import map_old_content, thin_disk
from qdb_tools.build import Build
from qdb_tools.machine import Daemon
from qdb_tools.process import run
from qdb_tools.qcow2 import AUTO, Image, Stored

TIB, GIB = 1 << 40, 1 << 30
FORTY_PERCENT, ONE_PERCENT = 102, 3  # of 256
LIMIT = 300  # seconds
DISK = "disk.qcow2"


@dataclass
class Row:
    name: str
    prepare: Callable[[Path], None]  # makes the files in a folder, once
    measure: Callable[[Build, Path], float]  # seconds
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


def disk(size: int, *shares: int, flags: int = AUTO) -> Callable[[Path], None]:
    """Makes an image with bitmaps 0, 1 and so on, each with so many of its bits set."""

    def prepare(folder: Path) -> None:
        bits = [at_random(size, share, seed) for seed, share in enumerate(shares)]
        bitmaps = [Stored(b"%d" % i, flags=flags, bits=bits[i]) for i in range(len(bits))]
        Image(size, bitmaps=bitmaps).lay_out().write(folder / DISK)

    return prepare


def command(line: str, build: Build, folder: Path) -> float:
    """The seconds that a program of the build takes; one with an absolute path is another's."""
    program, *words = line.split()
    begun = time.monotonic()
    run(["timeout", LIMIT, build.program(program), *words], cwd=folder)
    return time.monotonic() - begun


def writes(build: Build, folder: Path) -> float:
    line = f"qemu-img bench -w -f qcow2 -s 4096 -d 32 -t unsafe {DISK}"
    # The first pass allocates clusters; what is timed writes over them.
    command(f"{line} -c 16384 -S 65536", build, folder)
    return command(f"{line} -c 100000 -S 77824", build, folder)


def over_nbd(line: str, build: Build, folder: Path) -> float:
    """Of a client of a daemon that exports bitmap 0 as `e` on the socket `sock`."""
    with Daemon(build.program("storage-daemon/qemu-storage-daemon"), folder, LIMIT) as daemon:
        file = {"driver": "file", "filename": DISK, "read-only": True}
        daemon.command("blockdev-add", driver="qcow2", node_name="n", read_only=True, file=file)
        daemon.serve("sock")
        daemon.export("n", "e", bitmaps=["0"])
        took = command(line, build, folder)
        daemon.quit()
    return took


def fleecing(tebibytes: int, folder: Path) -> None:
    thin_disk(folder / DISK, tebibytes * TIB)


MERGE = partial(command, f"qemu-img bitmap --merge 0 {DISK} 1")
CLEAR = partial(command, f"qemu-img bitmap --clear {DISK} 0")
OPEN = partial(command, f"qemu-io -f qcow2 -c quit {DISK}")
OPEN_TO_READ = partial(command, f"qemu-io -r -f qcow2 -c quit {DISK}")
# A program of libnbd reads it in answers that have as much as the server gives.
EXTENTS = "/usr/bin/nbdinfo --map=qemu:dirty-bitmap:0 --totals nbd+unix:///e?socket=sock"
MAP = "qemu-img map --output=json --image-opts driver=nbd,server.type=unix,server.path=sock"
ALL_EXTENTS = partial(over_nbd, EXTENTS)
MAP_OVER_NBD = partial(over_nbd, f"{MAP},export=e,x-dirty-bitmap=qemu:dirty-bitmap:0")
TWO = disk(16 * TIB, FORTY_PERCENT, ONE_PERCENT)
TURNED = disk(16 * TIB, ONE_PERCENT, FORTY_PERCENT)
TEN = disk(16 * TIB, *[ONE_PERCENT, FORTY_PERCENT] * 5)
SPARSE = disk(16 * TIB, ONE_PERCENT, flags=0)
DENSE, SMALL = (disk(size, FORTY_PERCENT, flags=0) for size in (TIB, 4 * GIB))
FLEECING = "`qemu-img map` of the old content, fleecing, {} TiB with data in each GiB"
CLEARING = "`qemu-img bitmap --clear`, 16 TiB, two bitmaps, 40 % and 1 %"
WRITING = "`qemu-img bench -w`, 100,000 writes of 4 KiB, bitmaps that record: {}"
ROWS = [
    Row(FLEECING.format(1), partial(fleecing, 1), map_old_content),
    Row(FLEECING.format(4), partial(fleecing, 4), map_old_content, once=True),
    Row("`qemu-img bitmap --merge`, 16 TiB, 40 % into 1 %", TWO, MERGE, fresh=True),
    Row("`qemu-img bitmap --merge`, 16 TiB, 1 % into 40 %", TURNED, MERGE, fresh=True),
    Row(CLEARING, TWO, CLEAR, fresh=True),
    Row("open and close, 16 TiB, 10 stored bitmaps", TEN, OPEN, fresh=True),
    Row("the same, read-only", TEN, OPEN_TO_READ),
    *(Row(WRITING.format(n), disk(GIB, *[0] * n), writes, fresh=True) for n in (0, 1, 16, 50)),
    Row("all of a bitmap over NBD, 1 TiB, 40 % at random", DENSE, ALL_EXTENTS),
    Row("all of a bitmap over NBD, 16 TiB, 1 % at random", SPARSE, ALL_EXTENTS),
    Row("`qemu-img map` of a bitmap over NBD, 4 GiB, 40 % at random", SMALL, MAP_OVER_NBD),
]
