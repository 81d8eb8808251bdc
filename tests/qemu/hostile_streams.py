# SPDX-License-Identifier: GPL-2.0-or-later
"""The hostile migration streams: what is wrong with each, and whether both builds take it well."""

import random
from dataclasses import dataclass
from typing import Any

import bitmap_stream as s
import hostile_guest
from stream_model import Bitmap, Ends, Reading

GRANULE = 65536
DISK = hostile_guest.NODES[b"disk"]
ALL = DISK // s.SECTOR  # sectors
RIGHT = b"\x05" + bytes(11) + b"\x01\x00\x00\x00"
WORD = 64 * GRANULE // s.SECTOR  # sectors that a word of bits covers
WRAPPED = (1 << 55) - WORD  # this sector and a word later are at the two ends of 2^64 bytes


@dataclass
class Case:
    name: str
    data: bytes
    stock_faults: str = ""  # the entry of docs/differences.md that makes stock do something else


def case(name: str, *chunks: bytes, faults: str = "", **more: Any) -> Case:
    return Case(name, s.stream(*chunks, **more), faults)


def right(*, flags: int = s.ENABLED, bits: bytes = RIGHT) -> list[bytes]:
    return [s.start(flags=flags), s.bits(0, ALL, bits), s.complete()]


def contents() -> list[Case]:
    return [
        case("as it should be", *right()),
        case("disabled", *right(flags=0)),
        case("persistent, and enabled", *right(flags=3)),
        case("bits past the end", *right(bits=RIGHT[:12] + b"\x01\xff\xff\xff"), faults="8"),
        case(
            "nothing but bits past the end",
            *right(bits=bytes(12) + b"\xe0\xff\xff\xff"),
            faults="8",
        ),
        case(
            "bits past the end, in two chunks",
            s.start(),
            s.bits(0, WORD, b"\xff" * 8),
            s.bits(WORD, ALL - WORD, b"\xff" * 8),
            s.complete(),
            faults="8",
        ),
        case(
            "two bitmaps on two nodes",
            *right(),
            s.start(b"other", b"c", 4096),
            s.zeroes(0, 64 * 8),
            s.complete(),
        ),
        case(
            "bits for the bitmap of another node",
            s.start(),
            s.chunk(s.BITS, b"other", None, s.bits(0, ALL, RIGHT)[1:]),
            s.complete(),
        ),
        case("no bits", s.start(flags=1), s.complete()),
        case("no end", s.start(flags=1), s.bits(0, ALL, RIGHT), faults="9"),
        case("zeroes", *right()[:2], s.zeroes(0, ALL), s.complete()),
        case(
            "bits after the end",
            s.start(flags=1),
            s.complete(),
            s.bits(0, ALL, bytes(8) + b"\x02" + bytes(7)),
            faults="9",
        ),
        case(
            "zeroes after the end",
            *right(bits=b"\x01" + bytes(7) + b"\x02" + bytes(7)),
            s.zeroes(0, ALL),
            faults="9",
        ),
        case("bits for a bitmap that is there", s.bits(0, ALL, RIGHT, b"disk", b"own"), faults="9"),
        case(
            "bits for a bitmap that is there, and the end",
            s.bits(0, ALL, RIGHT, b"disk", b"own"),
            s.complete(),
        ),
        case("a disk of no bytes", s.start(b"empty"), s.complete(), faults="20"),
        case("a disk of no bytes, no end", s.start(b"empty")),
        case("1,000 bitmaps", *[s.start(name=b"%d" % i) for i in range(1000)]),
    ]


def sizes() -> list[Case]:
    def of(about: str, *chunks: bytes, faults: str = "") -> Case:
        return case(about, s.start(flags=1), *chunks, s.complete(), faults=faults)

    return [
        *[
            of(f"{n} bytes for 16", s.bits(0, ALL, bytes(n)))
            for n in (0, 8, 15, 17, 24, 32, 33, 40, 10240)
        ],
        *[
            of(f"{n:,} bytes said", s.bits(0, ALL, bytes(16), length=n))
            for n in (10241, 1 << 31, 1 << 63, (1 << 64) - 1)
        ],
        *[
            of(f"{n:,} sectors", s.bits(0, n, bytes(16)))
            for n in (0, 1, WORD - 1, WORD, WORD + 1, ALL + 1, ALL + 127, 1 << 31, (1 << 32) - 1)
        ],
        *[
            of(f"zeroes, {n:,} sectors", s.zeroes(0, n))
            for n in (0, 1, WORD, ALL + 1, 1 << 31, (1 << 32) - 1)
        ],
        *[
            of(f"at sector {n:,}", s.bits(n, WORD, bytes(8)))
            for n in (
                1,
                WORD - 1,
                WORD,
                2 * WORD,
                1 << 32,
                1 << 54,
                1 << 55,
                1 << 63,
                (1 << 64) - 1,
            )
        ],
        *[
            of(f"zeroes at sector {n:,}", s.zeroes(n, WORD))
            for n in (1, WORD, 2 * WORD, 1 << 54, 1 << 55, 1 << 63)
        ],
        of("bits from before 2^64 to behind it", s.bits(WRAPPED, 2 * WORD, bytes(16))),
        of("zeroes from before 2^64 to behind it", s.zeroes(WRAPPED, 2 * WORD), faults="15"),
        of("zeroes from before 2^64 to the end", s.zeroes(WRAPPED, WORD + ALL), faults="15"),
    ]


def names() -> list[Case]:
    return [
        case("a node that is not there", s.start(b"nobody"), *right()[1:]),
        case("a node of no name", s.start(b""), *right()[1:]),
        case("no node", s.chunk(s.START, None, b"b", b"\0\1\0\0\1")),
        case("no bitmap", s.chunk(s.START, b"disk", None, b"\0\1\0\0\1")),
        case(
            "bits of a bitmap that is not there",
            s.bits(0, ALL, RIGHT, b"disk", b"nobody"),
            s.complete(),
        ),
        case("the end of a bitmap that is not there", s.complete(b"disk", b"nobody")),
        case("the end without a start", s.complete()),
        case("the end of a bitmap that is there", s.complete(b"disk", b"own")),
        case("the end twice", *right(), s.complete()),
        case("a bitmap twice", s.start(), s.start()),
        case("a bitmap twice, after its end", *right(), s.start(), s.complete()),
        case("a bitmap that is there", s.start(name=b"own"), s.complete()),
        case("a bitmap of no name", s.start(name=b""), *right()[1:]),
        case("a name of 255 bytes", s.start(name=b"n" * 255), *right()[1:]),
        case("a name with a zero byte", s.start(name=b"a\0b"), *right()[1:]),
        *[
            case(f"granularity {n:,}", s.start(granularity=n), s.complete())
            for n in (0, 1, 3, 256, 512, 65537, 1 << 31, (1 << 32) - 1)
        ],
        *[
            case(f"start flags {n:#x}", s.start(flags=n), s.complete())
            for n in (4, 7, 8, 0x80, 0xFF)
        ],
        *[
            case(f"chunk flags {n.hex()}", n, *right())
            for n in (
                b"\0",
                b"\x02",
                b"\x80\0",
                b"\x80\x80\0\0",
                b"\x80\x81\0\0",
                b"\xff\xff\xff\xff",
            )
        ],
        case(
            "all flags at once",
            s.chunk(s.START | s.COMPLETE | s.BITS | s.ZEROES, b"disk", b"b", b"\0\1\0\0\1"),
            s.complete(),
        ),
        case("section of version 2", *right(), version=2),
        case("section of instance 1", *right(), instance=1),
        case("no footer", *right(), footer=False),
        case("no end of chunks", *right(), end=b""),
    ]


def cut() -> list[Case]:
    whole = s.stream(*right())
    begin = whole.index(b"dirty-bitmap")
    return [
        Case(f"cut after {at} bytes", whole[:at]) for at in range(begin + 20, len(whole) - 8, 9)
    ]


MUTATED = 40


def mutated(seed: int) -> Case:
    """Chunks that are right but for some bytes."""
    rng = random.Random(seed)
    chunks = bytearray(
        b"".join(
            [
                *right(),
                s.start(b"other", b"c", 4096),
                s.bits(0, 64 * 8, b"\x10" + bytes(7)),
                s.complete(),
            ]
        )
    )
    for _ in range(rng.randrange(1, 3)):
        at = rng.randrange(len(chunks))
        chunks[at] = rng.choice(
            [
                0,
                1,
                0x20,
                0x40,
                0x7F,
                0x80,
                0xFF,
                chunks[at] ^ 1 << rng.randrange(8),
                rng.randrange(256),
            ]
        )
    return case(f"mutated {seed}", bytes(chunks), faults="8 or 9")


def all_cases() -> list[Case]:
    return [*contents(), *sizes(), *names(), *cut(), *[mutated(seed) for seed in range(MUTATED)]]


def meaning(data: bytes) -> tuple[str, dict[tuple[bytes, bytes], Bitmap]]:
    """(how it ends, the bitmaps there are then) by the model."""
    head = data.find(b"dirty-bitmap")
    reading = Reading(data[head + 20 :], hostile_guest.NODES, hostile_guest.bitmaps())
    if head < 0 or data[head + 12 : head + 20] != b"\0\0\0\0\0\0\0\1":
        return "fails", {}
    try:
        reading.read()
    except Ends as end:
        return str(end), reading.bitmaps
    rest = reading.data[reading.at :]
    return (
        "completed" if rest == s.stream(end=b"")[-len(rest) :] and len(rest) == 13 else "fails"
    ), reading.bitmaps
