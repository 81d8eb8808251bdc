# SPDX-License-Identifier: GPL-2.0-or-later
"""The hostile images: what is wrong with each, and what is known of how QEMU takes it."""

import random
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from qdb_tools.qcow2 import ALL_ONES, AUTO, IN_USE, Image, Stored

GRANULE = 65536
SIZE = 100 * GRANULE + 512  # 101 bits: the last word has 27 bits past the end
SECTORS = SIZE // 512
TOTAL = -(-SIZE // GRANULE)
PLAIN = bytes([0x41, 0x00, 0xFF]) + bytes(9) + b"\x11\x00\x00\x00"  # 0, 6, 16 to 23, 96, 100


@dataclass
class Case:
    name: str
    make: Callable[[], Image]
    dies: str = ""  # the assertion that ends QEMU, on both sides
    no_memory: bool = False  # neither gets the memory that it asks for: entry 24
    only: tuple[str, ...] = ()  # the names of the tries that are made (default: all)
    long: bool = False  # takes minutes: QEMU goes through all bitmaps for each bitmap


def image(*bitmaps: Stored, size: int = SIZE, **more: Any) -> Image:
    return Image(size, bitmaps=list(bitmaps) or [Stored(bits=PLAIN)], **more).lay_out()


def two(**of_first: Any) -> Image:
    """One bitmap that may be wrong, one that is right."""
    return image(
        Stored(b"first", bits=PLAIN, **of_first), Stored(name=b"second", bits=b"\xf0" + bytes(15))
    )


def placed(table_of: Callable[[Image], list[int]]) -> Image:
    """Table entries that depend on where the parts are.

    `table_of(image)` of an image whose second bitmap is right.
    """
    made = image(Stored(name=b"second", bits=b"\xf0" + bytes(15)), Stored(name=b"first", table=[0]))
    entries = table_of(made)
    made.pieces[made.bitmaps[1].table_offset] = b"".join(
        struct.pack(">Q", entry) for entry in entries
    )
    return made


def changed_directory(change: Callable[[bytearray], None]) -> Image:
    made = two()
    data = bytearray(made.directory)
    change(data)
    made.pieces[made.directory_offset] = bytes(data)
    return made


def cut(where: Callable[[Image], int]) -> Image:
    made = two()
    made.end = where(made)
    return made


def many(
    count: int, size: int = SIZE, flags: int = AUTO, cluster_bits: int = 16, share: bool = True
) -> Image:
    """`count` bitmaps; with `share`, all have the table of the first, else each its own."""
    made = Image(size, cluster_bits=cluster_bits)
    table = -1
    for i in range(count):
        bitmap = Stored(name=b"%05d" % i, flags=flags, table=[0], table_offset=table)
        made.bitmaps.append(bitmap)
    if share:
        made.lay_out()
        first = made.bitmaps[0].table_offset
        for bitmap in made.bitmaps:
            bitmap.table_offset = first
        made.directory = b"".join(bitmap.entry() for bitmap in made.bitmaps)
        made.used = first + made.cluster
        made.pieces = {at: data for at, data in made.pieces.items() if at < made.used}
        made.directory_offset = made.place(made.directory)
        return made
    return made.lay_out()


# Values that are likely to hurt.
NUMBERS = [0, 1, 2, 0x7F, 0x80, 0xFF, 1 << 15, 1 << 31, 1 << 63, (1 << 64) - 1, GRANULE]


def mutated(seed: int) -> Image:
    """A right image with some bytes of its bitmap metadata changed."""
    rng = random.Random(seed)
    one, two = Stored(b"first", bits=PLAIN), Stored(b"second", table=[ALL_ONES])
    made = image(one, two, Stored(b"third", flags=IN_USE | AUTO))
    places = [(made.directory_offset, len(made.directory))] * 3
    places += [(bitmap.table_offset, 8 * len(bitmap.table)) for bitmap in made.bitmaps]
    for _ in range(rng.randrange(1, 4)):
        at, length = rng.choice(places)
        data = bytearray(made.pieces[at])
        width = rng.choice([1, 1, 1, 2, 4, 8])
        spot = rng.randrange(0, length - width + 1)
        value = rng.choice([*NUMBERS, rng.getrandbits(64)])
        data[spot : spot + width] = (value % (1 << 8 * width)).to_bytes(width, "big")
        made.pieces[at] = bytes(data)
    if rng.randrange(4) == 0:
        sizes = [("size", 8), ("size", len(made.directory) - 8)]
        name, value = rng.choice([("count", 2), ("count", 4), *sizes, ("offset", 0)])
        made.extension[name] = value
    return made


def two_of(bits: bytes) -> Image:
    return image(Stored(b"first", bits=bits), Stored(b"second", bits=b"\xf0" + bytes(15)))


def pair(second: Stored | None = None, size: int = SIZE, **first: Any) -> Image:
    """A first bitmap that may be wrong, and one without content that is right unless it is
    given."""
    named = {"name": b"first", **first}
    return image(Stored(**named), second or Stored(b"second"), size=size)


def single(size: int, cluster_bits: int = 16, **only: Any) -> Image:
    return image(Stored(b"first", **only), size=size, cluster_bits=cluster_bits)


def share_table() -> Image:
    made = two()
    made.bitmaps[1].table_offset = made.bitmaps[0].table_offset
    made.directory = b"".join(bitmap.entry() for bitmap in made.bitmaps)
    made.pieces[made.directory_offset] = made.directory
    return made


def moved_table(where: Callable[[Image], int]) -> Image:
    made = two()
    made.bitmaps[0].table_offset = where(made)
    made.directory = b"".join(bitmap.entry() for bitmap in made.bitmaps)
    made.pieces[made.directory_offset] = made.directory
    return made


def all_ones(directory: bytearray) -> None:
    directory[:] = b"\xff" * len(directory)


FINE: dict[str, Any] = {"granularity_bits": 9}
COARSE: dict[str, Any] = {"granularity_bits": 31}
EMPTY = bytes(12)
Makers = dict[str, Callable[[], Image]]

PAST_THE_END: Makers = {
    "bits past the end, nothing else": partial(two_of, EMPTY + b"\xe0\xff\xff\xff"),
    "one bit past the end": partial(two_of, PLAIN[:12] + b"\x00\x00\x00\x80"),
    "all bits of the words": partial(two_of, b"\xff" * 16),
    "a whole cluster of ones": partial(two_of, b"\xff" * GRANULE),
    "ones after the last word": partial(two_of, EMPTY + b"\x10\0\0\0" + b"\xff" * 1000),
    "table entry `all ones`": partial(pair, table=[ALL_ONES]),
    "bits past the end, 512 bytes a bit": lambda: pair(
        Stored(b"second", **FINE), **FINE, bits=b"\x01" + bytes(1599) + b"\xff" * 8
    ),
    "bits past the end, 2 GiB a bit": lambda: pair(
        Stored(b"second", **COARSE), **COARSE, bits=b"\xfe" + b"\xff" * 7
    ),
}
# What the table's only entry says, where it is, or how long it is.
FAR = 100 * GRANULE
TABLES: Makers = {
    "bits that are right": two,
    "nothing set": pair,
    "table entry, low reserved bit": lambda: placed(lambda _: [1 << 3]),
    "table entry, high reserved bit": lambda: placed(lambda _: [1 << 56]),
    "table entry, offset and `all ones`": lambda: placed(lambda i: [i.bitmaps[0].table[0] | 1]),
    "table entry, offset not aligned": lambda: placed(lambda i: [i.bitmaps[0].table[0] + 512]),
    "data past the end of the file": lambda: placed(lambda i: [i.used + FAR]),
    "data at the largest offset": lambda: placed(lambda _: [0x00FFFFFFFFFF0000]),
    "data shared by two bitmaps": lambda: placed(lambda i: [i.bitmaps[0].table[0]]),
    "data is the L1 table": lambda: placed(lambda i: [i.l1]),
    "data is the bitmap directory": lambda: placed(lambda i: [i.directory_offset]),
    "data is the own table": lambda: placed(lambda i: [i.bitmaps[1].table_offset]),
    "table shared by two bitmaps": share_table,
    "table is the directory": lambda: moved_table(lambda i: i.directory_offset),
    "table is the header": lambda: moved_table(lambda _: 0),
    "table is the L1 table": lambda: moved_table(lambda i: i.l1),
    "table at an odd place": lambda: moved_table(lambda i: i.bitmaps[0].table_offset + 8),
    "table past the end of the file": lambda: moved_table(lambda i: i.used + FAR),
    "table at 2^63": partial(two, table_offset=1 << 63),
    "table at 2^64 - 64 KiB": partial(two, table_offset=(1 << 64) - GRANULE),
    "table of no entries": partial(two, table_size=0),
    "table one entry too long": partial(two, table_size=2),
    "table of 2^27 entries": partial(two, table_size=1 << 27),
    "table of 2^27 + 1 entries": partial(two, table_size=(1 << 27) + 1),
    "table of 8,192 entries, in use": partial(two, table_size=8192, flags=IN_USE),
    "table one entry too short": partial(single, 1 << 30, **FINE, table=[0], table_size=1),
    "table too short, in use": partial(single, 1 << 30, **FINE, table=[0], flags=IN_USE),
    "image cut in the table": lambda: cut(lambda i: i.bitmaps[1].table_offset + 4),
    "image cut in the data": lambda: cut(lambda i: i.bitmaps[0].table[0] + 3),
    "image cut before the directory": lambda: cut(lambda i: i.directory_offset),
    "image cut in the directory": lambda: cut(lambda i: i.directory_offset + 30),
    "image cut after the header": lambda: cut(lambda _: 512),
}
TWICE = Stored(b"first")
TWICE_IN_USE = Stored(b"first", flags=IN_USE)


def each(about: str, maker: Callable[..., Image], field: str, *values: int, **more: Any) -> Makers:
    """A case for each value of a field; `about` says how it is called."""
    return {about.format(n): partial(maker, **{field: n}, **more) for n in values}


def each_of_extension(about: str, field: str, *values: int) -> Makers:
    """The same for a field of the header's extension."""
    return {about.format(n): partial(image, extension={field: n}) for n in values}


ENTRIES: Makers = {
    **each("granularity bits {}", two, "granularity_bits", 0, 8, 9, 31, 32, 63, 64, 255, table=[0]),
    **each("flags {:#x}", two, "flags", 0, 1, 2, 3, 4, 0x80000000, 0xFFFFFFFF),
    **each("type {}", two, "kind", 0, 2, 255),
    "name of no length": partial(pair, name=b"", bits=PLAIN),
    "name of 1,023 bytes": partial(pair, name=b"n" * 1023, bits=PLAIN),
    "name of 1,024 bytes": partial(pair, name=b"n" * 1024, bits=PLAIN),
    "name of 65,535 bytes": partial(pair, name=b"n" * 65535, bits=PLAIN),
    "name longer than the directory": partial(two, name_size=1000),
    "name shorter than it is": partial(two, name_size=1),
    "name with a zero byte": partial(pair, name=b"fi\0st", bits=PLAIN),
    "name that is no UTF-8": partial(pair, name=b"\xff\xfe\xc0", bits=PLAIN),
    "name with a newline and a quote": partial(pair, name=b'f\n"\\', bits=PLAIN),
    "one name twice": lambda: pair(replace(TWICE), bits=PLAIN),
    "one name twice, one in use": lambda: pair(replace(TWICE_IN_USE), bits=PLAIN),
    "one name twice, both in use": lambda: pair(replace(TWICE_IN_USE), flags=IN_USE),
    **each("extra data of {:,} bytes", two, "extra", 1, 8, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF),
    "padding that is not zero": partial(two, padding=b"\xff" * 3),
    "all bitmaps in use": lambda: pair(Stored(b"second", flags=IN_USE | AUTO), flags=IN_USE),
    "in use, `all ones`": partial(pair, flags=IN_USE, table=[ALL_ONES]),
}
LARGEST = 1024 * 65535  # bytes of a directory
HEADERS: Makers = {
    "autoclear bit not set": partial(image, autoclear=0),
    "an unknown autoclear bit": partial(image, autoclear=1 << 40 | 1),
    "qcow2 version 2": partial(image, version=2),
    **each_of_extension("extension of {} bytes", "length", 0, 8, 23, 25, 32),
    "reserved field set": partial(image, extension={"reserved": 1}),
    **each_of_extension("{:,} bitmaps said, 1 there", "count", 0, 2, 65535, 65536, 0xFFFFFFFF),
    **each_of_extension("directory of {:,} bytes", "size", 0, 8, 23, 24, 31, 33, 40),
    **each_of_extension("directory of {:,} bytes", "size", LARGEST, LARGEST + 1, 1 << 63),
    **each_of_extension("directory at {:#x}", "offset", 0, 8, 0x10000, 1 << 30, 1 << 56),
    **each_of_extension("directory at {:#x}", "offset", 1 << 63, (1 << 64) - 65536),
    "the directory is all ones": partial(changed_directory, all_ones),
}
# A hash of 2^41 bits takes minutes.
FEW = ("info", "check", "open")
HUGE: dict[str, Any] = {**FINE, "table": [0], "flags": IN_USE, "cluster_bits": 21}
TOO_LARGE = "size <= ((uint64_t)1 << HBITMAP_LOG_MAX_SIZE)"
OWN: dict[str, Any] = {"cluster_bits": 12, "share": False}
SIZES = [
    Case("disk of no bytes", partial(single, 0, table=[0])),
    Case("disk of no bytes, in use", partial(single, 0, table=[0], flags=IN_USE)),
    Case("disk of 512 bytes", partial(single, 512, bits=b"\xff" * 8)),
    Case("disk of 64 bits", partial(single, 64 * GRANULE, bits=b"\xff" * 8)),
    Case("disk of 65 bits", partial(single, 65 * GRANULE, bits=b"\xff" * 16)),
    Case(
        "disk of 1 PiB, 512 bytes a bit, in use",
        partial(single, 1 << 50, **HUGE),
        no_memory=True,
        only=FEW,
    ),
    Case(
        "disk of 2 PiB, 512 bytes a bit, in use",
        partial(single, 1 << 51, **HUGE),
        dies=TOO_LARGE,
        only=FEW,
    ),
    Case(
        "1,000 bitmaps that share a table",
        partial(many, 1000),
        only=("info", "check", "remove", "qsd"),
    ),
    Case("8,192 bitmaps, each with its table", partial(many, 8192, **OWN), only=FEW[1:]),
    Case("65,536 bitmaps", partial(many, 65536), only=FEW),
    Case("65,535 bitmaps", partial(many, 65535), only=("info",), long=True),
    Case(
        "65,535 bitmaps, each with its table",
        partial(many, 65535, **OWN),
        only=("open",),
        long=True,
    ),
    Case("65,535 bitmaps in use", partial(many, 65535, flags=IN_USE), only=("info",), long=True),
]
MUTATED = 60


def all_cases() -> list[Case]:
    makers = PAST_THE_END | TABLES | ENTRIES | HEADERS
    mutants = [Case(f"mutated {seed}", partial(mutated, seed)) for seed in range(MUTATED)]
    return [*[Case(name, make) for name, make in makers.items()], *SIZES, *mutants]
