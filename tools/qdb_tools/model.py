# SPDX-License-Identifier: GPL-2.0-or-later
"""Plain models of a bitmap and of a disk's content: simple enough to be right."""

import hashlib
import os
import random
import subprocess
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
    def line(self) -> str:
        words = {"write": f"write -P {self.pattern}", "zero": "write -z", "discard": "discard"}
        return f"{words[self.kind]} {self.start} {self.length}"


class Guest:
    """A seeded source of writes: all over the disk, one after the other, over earlier ones."""

    LENGTHS = [512, 4096, 12 * 1024, 64 * 1024, 300 * 1024, MIB]

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.earlier = [Write("write", 0, SECTOR)]

    def writes(
        self, count: int, within: range, zeroes: bool = True, discards: bool = False
    ) -> list[Write]:
        kinds = ["write"] * 8 + ["zero"] * zeroes + ["discard"] * discards
        for _ in range(count):
            last = self.random.choice(self.earlier[-50:])
            length = self.random.choice(self.LENGTHS)
            place = self.random.randrange(4)
            if place == 0:
                start = last.start + last.length
            elif place == 1:
                start = last.start + self.random.randrange(-length, last.length)
            else:
                start = self.random.randrange(within.start, within.stop)
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
                self.add(write.start, write.start + write.length)

    def merge(self, *others: "Bitmap") -> None:
        for other in others:
            for start, end in other.joined():
                self.add(start, end)

    def clear(self) -> None:
        self.areas = []

    def joined(self) -> list[tuple[int, int]]:
        """Sorted areas that do not touch each other."""
        found: list[tuple[int, int]] = []
        for start, end in sorted(self.areas):
            if found and start <= found[-1][1]:
                found[-1] = (found[-1][0], max(end, found[-1][1]))
            else:
                found.append((start, end))
        self.areas = found[:]
        return found

    @property
    def count(self) -> int:
        """Bytes in dirty granules, as QEMU counts: the last may reach past the disk's end."""
        return sum(end - start for start, end in self.joined())

    def within(self, *others: "Bitmap") -> bool:
        """Whether each dirty byte is dirty in one of the others."""
        union, both = (Bitmap(self.size, self.granularity) for _ in range(2))
        union.merge(*others)
        both.merge(self, *others)
        return union.joined() == both.joined()

    def touches(self, write: Write) -> bool:
        one = Bitmap(self.size, self.granularity)
        one.record([write])
        return any(start < one.areas[0][1] and one.areas[0][0] < end for start, end in self.areas)

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
            run = (1 << last - first) - 1 << first % 8
            old = int.from_bytes(data[low:high], "little")
            data[low:high] = (old | run).to_bytes(high - low, "little")
        return hashlib.sha256(data).hexdigest()


class Content:
    """What must be on the disk, in a sparse raw file."""

    def __init__(self, file: Path, size: int) -> None:
        self.file = file
        file.touch()
        os.truncate(file, size)

    def apply(self, writes: Iterable[Write]) -> None:
        with self.file.open("r+b", buffering=0) as file:
            for write in writes:
                byte = bytes([write.pattern if write.kind == "write" else 0])
                os.pwrite(file.fileno(), byte * write.length, write.start)

    def copy(self, to: Path) -> Path:
        """What is on the disk now."""
        subprocess.run(["cp", "--sparse=always", self.file, to], check=True)
        return to
