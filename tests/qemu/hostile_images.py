# SPDX-License-Identifier: GPL-2.0-or-later
"""The hostile images: what is wrong with each, and what is known of how QEMU takes it."""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from qdb_tools.qcow2 import ALL_ONES, AUTO, IN_USE, Image, Stored

GRANULE = 65536
SIZE = 100 * GRANULE + 512  # 101 bits: the last word has 27 bits past the end
PLAIN = bytes([0x41, 0x00, 0xFF]) + bytes(9) + b"\x11\x00\x00\x00"  # 0, 6, 16 to 23, 96, 100
RIGHT = Stored(b"second", bits=b"\xf0" + bytes(15))
# Where `two` has its parts.
HEADER, L1, DATA, TABLE, SECOND_DATA, SECOND_TABLE, DIRECTORY = range(0, 7 * GRANULE, GRANULE)
FAR = 106 * GRANULE  # past the end of the file


@dataclass
class Case:
    name: str
    make: Callable[[], Image]
    only: tuple[str, ...] = ()  # the names of the tries that are made (default: all)
    long: bool = False  # takes minutes: QEMU goes through all bitmaps for each bitmap
    dies: tuple[str, ...] = ()  # what stock and the drop-in say as they die


def image(*bitmaps: Stored, size: int = SIZE, **more: Any) -> Image:
    copies = [replace(bitmap) for bitmap in bitmaps]
    return Image(size, bitmaps=copies or [Stored(bits=PLAIN)], **more).lay_out()


def two(second: Stored = RIGHT, end: int | None = None, **first: Any) -> Image:
    """A bitmap that may be wrong, and one that is right unless it is given."""
    named: dict[str, Any] = {"name": b"first", "bits": PLAIN, **first}
    return image(Stored(**named), second, end=end)


def entry(value: int) -> Image:
    """The bitmap that may be wrong has a table of this entry, after the parts of the other."""
    return image(RIGHT, Stored(b"first", table=[value]))


def single(size: int, cluster_bits: int = 16, **only: Any) -> Image:
    return image(Stored(b"first", **only), size=size, cluster_bits=cluster_bits)


def many(count: int, own: bool = False, flags: int = AUTO) -> Image:
    """`count` bitmaps, each with its own table, or all with the first's, which is after the L1."""
    empty = Stored(flags=flags, table=[0], table_offset=-1 if own else 2 * GRANULE)
    rest = [replace(empty, name=b"%05d" % i) for i in range(1, count)]
    return image(
        replace(empty, name=b"00000", table_offset=-1), *rest, cluster_bits=12 if own else 16
    )


def all_ones() -> Image:
    made = two()
    made.pieces[DIRECTORY] = b"\xff" * len(made.directory)
    return made


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


Makers = dict[str, Callable[[], Image]]


def each(about: str, field: str, *values: Any, **more: Any) -> Makers:
    """A case for each value of a field of the first bitmap; `about` says how it is called."""
    return {about.format(n): partial(two, **{field: n, **more}) for n in values}


def extension(about: str, field: str, *values: int) -> Makers:
    """The same for a field of the header's extension."""
    return {about.format(n): partial(image, extension={field: n}) for n in values}


FINE: dict[str, Any] = {"granularity_bits": 9}
COARSE: dict[str, Any] = {"granularity_bits": 31}
ONES = b"\x01" + bytes(1599) + b"\xff" * 8
GIB = {**FINE, "size": 1 << 30, "table": [0]}
LARGEST = 1024 * 65535  # bytes of a directory

MAKERS: Makers = {
    "bits past the end, nothing else": partial(two, bits=bytes(12) + b"\xe0\xff\xff\xff"),
    "one bit past the end": partial(two, bits=PLAIN[:12] + b"\x00\x00\x00\x80"),
    "all bits of the words": partial(two, bits=b"\xff" * 16),
    "a whole cluster of ones": partial(two, bits=b"\xff" * GRANULE),
    "ones after the last word": partial(two, bits=bytes(12) + b"\x10\0\0\0" + b"\xff" * 1000),
    "table entry `all ones`": partial(two, table=[ALL_ONES]),
    "bits past the end, 512 bytes a bit": partial(
        two, Stored(b"second", **FINE), **FINE, bits=ONES
    ),
    "bits past the end, 2 GiB a bit": partial(
        two, Stored(b"second", **COARSE), **COARSE, bits=b"\xfe" + b"\xff" * 7
    ),
    # What the table's only entry says, where it is, or how long it is.
    "bits that are right": two,
    "nothing set": partial(two, Stored(b"second"), bits=b""),
    "table entry, low reserved bit": partial(entry, 1 << 3),
    "table entry, high reserved bit": partial(entry, 1 << 56),
    "table entry, offset and `all ones`": partial(entry, DATA | 1),
    "table entry, offset not aligned": partial(entry, DATA + 512),
    "data past the end of the file": partial(entry, FAR),
    "data at the largest offset": partial(entry, 0x00FFFFFFFFFF0000),
    "data shared by two bitmaps": partial(entry, DATA),
    "data is the L1 table": partial(entry, L1),
    "data is the own table": partial(entry, TABLE + GRANULE),
    "data is the bitmap directory": partial(entry, TABLE + 2 * GRANULE),
    "table shared by two bitmaps": partial(two, replace(RIGHT, table_offset=TABLE)),
    "table is the directory": partial(two, table_offset=DIRECTORY - GRANULE),
    "table is the header": partial(two, table_offset=HEADER),
    "table is the L1 table": partial(two, table_offset=L1),
    "table at an odd place": partial(two, table_offset=SECOND_TABLE - GRANULE + 8),
    "table past the end of the file": partial(two, table_offset=FAR),
    "table at 2^63": partial(two, table_offset=1 << 63),
    "table at 2^64 - 64 KiB": partial(two, table_offset=(1 << 64) - GRANULE),
    "table of no entries": partial(two, table_size=0),
    "table one entry too long": partial(two, table_size=2),
    "table of 2^27 entries": partial(two, table_size=1 << 27),
    "table of 2^27 + 1 entries": partial(two, table_size=(1 << 27) + 1),
    "table of 8,192 entries, in use": partial(two, table_size=8192, flags=IN_USE),
    "table one entry too short": partial(single, **GIB, table_size=1),
    "table too short, in use": partial(single, **GIB, flags=IN_USE),
    "image cut in the table": partial(two, end=SECOND_TABLE + 4),
    "image cut in the data": partial(two, end=DATA + 3),
    "image cut before the directory": partial(two, end=DIRECTORY),
    "image cut in the directory": partial(two, end=DIRECTORY + 30),
    "image cut after the header": partial(two, end=512),
    # The directory's entries.
    **each("granularity bits {}", "granularity_bits", 0, 8, 9, 31, 32, 63, 64, 255, table=[0]),
    **each("flags {:#x}", "flags", 0, 1, 2, 3, 4, 0x80000000, 0xFFFFFFFF),
    **each("type {}", "kind", 0, 2, 255),
    "name of no length": partial(two, name=b""),
    "name of 1,023 bytes": partial(two, name=b"n" * 1023),
    "name of 1,024 bytes": partial(two, name=b"n" * 1024),
    "name of 65,535 bytes": partial(two, name=b"n" * 65535),
    "name longer than the directory": partial(two, name_size=1000),
    "name shorter than it is": partial(two, name_size=1),
    "name with a zero byte": partial(two, name=b"fi\0st"),
    "name that is no UTF-8": partial(two, name=b"\xff\xfe\xc0"),
    "name with a newline and a quote": partial(two, name=b'f\n"\\'),
    "one name twice": partial(two, Stored(b"first")),
    "one name twice, one in use": partial(two, Stored(b"first", flags=IN_USE)),
    "one name twice, both in use": partial(two, Stored(b"first", flags=IN_USE), flags=IN_USE),
    **each("extra data of {:,} bytes", "extra", 1, 8, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF),
    "padding that is not zero": partial(two, padding=b"\xff" * 3),
    "all bitmaps in use": partial(two, Stored(b"second", flags=IN_USE | AUTO), flags=IN_USE),
    "in use, `all ones`": partial(two, flags=IN_USE, table=[ALL_ONES]),
    # The header, and its extension.
    "autoclear bit not set": partial(image, autoclear=0),
    "an unknown autoclear bit": partial(image, autoclear=1 << 40 | 1),
    "qcow2 version 2": partial(image, version=2),
    **extension("extension of {} bytes", "length", 0, 8, 23, 25, 32),
    **extension("reserved field set", "reserved", 1),
    **extension("{:,} bitmaps said, 1 there", "count", 0, 2, 65535, 65536, 0xFFFFFFFF),
    **extension("directory of {:,} bytes", "size", 0, 8, 23, 24, 31, 33, 40),
    **extension("directory of {:,} bytes", "size", LARGEST, LARGEST + 1, 1 << 63),
    **extension("directory at {:#x}", "offset", 0, 8, 0x10000, 1 << 30, 1 << 56),
    **extension("directory at {:#x}", "offset", 1 << 63, (1 << 64) - 65536),
    "the directory is all ones": all_ones,
    "disk of no bytes": partial(single, 0, table=[0]),
    "disk of no bytes, in use": partial(single, 0, table=[0], flags=IN_USE),
    "disk of 512 bytes": partial(single, 512, bits=b"\xff" * 8),
    "disk of 64 bits": partial(single, 64 * GRANULE, bits=b"\xff" * 8),
    "disk of 65 bits": partial(single, 65 * GRANULE, bits=b"\xff" * 16),
    **{f"mutated {seed}": partial(mutated, seed) for seed in range(60)},
}
HUGE = partial(single, **FINE, table=[0], flags=IN_USE, cluster_bits=21)
TOO_LARGE = (r"size <= \(\(uint64_t\)1 << HBITMAP_LOG_MAX_SIZE\)",) * 2
# Neither gets the memory that it asks for: entry 24.
NO_MEMORY = "failed to allocate 274877906944 bytes", r"memory allocation of 27\d{10} bytes failed"
FEW = ("info", "check", "open")  # a hash of 2^41 bits takes minutes
SHARED = ("info", "check", "remove", "qsd")
SIZES = [
    Case("disk of 1 PiB, 512 bytes a bit, in use", partial(HUGE, 1 << 50), FEW, dies=NO_MEMORY),
    Case("disk of 2 PiB, 512 bytes a bit, in use", partial(HUGE, 1 << 51), FEW, dies=TOO_LARGE),
    Case("1,000 bitmaps that share a table", partial(many, 1000), SHARED),
    Case("8,192 bitmaps, each with its table", partial(many, 8192, own=True), ("check", "open")),
    Case("65,536 bitmaps", partial(many, 65536), FEW),
    Case("65,535 bitmaps", partial(many, 65535), ("info",), long=True),
    Case("65,535 bitmaps, each with its table", partial(many, 65535, True), ("open",), long=True),
    Case("65,535 bitmaps in use", partial(many, 65535, flags=IN_USE), ("info",), long=True),
]


def all_cases() -> list[Case]:
    return [*[Case(name, make) for name, make in MAKERS.items()], *SIZES]
