# SPDX-License-Identifier: GPL-2.0-or-later
"""The hostile migration streams: what is wrong with each, and whether both builds take it well."""

import random
from dataclasses import dataclass
from typing import Any

import bitmap_stream as s
import hostile_guest
from bitmap_stream import Bitmap, Ends, Reading

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


START, ON, END = s.start(), s.start(flags=s.ENABLED), s.complete()
OTHER = s.start(b"other", b"c", 4096)
OWN = (b"disk", b"own")  # a bitmap that is there before
NOTHING = b"\0\1\0\0\1"  # of a start: granularity and flags
SECOND_WORD = b"\x02" + bytes(7)
LAST = (1 << 32) - 1


def contents() -> list[Case]:
    all_right, ones = s.bits(0, ALL, RIGHT), b"\xff" * 8
    two_chunks = [s.bits(0, WORD, ones), s.bits(WORD, ALL - WORD, ones)]
    of_other = s.chunk(s.BITS, b"other", None, all_right[1:])
    own = s.bits(0, ALL, RIGHT, *OWN)
    tail, only_tail = RIGHT[:12] + b"\x01\xff\xff\xff", bytes(12) + b"\xe0\xff\xff\xff"
    both_words = right(bits=b"\x01" + bytes(7) + SECOND_WORD)
    late = s.bits(0, ALL, bytes(8) + SECOND_WORD)
    return [
        case("as it should be", *right()),
        case("disabled", *right(flags=0)),
        case("persistent, and enabled", *right(flags=3)),
        case("bits past the end", *right(bits=tail), faults="8"),
        case("nothing but bits past the end", *right(bits=only_tail), faults="8"),
        case("bits past the end, in two chunks", START, *two_chunks, END, faults="8"),
        case("two bitmaps on two nodes", *right(), OTHER, s.zeroes(0, 64 * 8), END),
        case("bits for the bitmap of another node", START, of_other, END),
        case("no bits", ON, END),
        case("no end", ON, all_right, faults="9"),
        case("zeroes", *right()[:2], s.zeroes(0, ALL), END),
        case("bits after the end", ON, END, late, faults="9"),
        case("zeroes after the end", *both_words, s.zeroes(0, ALL), faults="9"),
        case("bits for a bitmap that is there", own, faults="9"),
        case("bits for a bitmap that is there, and the end", own, END),
        case("a disk of no bytes", s.start(b"empty"), END, faults="20"),
        case("a disk of no bytes, no end", s.start(b"empty")),
        case("1,000 bitmaps", *[s.start(name=b"%d" % i) for i in range(1000)]),
    ]


def sizes() -> list[Case]:
    wide, words = (1 << 64) - 1, bytes(16)
    far = (1 << 54, 1 << 55, 1 << 63)
    lengths = (0, 1, WORD - 1, WORD, WORD + 1, ALL + 1, ALL + 127, 1 << 31, LAST)
    places = (1, WORD - 1, WORD, 2 * WORD, 1 << 32, *far, wide)
    chunks = {
        **{f"{n} bytes for 16": s.bits(0, ALL, bytes(n)) for n in (0, 8, 15, 17, 24, 32, 33, 40)},
        "10240 bytes for 16": s.bits(0, ALL, bytes(10240)),
    }
    for n in (10241, 1 << 31, 1 << 63, wide):
        chunks[f"{n:,} bytes said"] = s.bits(0, ALL, words, length=n)
    chunks |= {f"{n:,} sectors": s.bits(0, n, words) for n in lengths}
    zeroes = (0, 1, WORD, ALL + 1, 1 << 31, LAST)
    chunks |= {f"zeroes, {n:,} sectors": s.zeroes(0, n) for n in zeroes}
    chunks |= {f"at sector {n:,}": s.bits(n, WORD, bytes(8)) for n in places}
    chunks |= {f"zeroes at sector {n:,}": s.zeroes(n, WORD) for n in (1, WORD, 2 * WORD, *far)}
    chunks["bits from before 2^64 to behind it"] = s.bits(WRAPPED, 2 * WORD, words)
    wrapped = {"to behind it": 2 * WORD, "to the end": WORD + ALL}
    return [
        *[case(about, ON, chunk, END) for about, chunk in chunks.items()],
        *[
            case(f"zeroes from before 2^64 {to}", ON, s.zeroes(WRAPPED, n), END, faults="15")
            for to, n in wrapped.items()
        ],
    ]


def names() -> list[Case]:
    rest, nobody = right()[1:], (b"disk", b"nobody")
    all_flags = s.START | s.COMPLETE | s.BITS | s.ZEROES
    flags = ("00", "02", "8000", "80800000", "80810000", "ffffffff")
    granularities = (0, 1, 3, 256, 512, 65537, 1 << 31, LAST)
    starts = {f"granularity {n:,}": s.start(granularity=n) for n in granularities}
    starts |= {f"start flags {n:#x}": s.start(flags=n) for n in (4, 7, 8, 0x80, 0xFF)}
    return [
        case("a node that is not there", s.start(b"nobody"), *rest),
        case("a node of no name", s.start(b""), *rest),
        case("no node", s.chunk(s.START, None, b"b", NOTHING)),
        case("no bitmap", s.chunk(s.START, b"disk", None, NOTHING)),
        case("bits of a bitmap that is not there", s.bits(0, ALL, RIGHT, *nobody), END),
        case("the end of a bitmap that is not there", s.complete(*nobody)),
        case("the end without a start", END),
        case("the end of a bitmap that is there", s.complete(*OWN)),
        case("the end twice", *right(), END),
        case("a bitmap twice", START, START),
        case("a bitmap twice, after its end", *right(), START, END),
        case("a bitmap that is there", s.start(name=b"own"), END),
        case("a bitmap of no name", s.start(name=b""), *rest),
        case("a name of 255 bytes", s.start(name=b"n" * 255), *rest),
        case("a name with a zero byte", s.start(name=b"a\0b"), *rest),
        *[case(about, start, END) for about, start in starts.items()],
        *[case(f"chunk flags {n}", bytes.fromhex(n), *right()) for n in flags],
        case("all flags at once", s.chunk(all_flags, b"disk", b"b", NOTHING), END),
        case("section of version 2", *right(), version=2),
        case("section of instance 1", *right(), instance=1),
        case("no footer", *right(), footer=False),
        case("no end of chunks", *right(), end=b""),
    ]


def cut() -> list[Case]:
    whole = s.stream(*right())
    places = range(whole.index(b"dirty-bitmap") + 20, len(whole) - 8, 9)
    return [Case(f"cut after {at} bytes", whole[:at]) for at in places]


MUTATED = 40


def mutated(seed: int) -> Case:
    """Chunks that are right but for some bytes."""
    rng = random.Random(seed)
    other = [OTHER, s.bits(0, 64 * 8, b"\x10" + bytes(7)), END]
    chunks = bytearray(b"".join([*right(), *other]))
    for _ in range(rng.randrange(1, 3)):
        at = rng.randrange(len(chunks))
        flipped = chunks[at] ^ 1 << rng.randrange(8)
        values = [0, 1, 0x20, 0x40, 0x7F, 0x80, 0xFF, flipped, rng.randrange(256)]
        chunks[at] = rng.choice(values)
    return case(f"mutated {seed}", bytes(chunks), faults="8 or 9")


def all_cases() -> list[Case]:
    mutants = [mutated(seed) for seed in range(MUTATED)]
    return [*contents(), *sizes(), *names(), *cut(), *mutants]


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
