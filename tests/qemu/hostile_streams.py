# SPDX-License-Identifier: GPL-2.0-or-later
"""The hostile migration streams: what is wrong with each, and whether both builds take it well."""

import random
from typing import NamedTuple

import bitmap_stream as s
from bitmap_stream import Bitmap, Ends, Reading
from hostile_guest import GRANULE, NODES, Key, bitmaps

ALL = NODES[b"disk"] // s.SECTOR  # sectors
WORD = 64 * GRANULE // s.SECTOR  # sectors that a word of bits covers
WRAPPED = (1 << 55) - WORD  # this sector and a word later are at the two ends of 2^64 bytes
RIGHT = b"\x05" + bytes(11) + b"\x01\x00\x00\x00"
START, ON, END = s.start(), s.start(flags=s.ENABLED), s.complete()
OTHER = s.start(b"other", b"c", 4096)
OWN, NOBODY = (b"disk", b"own"), (b"disk", b"nobody")  # a bitmap that is there before, and none
NOTHING = b"\0\1\0\0\1"  # of a start: granularity and flags
SECOND_WORD = b"\x02" + bytes(7)
LAST = (1 << 32) - 1

# Entries of docs/differences.md that make stock do something else.
FAULTS = {
    "8": ["bits past the end", "nothing but bits past the end", "bits past the end, in two chunks"],
    "9": [
        "no end",
        "bits after the end",
        "zeroes after the end",
        "bits for a bitmap that is there",
    ],
    "15": ["zeroes from before 2^64 to past it", "zeroes from before 2^64 to the end"],
    "20": ["a disk of no bytes"],
}


class Case(NamedTuple):
    name: str
    data: bytes
    stock_faults: str = ""


def right(flags: int = s.ENABLED, bits: bytes = RIGHT) -> list[bytes]:
    return [s.start(flags=flags), s.bits(0, ALL, bits), END]


def sequences() -> dict[str, list[bytes]]:
    rest, all_right, ones, own = right()[1:], right()[1], b"\xff" * 8, s.bits(0, ALL, RIGHT, *OWN)
    two_chunks = [s.bits(0, WORD, ones), s.bits(WORD, ALL - WORD, ones)]
    of_other = s.chunk(s.BITS, b"other", None, all_right[1:])
    tail, only_tail = RIGHT[:12] + b"\x01\xff\xff\xff", bytes(12) + b"\xe0\xff\xff\xff"
    both_words = right(bits=b"\x01" + bytes(7) + SECOND_WORD)
    late = s.bits(0, ALL, bytes(8) + SECOND_WORD)
    all_flags = s.START | s.COMPLETE | s.BITS | s.ZEROES
    flags = ("00", "02", "8000", "80800000", "80810000", "ffffffff")
    granularities = (0, 1, 3, 256, 512, 65537, 1 << 31, LAST)
    return {
        "as it should be": right(),
        "disabled": right(flags=0),
        "persistent, and enabled": right(flags=s.ENABLED | s.PERSISTENT),
        "two bitmaps on two nodes": [*right(), OTHER, s.zeroes(0, 64 * 8), END],
        "bits for the bitmap of another node": [START, of_other, END],
        "no bits": [ON, END],
        "zeroes": [*right()[:2], s.zeroes(0, ALL), END],
        "bits for a bitmap that is there, and the end": [own, END],
        "a disk of no bytes, no end": [s.start(b"empty")],
        "1,000 bitmaps": [s.start(name=b"%d" % i) for i in range(1000)],
        "bits past the end": right(bits=tail),
        "nothing but bits past the end": right(bits=only_tail),
        "bits past the end, in two chunks": [START, *two_chunks, END],
        "no end": [ON, all_right],
        "bits after the end": [ON, END, late],
        "zeroes after the end": [*both_words, s.zeroes(0, ALL)],
        "bits for a bitmap that is there": [own],
        "a disk of no bytes": [s.start(b"empty"), END],
        "a node that is not there": [s.start(b"nobody"), *rest],
        "a node of no name": [s.start(b""), *rest],
        "no node": [s.chunk(s.START, None, b"b", NOTHING)],
        "no bitmap": [s.chunk(s.START, b"disk", None, NOTHING)],
        "bits of a bitmap that is not there": [s.bits(0, ALL, RIGHT, *NOBODY), END],
        "the end of a bitmap that is not there": [s.complete(*NOBODY)],
        "the end without a start": [END],
        "the end of a bitmap that is there": [s.complete(*OWN)],
        "the end twice": [*right(), END],
        "a bitmap twice": [START, START],
        "a bitmap twice, after its end": [*right(), START, END],
        "a bitmap that is there": [s.start(name=b"own"), END],
        "a bitmap of no name": [s.start(name=b""), *rest],
        "a name of 255 bytes": [s.start(name=b"n" * 255), *rest],
        "a name with a zero byte": [s.start(name=b"a\0b"), *rest],
        **{f"granularity {n:,}": [s.start(granularity=n), END] for n in granularities},
        **{f"start flags {n:#x}": [s.start(flags=n), END] for n in (4, 7, 8, 0x80, 0xFF)},
        **{f"chunk flags {n}": [bytes.fromhex(n), *right()] for n in flags},
        "all flags at once": [s.chunk(all_flags, b"disk", b"b", NOTHING), END],
    }


def sizes() -> dict[str, bytes]:
    """Chunks that come between a right start and a right end."""
    wide, words, far = (1 << 64) - 1, bytes(16), (1 << 54, 1 << 55, 1 << 63)
    lengths = (0, 1, WORD - 1, WORD, WORD + 1, ALL + 1, ALL + 127, 1 << 31, LAST)
    places = (1, WORD - 1, WORD, 2 * WORD, 1 << 32, *far, wide)
    bytes_given = (0, 8, 15, 17, 24, 32, 33, 40, 10240)
    bytes_said = (10241, 1 << 31, 1 << 63, wide)
    zeroes = (0, 1, WORD, ALL + 1, 1 << 31, LAST)
    return {
        **{f"{n} bytes for 16": s.bits(0, ALL, bytes(n)) for n in bytes_given},
        **{f"{n:,} bytes said": s.bits(0, ALL, words, length=n) for n in bytes_said},
        **{f"{n:,} sectors": s.bits(0, n, words) for n in lengths},
        **{f"zeroes, {n:,} sectors": s.zeroes(0, n) for n in zeroes},
        **{f"at sector {n:,}": s.bits(n, WORD, bytes(8)) for n in places},
        **{f"zeroes at sector {n:,}": s.zeroes(n, WORD) for n in (1, WORD, 2 * WORD, *far)},
        "bits from before 2^64 to past it": s.bits(WRAPPED, 2 * WORD, words),
        "zeroes from before 2^64 to past it": s.zeroes(WRAPPED, 2 * WORD),
        "zeroes from before 2^64 to the end": s.zeroes(WRAPPED, WORD + ALL),
    }


def streams() -> dict[str, bytes]:
    whole = s.stream(*right())
    places = range(whole.index(b"dirty-bitmap") + 20, len(whole) - 8, 9)
    return {
        **{name: s.stream(*chunks) for name, chunks in sequences().items()},
        **{name: s.stream(ON, chunk, END) for name, chunk in sizes().items()},
        "section of version 2": s.stream(*right(), version=2),
        "section of instance 1": s.stream(*right(), instance=1),
        "no footer": s.stream(*right(), footer=False),
        "no end of chunks": s.stream(*right(), end=b""),
        **{f"cut after {at} bytes": whole[:at] for at in places},
    }


def mutated(seed: int) -> Case:
    """Chunks that are right but for some bytes."""
    rng = random.Random(seed)
    chunks = bytearray(b"".join([*right(), OTHER, s.bits(0, 64 * 8, b"\x10" + bytes(7)), END]))
    for _ in range(rng.randrange(1, 3)):
        at = rng.randrange(len(chunks))
        flipped = chunks[at] ^ 1 << rng.randrange(8)
        values = [0, 1, 0x20, 0x40, 0x7F, 0x80, 0xFF, flipped, rng.randrange(256)]
        chunks[at] = rng.choice(values)
    return Case(f"mutated {seed}", s.stream(bytes(chunks)), "8 or 9")


def all_cases() -> list[Case]:
    faults = {name: entry for entry, names in FAULTS.items() for name in names}
    cases = [Case(name, data, faults.get(name, "")) for name, data in streams().items()]
    return cases + [mutated(seed) for seed in range(40)]


def meaning(data: bytes) -> tuple[str, dict[Key, Bitmap]]:
    """(how it ends, the bitmaps there are then) by the model."""
    head = data.find(b"dirty-bitmap")
    reading = Reading(data[head + 20 :], NODES, bitmaps())
    if head < 0 or data[head + 12 : head + 20] != b"\0\0\0\0\0\0\0\1":
        return "fails", {}
    try:
        reading.read()
    except Ends as end:
        return str(end), reading.bitmaps
    footer = s.stream(end=b"")[-13:]
    return "completed" if reading.data[reading.at :] == footer else "fails", reading.bitmaps
