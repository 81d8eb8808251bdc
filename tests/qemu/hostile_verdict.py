# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether the drop-in took a hostile image as stock QEMU did, or better."""

import difflib
import hashlib

from hostile_tries import Outcome
from qdb_tools.qcow2 import IN_USE, Bitmaps


def within(bits: bytes, size: int, granularity: int) -> bytes:
    """The bits of a disk; what is past its end is 0."""
    number = int.from_bytes(bits, "little") & (1 << -(-size // granularity)) - 1
    return number.to_bytes(len(bits), "little")


def past_end(bitmaps: Bitmaps | None, size: int) -> bool:
    """Whether a bitmap that can be used has bits past the end of the disk."""
    usable = [(n, bits) for n, flags, bits in (bitmaps or {}).values() if not flags & IN_USE]
    return any(n < 64 and within(bits, size, 1 << n) != bits for n, bits in usable)


def same(stock: Outcome, ours: Outcome, size: int, tail: bool) -> list[str]:
    """What differs; with `tail`, the image had bits past the end, which stock keeps."""

    def told(outcome: Outcome) -> list[str]:
        return [line for line in outcome.out.splitlines() if not (tail and '"sha256":' in line)]

    def left(outcome: Outcome) -> object:
        """With `tail`: the bitmaps as stored, within the disk as it was."""
        bitmaps = {
            name: (n, flags, within(bits, size, 1 << n).rstrip(b"\0"))
            for name, (n, flags, bits) in (outcome.bitmaps or {}).items()
        }
        return (outcome.bitmaps is None, bitmaps) if tail else outcome.image

    found = []
    if (stock.code, stock.about) != (ours.code, ours.about):
        found.append(f"stock ended with {stock.about}, the drop-in with {ours.about}")
    if differing := list(difflib.unified_diff(told(stock), told(ours), n=0, lineterm="")):
        found.append(f"from stock to the drop-in: {' '.join(differing)[:600]}")
    if left(stock) != left(ours):
        found.append(f"the images differ afterwards: {left(stock)}, {left(ours)}")
    return found


def nothing_past_the_end(ours: Outcome, size: int, before: Bitmaps | None) -> list[str]:
    """What the drop-in reports of bitmaps lies within the disk, and is what the image has there."""
    found, stored = [], before or {}
    for name, about in (ours.seen or {}).items():
        granularity, count = about["granularity"], about["count"]
        if count > -(-size // granularity) * granularity:
            found.append(f"{name!r}: {count} bytes dirty of {size}")
        past = [area for area in about.get("regions", []) if sum(area) > size]
        found += [f"{name!r}: a dirty region {area} past the end {size}" for area in past]
        if name.encode() in stored and not about["in use"]:
            bits = within(stored[name.encode()][2], size, granularity)
            if about["sha256"] != hashlib.sha256(bits).hexdigest():
                found.append(f"{name!r}: the hash is not that of the bits within the disk")
            if count != int.from_bytes(bits, "little").bit_count() * granularity:
                found.append(f"{name!r}: {count} bytes dirty")
    for key, (n, flags, bits) in (ours.bitmaps or {}).items():
        # An image that could not be changed is as it was.
        changed = key not in stored or stored[key][2] != bits
        if changed and not flags & IN_USE and within(bits, size, 1 << n) != bits:
            found.append(f"{key!r}: stored with bits past the end")
    return found
