# SPDX-License-Identifier: GPL-2.0-or-later
"""The hostile images: what is wrong with each, and what is known of how QEMU takes it."""

import random
import struct
from collections.abc import Callable
from dataclasses import dataclass
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
        Stored(name=b"first", bits=PLAIN, **of_first),
        Stored(name=b"second", bits=b"\xf0" + bytes(15)),
    )


def placed(table_of: Callable[[Image], list[int]]) -> Image:
    """Table entries that depend on where the parts are: `table_of(image)` of an image whose second bitmap is right."""
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


def mutated(seed: int) -> Image:
    """A right image with some bytes of its bitmap metadata changed to values that are likely to hurt."""
    rng = random.Random(seed)
    made = image(
        Stored(name=b"first", bits=PLAIN),
        Stored(name=b"second", table=[ALL_ONES]),
        Stored(name=b"third", flags=IN_USE | AUTO),
    )
    places = [(made.directory_offset, len(made.directory))] * 3
    places += [(bitmap.table_offset, 8 * len(bitmap.table)) for bitmap in made.bitmaps]
    for _ in range(rng.randrange(1, 4)):
        at, length = rng.choice(places)
        data = bytearray(made.pieces[at])
        width = rng.choice([1, 1, 1, 2, 4, 8])
        spot = rng.randrange(0, length - width + 1)
        value = rng.choice(
            [
                0,
                1,
                2,
                0x7F,
                0x80,
                0xFF,
                1 << 15,
                1 << 31,
                1 << 63,
                (1 << 64) - 1,
                GRANULE,
                rng.getrandbits(64),
            ]
        )
        data[spot : spot + width] = (value % (1 << 8 * width)).to_bytes(width, "big")
        made.pieces[at] = bytes(data)
    if rng.randrange(4) == 0:
        name, value = rng.choice(
            [
                ("count", 2),
                ("count", 4),
                ("size", 8),
                ("size", len(made.directory) - 8),
                ("offset", 0),
            ]
        )
        made.extension[name] = value
    return made


def bits_past_the_end() -> list[Case]:
    tail = bytes(12) + b"\x00\x00\x00\x80"
    whole = b"\xff" * 16
    right_end = bytes(12) + b"\x10\x00\x00\x00"
    return [
        Case("bits past the end, nothing else", lambda: two_of(bytes(12) + b"\xe0\xff\xff\xff")),
        Case("one bit past the end", lambda: two_of(PLAIN[:12] + tail[12:])),
        Case("all bits of the words", lambda: two_of(whole)),
        Case("a whole cluster of ones", lambda: two_of(b"\xff" * GRANULE)),
        Case("ones behind the last word", lambda: two_of(right_end + b"\xff" * 1000)),
        Case(
            "table entry `all ones`",
            lambda: image(Stored(name=b"first", table=[ALL_ONES]), Stored(name=b"second")),
        ),
        Case(
            "bits past the end, 512 bytes a bit",
            lambda: image(
                Stored(
                    name=b"first", granularity_bits=9, bits=(b"\x01" + bytes(1599) + b"\xff" * 8)
                ),
                Stored(name=b"second", granularity_bits=9),
            ),
        ),
        Case(
            "bits past the end, 2 GiB a bit",
            lambda: image(
                Stored(name=b"first", granularity_bits=31, bits=b"\xfe" + b"\xff" * 7),
                Stored(name=b"second", granularity_bits=31),
            ),
        ),
    ]


def two_of(bits: bytes) -> Image:
    return image(Stored(name=b"first", bits=bits), Stored(name=b"second", bits=b"\xf0" + bytes(15)))


def tables() -> list[Case]:
    return [
        Case("bits that are right", two),
        Case("nothing set", lambda: image(Stored(name=b"first"), Stored(name=b"second"))),
        Case("table entry, low reserved bit", lambda: placed(lambda _: [1 << 3])),
        Case("table entry, high reserved bit", lambda: placed(lambda _: [1 << 56])),
        Case(
            "table entry, offset and `all ones`",
            lambda: placed(lambda i: [i.bitmaps[0].table[0] | ALL_ONES]),
        ),
        Case(
            "table entry, offset not aligned",
            lambda: placed(lambda i: [i.bitmaps[0].table[0] + 512]),
        ),
        Case("data behind the end of the file", lambda: placed(lambda i: [i.used + 100 * GRANULE])),
        Case("data at the largest offset", lambda: placed(lambda _: [0x00FFFFFFFFFF0000])),
        Case("data shared by two bitmaps", lambda: placed(lambda i: [i.bitmaps[0].table[0]])),
        Case("data is the L1 table", lambda: placed(lambda i: [i.l1])),
        Case("data is the bitmap directory", lambda: placed(lambda i: [i.directory_offset])),
        Case("data is the own table", lambda: placed(lambda i: [i.bitmaps[1].table_offset])),
        Case("table shared by two bitmaps", lambda: share_table()),
        Case("table is the directory", lambda: moved_table(lambda i: i.directory_offset)),
        Case("table is the header", lambda: moved_table(lambda i: 0)),
        Case("table is the L1 table", lambda: moved_table(lambda i: i.l1)),
        Case("table at an odd place", lambda: moved_table(lambda i: i.bitmaps[0].table_offset + 8)),
        Case(
            "table behind the end of the file",
            lambda: moved_table(lambda i: i.used + 100 * GRANULE),
        ),
        Case("table at 2^63", lambda: two(table_offset=1 << 63)),
        Case("table at 2^64 - 64 KiB", lambda: two(table_offset=(1 << 64) - GRANULE)),
        Case("table of no entries", lambda: two(table_size=0)),
        Case("table one entry too long", lambda: two(table_size=2)),
        Case("table of 2^27 entries", lambda: two(table_size=1 << 27)),
        Case("table of 2^27 + 1 entries", lambda: two(table_size=(1 << 27) + 1)),
        Case("table of 8,192 entries, in use", lambda: two(table_size=8192, flags=IN_USE)),
        Case(
            "table one entry too short",
            lambda: image(
                Stored(name=b"first", granularity_bits=9, table=[0], table_size=1), size=1 << 30
            ),
        ),
        Case(
            "table too short, in use",
            lambda: image(
                Stored(name=b"first", granularity_bits=9, table=[0], flags=IN_USE), size=1 << 30
            ),
        ),
        Case("image cut in the table", lambda: cut(lambda i: i.bitmaps[1].table_offset + 4)),
        Case("image cut in the data", lambda: cut(lambda i: i.bitmaps[0].table[0] + 3)),
        Case("image cut before the directory", lambda: cut(lambda i: i.directory_offset)),
        Case("image cut in the directory", lambda: cut(lambda i: i.directory_offset + 30)),
        Case("image cut after the header", lambda: cut(lambda i: 512)),
    ]


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


def entries() -> list[Case]:
    return [
        *[
            Case(f"granularity bits {n}", partial(two, granularity_bits=n, table=[0]))
            for n in (0, 8, 9, 31, 32, 63, 64, 255)
        ],
        *[
            Case(f"flags {n:#x}", partial(two, flags=n))
            for n in (0, 1, 2, 3, 4, 0x80000000, 0xFFFFFFFF)
        ],
        *[Case(f"type {n}", partial(two, kind=n)) for n in (0, 2, 255)],
        Case(
            "name of no length", lambda: image(Stored(name=b"", bits=PLAIN), Stored(name=b"second"))
        ),
        Case(
            "name of 1,023 bytes",
            lambda: image(Stored(name=b"n" * 1023, bits=PLAIN), Stored(name=b"second")),
        ),
        Case(
            "name of 1,024 bytes",
            lambda: image(Stored(name=b"n" * 1024, bits=PLAIN), Stored(name=b"second")),
        ),
        Case(
            "name of 65,535 bytes",
            lambda: image(Stored(name=b"n" * 65535, bits=PLAIN), Stored(name=b"second")),
        ),
        Case("name longer than the directory", lambda: two(name_size=1000)),
        Case("name shorter than it is", lambda: two(name_size=1)),
        Case(
            "name with a zero byte",
            lambda: image(Stored(name=b"fi\0st", bits=PLAIN), Stored(name=b"second")),
        ),
        Case(
            "name that is no UTF-8",
            lambda: image(Stored(name=b"\xff\xfe\xc0", bits=PLAIN), Stored(name=b"second")),
        ),
        Case(
            "name with a newline and a quote",
            lambda: image(Stored(name=b'f\n"\\', bits=PLAIN), Stored(name=b"second")),
        ),
        Case(
            "one name twice",
            lambda: image(Stored(name=b"first", bits=PLAIN), Stored(name=b"first")),
        ),
        Case(
            "one name twice, one in use",
            lambda: image(Stored(name=b"first", bits=PLAIN), Stored(name=b"first", flags=IN_USE)),
        ),
        Case(
            "one name twice, both in use",
            lambda: image(Stored(name=b"first", flags=IN_USE), Stored(name=b"first", flags=IN_USE)),
        ),
        *[
            Case(f"extra data of {n:,} bytes", partial(two, extra=n))
            for n in (1, 8, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
        ],
        Case("padding that is not zero", lambda: two(padding=b"\xff" * 3)),
        Case(
            "all bitmaps in use",
            lambda: image(
                Stored(name=b"first", flags=IN_USE), Stored(name=b"second", flags=IN_USE | AUTO)
            ),
        ),
        Case(
            "in use, `all ones`",
            lambda: image(
                Stored(name=b"first", flags=IN_USE, table=[ALL_ONES]), Stored(name=b"second")
            ),
        ),
    ]


def headers() -> list[Case]:
    return [
        Case("autoclear bit not set", lambda: image(autoclear=0)),
        Case("an unknown autoclear bit", lambda: image(autoclear=1 << 40 | 1)),
        Case("qcow2 version 2", lambda: image(version=2)),
        *[
            Case(f"extension of {n} bytes", partial(image, extension={"length": n}))
            for n in (0, 8, 23, 25, 32)
        ],
        Case("reserved field set", partial(image, extension={"reserved": 1})),
        *[
            Case(f"{n:,} bitmaps said, 1 there", partial(image, extension={"count": n}))
            for n in (0, 2, 65535, 65536, 0xFFFFFFFF)
        ],
        *[
            Case(f"directory of {n:,} bytes", partial(image, extension={"size": n}))
            for n in (0, 8, 23, 24, 31, 33, 40, 1024 * 65535, 1024 * 65535 + 1, 1 << 63)
        ],
        *[
            Case(f"directory at {n:#x}", partial(image, extension={"offset": n}))
            for n in (0, 8, 0x10000, 1 << 30, 1 << 56, 1 << 63, (1 << 64) - 65536)
        ],
        Case(
            "the directory is all ones",
            lambda: changed_directory(lambda d: d.__setitem__(slice(0, len(d)), b"\xff" * len(d))),
        ),
    ]


def sizes() -> list[Case]:
    # A hash of 2^41 bits takes minutes.
    few = ("info", "check", "open")
    return [
        Case("disk of no bytes", lambda: image(Stored(name=b"first", table=[0]), size=0)),
        Case(
            "disk of no bytes, in use",
            lambda: image(Stored(name=b"first", table=[0], flags=IN_USE), size=0),
        ),
        Case("disk of 512 bytes", lambda: image(Stored(name=b"first", bits=b"\xff" * 8), size=512)),
        Case(
            "disk of 64 bits",
            lambda: image(Stored(name=b"first", bits=b"\xff" * 8), size=64 * GRANULE),
        ),
        Case(
            "disk of 65 bits",
            lambda: image(Stored(name=b"first", bits=b"\xff" * 16), size=65 * GRANULE),
        ),
        Case(
            "disk of 1 PiB, 512 bytes a bit, in use",
            lambda: image(
                Stored(name=b"first", granularity_bits=9, table=[0], flags=IN_USE),
                size=1 << 50,
                cluster_bits=21,
            ),
            no_memory=True,
            only=few,
        ),
        Case(
            "disk of 2 PiB, 512 bytes a bit, in use",
            lambda: image(
                Stored(name=b"first", granularity_bits=9, table=[0], flags=IN_USE),
                size=1 << 51,
                cluster_bits=21,
            ),
            dies="size <= ((uint64_t)1 << HBITMAP_LOG_MAX_SIZE)",
            only=few,
        ),
        Case(
            "1,000 bitmaps that share a table",
            lambda: many(1000),
            only=("info", "check", "remove", "qsd"),
        ),
        Case(
            "8,192 bitmaps, each with its table",
            lambda: many(8192, cluster_bits=12, share=False),
            only=("check", "open"),
        ),
        Case("65,536 bitmaps", lambda: many(65536), only=("info", "check", "open")),
        Case("65,535 bitmaps", lambda: many(65535), only=("info",), long=True),
        Case(
            "65,535 bitmaps, each with its table",
            lambda: many(65535, cluster_bits=12, share=False),
            only=("open",),
            long=True,
        ),
        Case("65,535 bitmaps in use", lambda: many(65535, flags=IN_USE), only=("info",), long=True),
    ]


MUTATED = 60


def all_cases() -> list[Case]:
    return [
        *bits_past_the_end(),
        *tables(),
        *entries(),
        *headers(),
        *sizes(),
        *[Case(f"mutated {seed}", partial(mutated, seed)) for seed in range(MUTATED)],
    ]
