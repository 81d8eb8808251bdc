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


def two(second: Stored = RIGHT, end: int = -1, **first: Any) -> Image:
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
    offsets = [-1, *[-1 if own else 2 * GRANULE] * (count - 1)]
    empty = [
        Stored(b"%05d" % i, flags=flags, table=[0], table_offset=offsets[i]) for i in range(count)
    ]
    return image(*empty, cluster_bits=12 if own else 16)


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


def second(**given: Any) -> Stored:
    return Stored(**{"name": b"second", **given})


ONES = b"\xff"
FINE: dict[str, Any] = {"granularity_bits": 9}
COARSE: dict[str, Any] = {"granularity_bits": 31}
FINE_TAIL, COARSE_TAIL = b"\x01" + bytes(1599) + ONES * 8, b"\xfe" + ONES * 7
GIB = {**FINE, "size": 1 << 30, "table": [0]}
LARGEST = 1024 * 65535  # bytes of a directory
# Where the first bitmap's table may be said to be, and what its entry may say.
PLACES = (HEADER, L1, DIRECTORY - GRANULE, SECOND_TABLE - GRANULE + 8, FAR)
OWN_TABLE, OWN_DIRECTORY = TABLE + GRANULE, TABLE + 2 * GRANULE
ENTRIES = [1 << 3, 1 << 56, DATA | 1, DATA + 512, FAR, 0x00FFFFFFFFFF0000]
ENTRIES += [DATA, L1, OWN_TABLE, OWN_DIRECTORY]

MAKERS: Makers = {
    "bits past the end, nothing else": partial(two, bits=bytes(12) + b"\xe0" + ONES * 3),
    "one bit past the end": partial(two, bits=PLAIN[:12] + b"\x00\x00\x00\x80"),
    "all bits of the words": partial(two, bits=ONES * 16),
    "a whole cluster of ones": partial(two, bits=ONES * GRANULE),
    "ones after the last word": partial(two, bits=bytes(12) + b"\x10\0\0\0" + ONES * 1000),
    "table entry `all ones`": partial(two, table=[ALL_ONES]),
    "bits past the end, 512 bytes a bit": partial(two, second(**FINE), **FINE, bits=FINE_TAIL),
    "bits past the end, 2 GiB a bit": partial(two, second(**COARSE), **COARSE, bits=COARSE_TAIL),
    "bits that are right": two,
    "nothing set": partial(two, second(), bits=b""),
    **{f"table entry {value:#x}": partial(entry, value) for value in ENTRIES},
    **each("table at {:#x}", "table_offset", *PLACES, 1 << 63, (1 << 64) - GRANULE),
    "table shared by two bitmaps": partial(two, replace(RIGHT, table_offset=TABLE)),
    **each("table of {:,} entries", "table_size", 0, 2, 1 << 27, (1 << 27) + 1),
    "table of 8,192 entries, in use": partial(two, table_size=8192, flags=IN_USE),
    "table one entry too short": partial(single, **GIB, table_size=1),
    "table too short, in use": partial(single, **GIB, flags=IN_USE),
    # After the header, in a table, in data, before the directory, and in it.
    **each("image cut at {}", "end", 512, SECOND_TABLE + 4, DATA + 3, DIRECTORY, DIRECTORY + 30),
    # The directory's entries.
    **each("granularity bits {}", "granularity_bits", 0, 8, 9, 31, 32, 63, 64, 255, table=[0]),
    **each("flags {:#x}", "flags", 0, 1, 2, 3, 4, 0x80000000, 0xFFFFFFFF),
    **each("type {}", "kind", 0, 2, 255),
    **{f"name of {n:,} bytes": partial(two, name=b"n" * n) for n in (0, 1023, 1024, 65535)},
    **each("name {!r}", "name", b"zero\0byte", b"no UTF-8: \xff\xfe\xc0", b'newline\n, quote "\\'),
    **each("name of {:,} bytes said", "name_size", 1, 1000),
    "one name twice": partial(two, Stored(b"first")),
    "one name twice, one in use": partial(two, Stored(b"first", flags=IN_USE)),
    "one name twice, both in use": partial(two, Stored(b"first", flags=IN_USE), flags=IN_USE),
    **each("extra data of {:,} bytes", "extra", 1, 8, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF),
    "padding that is not zero": partial(two, padding=ONES * 3),
    "all bitmaps in use": partial(two, second(flags=IN_USE | AUTO), flags=IN_USE),
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
    "disk of 512 bytes": partial(single, 512, bits=ONES * 8),
    "disk of 64 bits": partial(single, 64 * GRANULE, bits=ONES * 8),
    "disk of 65 bits": partial(single, 65 * GRANULE, bits=ONES * 16),
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
