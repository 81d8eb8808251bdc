# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether the drop-in took a hostile image as stock QEMU did, or better."""

import hashlib

from hostile_tries import Outcome
from qdb_tools.qcow2 import IN_USE, Bitmaps


def bits_of(size: int, granularity_bits: int) -> int:
    return -(-size // (1 << granularity_bits))


def masked(bits: bytes, count: int) -> bytes:
    """The first `count` bits; the others are 0."""
    number = int.from_bytes(bits, "little") & (1 << count) - 1
    return number.to_bytes(len(bits), "little")


def past_end(bitmaps: Bitmaps | None, size: int) -> bool:
    """Whether a bitmap that can be used has bits past the end of the disk."""
    return any(
        granularity_bits < 64
        and not flags & IN_USE
        and masked(bits, bits_of(size, granularity_bits)) != bits
        for granularity_bits, flags, bits in (bitmaps or {}).values()
    )


def without_hashes(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if '"sha256":' not in line)


def same(stock: Outcome, ours: Outcome, size: int, tail: bool) -> list[str]:
    """What differs; with `tail`, the image had bits past the end, which stock keeps."""
    found = []
    if stock.code != ours.code or stock.about != ours.about:
        found.append(f"stock ended with {stock.about}, the drop-in with {ours.about}")
    theirs, own = (without_hashes(o.out) if tail else o.out for o in (stock, ours))
    if theirs != own:
        found.append(f"stock told {differing(theirs, own)}, the drop-in {differing(own, theirs)}")
    if not tail:
        if stock.image != ours.image:
            found.append("the images differ afterwards")
    elif content(stock.bitmaps, size) != content(ours.bitmaps, size):
        found.append(
            f"the stored bitmaps differ: {content(stock.bitmaps, size)}, {content(ours.bitmaps, size)}"
        )
    return found


def differing(one: str, other: str) -> str:
    lines = other.splitlines()
    return " ".join(line.strip() for line in one.splitlines() if line not in lines)[:300]


def content(bitmaps: Bitmaps | None, size: int) -> Bitmaps | None:
    """Bitmaps as stored, within the disk as it was."""
    return bitmaps and {
        name: (granularity_bits, flags, masked(bits, bits_of(size, granularity_bits)).rstrip(b"\0"))
        for name, (granularity_bits, flags, bits) in bitmaps.items()
    }


def nothing_past_the_end(ours: Outcome, size: int, before: Bitmaps | None) -> list[str]:
    """What the drop-in reports of bitmaps lies within the disk, and is what the image has there."""
    found = []
    for name, about in (ours.seen or {}).items():
        g = about["granularity"]
        count = -(-size // g)
        if about["count"] > count * g:
            found.append(f"{name!r}: {about['count']} bytes dirty of {size}")
        for start, length in about.get("regions", []):
            if start + length > size:
                found.append(f"{name!r}: a dirty region {start}, {length} past the end {size}")
        stored = (before or {}).get(name.encode())
        if stored and not about["in use"]:
            bits = masked(stored[2], count)
            if about["sha256"] != hashlib.sha256(bits).hexdigest():
                found.append(f"{name!r}: the hash is not that of the bits within the disk")
            if about["count"] != int.from_bytes(bits, "little").bit_count() * g:
                found.append(f"{name!r}: {about['count']} bytes dirty")
    for key, (granularity_bits, flags, bits) in (ours.bitmaps or {}).items():
        # An image that could not be changed is as it was.
        was = (before or {}).get(key)
        if (
            not flags & IN_USE
            and (was is None or was[2] != bits)
            and masked(bits, bits_of(size, granularity_bits)) != bits
        ):
            found.append(f"{key!r}: stored with bits past the end")
    return found
