# SPDX-License-Identifier: GPL-2.0-or-later
"""Plain models of a guest's writes, a bitmap and a disk's content: simple enough to be right."""

import hashlib
import os
import random
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

SECTOR = 512
MIB = 1 << 20


@dataclass(frozen=True)
class Write:
    """What a guest does: qemu-io's words for it, and the bytes that it covers."""

    kind: str  # write, zero, discard
    start: int
    length: int
    pattern: int = 0

    @property
    def end(self) -> int:
        return self.start + self.length

    @property
    def line(self) -> str:
        words = {"write": f"write -P {self.pattern}", "zero": "write -z", "discard": "discard"}
        return f"{words[self.kind]} {self.start} {self.length}"


def script(writes: Iterable[Write]) -> str:
    """What qemu-io reads from its stdin."""
    return "".join(f"{write.line}\n" for write in writes)


class Guest:
    """A seeded source of writes: all over the disk, one after the other, over earlier ones."""

    LENGTHS = [512, 4096, 12 * 1024, 64 * 1024, 300 * 1024, MIB]

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.earlier = [Write("write", 0, SECTOR)]

    def writes(self, count: int, within: range, others: str = "zero") -> list[Write]:
        """Mostly of kind `write`, and of the `others`."""
        kinds = ["write"] * 8 + others.split()
        for _ in range(count):
            last = self.random.choice(self.earlier[-50:])
            length = self.random.choice(self.LENGTHS)
            over = last.start + self.random.randrange(-length, last.length)
            anywhere = self.random.randrange(within.start, within.stop)
            start = self.random.choice([last.end, over, anywhere, anywhere])
            start = min(max(start, within.start), within.stop - length) // SECTOR * SECTOR
            kind, pattern = self.random.choice(kinds), self.random.randrange(1, 256)
            self.earlier.append(Write(kind, start, length, pattern))
        return self.earlier[-count:]


class Bitmap:
    """A dirty bitmap as a list of areas."""

    def __init__(self, size: int, granularity: int, recording: bool = True) -> None:
        self.size, self.granularity, self.recording = size, granularity, recording
        self.areas: list[tuple[int, int]] = []  # [start, end) in bytes, whole granules

    def add(self, start: int, end: int) -> None:
        g = self.granularity
        self.areas.append((start // g * g, -(-min(end, self.size) // g) * g))

    def record(self, writes: Iterable[Write]) -> None:
        if self.recording:
            for write in writes:
                self.add(write.start, write.end)

    def merge(self, other: "Bitmap") -> None:
        for start, end in other.joined():
            self.add(start, end)

    def clear(self) -> None:
        self.areas = []

    def joined(self) -> list[tuple[int, int]]:
        """Sorted areas that do not touch each other."""
        found: list[tuple[int, int]] = []
        for start, end in sorted(self.areas):
            if found and start <= found[-1][1]:
                before = found.pop()
                start, end = before[0], max(end, before[1])
            found.append((start, end))
        self.areas = found[:]
        return found

    @property
    def count(self) -> int:
        """Bytes in dirty granules, as QEMU counts: the last may reach past the disk's end."""
        return sum(end - start for start, end in self.joined())

    def within(self, other: "Bitmap") -> bool:
        """Whether each dirty byte is dirty in the other."""
        both = Bitmap(self.size, 1)
        both.areas = self.areas + other.areas
        return both.joined() == other.joined()

    def touches(self, write: Write) -> bool:
        return any(start < write.end and write.start < end for start, end in self.areas)

    def regions(self) -> list[tuple[int, int]]:
        """(start, length) of each dirty region within the disk."""
        return [(start, min(end, self.size) - start) for start, end in self.joined()]

    def sha256(self) -> str:
        """The hash of the bits as little-endian 64-bit words."""
        bits = -(-self.size // self.granularity)
        data = bytearray(max(-(-bits // 64), 1) * 8)
        for start, end in self.joined():
            first, last = start // self.granularity, end // self.granularity
            # The bytes of the run, as a number; then its bits in them.
            low, high = first // 8, -(-last // 8)
            ones = (1 << last - first) - 1 << first % 8
            old = int.from_bytes(data[low:high], "little")
            data[low:high] = (old | ones).to_bytes(high - low, "little")
        return hashlib.sha256(data).hexdigest()


def apply(writes: Iterable[Write], file: Path) -> None:
    """Writes to a raw file, which is then what must be on the disk."""
    with file.open("r+b", buffering=0) as disk:
        for write in writes:
            byte = bytes([write.pattern if write.kind == "write" else 0])
            os.pwrite(disk.fileno(), byte * write.length, write.start)
