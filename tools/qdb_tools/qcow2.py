# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes qcow2 images with bitmaps, right ones and wrong ones, and reads the bitmaps of an image.

The format is docs/interop/qcow2.txt of QEMU's source. Each field of a bitmap's directory entry and
of the header extension can be given as QEMU would never write it. Files are sparse.
"""

import os
import struct
from dataclasses import dataclass, field
from pathlib import Path

MAGIC = 0x514649FB
BITMAPS = 0x23852875  # the header extension
IN_USE, AUTO = 1, 2  # flags of a bitmap
ALL_ONES = 1  # a table entry without a cluster

# Magic, version, cluster bits, disk size, L1 size, L1, refcount table, its clusters, autoclear
# bits, refcount order, length.
HEADER = struct.Struct(">II12xIQ4xIQQI28xQII")
EXTENSION = struct.Struct(">IIQQ")
ENTRY = struct.Struct(">QIIBBHI")
Bitmaps = dict[bytes, tuple[int, int, bytes]]


def ceil(number: int, by: int) -> int:
    return -(-number // by)


def numbers(values: list[int]) -> bytes:
    return struct.pack(f">{len(values)}Q", *values)


@dataclass
class Stored:
    """A bitmap in the image. What is negative or has no entries is made right."""

    name: bytes = b"b"
    granularity_bits: int = 16
    flags: int = AUTO
    bits: bytes = b""  # as serialised; what is missing up to the end is clear
    table: list[int] = field(default_factory=list)  # its entries
    table_offset: int = -1
    table_size: int = -1
    kind: int = 1
    extra: int = 0
    name_size: int = -1
    padding: bytes = bytes(7)

    def entry(self) -> bytes:
        table = self.table_offset % (1 << 64), self.table_size % (1 << 32)
        name_size = len(self.name) if self.name_size < 0 else self.name_size
        about = self.flags, self.kind, self.granularity_bits, name_size, self.extra
        entry = ENTRY.pack(*table, *about) + self.name
        return entry + self.padding[: -len(entry) % 8]


@dataclass
class Image:
    """A qcow2 image without data. Its parts, also `pieces`, can be changed before `write`."""

    size: int
    cluster_bits: int = 16
    version: int = 3
    bitmaps: list[Stored] = field(default_factory=list)
    autoclear: int = -1
    # Instead of the right ones: count, reserved, size, offset, length.
    extension: dict[str, int] = field(default_factory=dict)
    end: int = -1  # cut the file here
    pieces: dict[int, bytes] = field(default_factory=dict)  # offset: bytes
    used: int = 0

    def __post_init__(self) -> None:
        self.cluster = 1 << self.cluster_bits

    def place(self, data: bytes, length: int | None = None) -> int:
        """Whole clusters at the end of the file for `data`; returns their offset."""
        at, length = self.used, len(data) if length is None else length
        self.used += max(ceil(length, self.cluster), 1) * self.cluster
        self.pieces[at] = data
        return at

    def lay_out(self) -> "Image":
        """Gives each part its place: header, L1, bitmaps' data and tables, directory."""
        self.l1_size = ceil(self.size, self.cluster**2 // 8)
        self.place(b"", self.cluster)
        self.l1 = self.place(b"", self.l1_size * 8)
        for bitmap in self.bitmaps:
            if not bitmap.table:
                bits = ceil(self.size, 1 << min(bitmap.granularity_bits, 63))
                starts = range(0, max(ceil(bits, 64) * 8, 1), self.cluster)
                clusters = [bitmap.bits[start : start + self.cluster] for start in starts]
                bitmap.table = [self.place(data) if any(data) else 0 for data in clusters]
            if bitmap.table_size < 0:
                bitmap.table_size = len(bitmap.table)
            if bitmap.table_offset < 0:
                bitmap.table_offset = self.place(numbers(bitmap.table))
        self.directory = b"".join(bitmap.entry() for bitmap in self.bitmaps)
        self.directory_offset = self.place(self.directory) if self.bitmaps else 0
        return self

    def count_references(self) -> tuple[int, int]:
        """(offset, clusters) of the table, after refcount blocks that count every cluster once."""
        per_block, used = self.cluster // 2, self.used // self.cluster
        blocks = clusters = 1  # those of the table
        while blocks * per_block < used + blocks + clusters:
            blocks += 1
            clusters = ceil(blocks * 8, self.cluster)
        total = used + blocks + clusters
        counts = [min(per_block, total - first) for first in range(0, total, per_block)]
        places = [self.place(b"\0\1" * count) for count in counts]
        return self.place(numbers(places), clusters * self.cluster), clusters

    def write(self, path: Path) -> None:
        table = self.count_references()
        autoclear = int(bool(self.bitmaps)) if self.autoclear < 0 else self.autoclear
        disk = self.version, self.cluster_bits, self.size, self.l1_size, self.l1
        header = HEADER.pack(MAGIC, *disk, *table, autoclear, 4, HEADER.size)
        header = header[: 72 if self.version == 2 else HEADER.size]
        if self.bitmaps or self.extension:
            right = {"count": len(self.bitmaps), "size": len(self.directory)}
            right |= {"offset": self.directory_offset, "reserved": 0, "length": EXTENSION.size}
            given = right | self.extension
            header += struct.pack(">II", BITMAPS, given["length"])
            header += EXTENSION.pack(*[given[f] for f in ("count", "reserved", "size", "offset")])
        header += bytes(8)
        with open(path, "wb") as file:
            file.truncate(self.used)
            for at, data in self.pieces.items():
                os.pwrite(file.fileno(), data, at)
            os.pwrite(file.fileno(), header, 0)
            if self.end >= 0:
                file.truncate(self.end)


def stored(path: Path) -> Bitmaps:
    """{name: (granularity bits, flags, serialised bits)} of an image; `struct.error` and others
    if it has no readable directory."""
    with open(path, "rb") as file:

        def read(offset: int, length: int) -> bytes:
            """After the end of a file there are zeroes."""
            try:
                return os.pread(file.fileno(), length, offset).ljust(length, b"\0")
            except (OSError, OverflowError):
                return bytes(length)

        head = file.read(4096)
        _, _, cluster_bits, size, *_, at = HEADER.unpack_from(head)
        cluster, kind, start = 1 << cluster_bits, 0, 0
        while kind != BITMAPS:
            kind, length = struct.unpack_from(">II", head, at)
            if kind == 0:
                return {}
            start, at = at + 8, at + 8 + ceil(length, 8) * 8
        _, _, directory_size, offset = EXTENSION.unpack_from(head, start)
        file.seek(offset)
        directory, at = file.read(directory_size), 0
        result: Bitmaps = {}
        while at + ENTRY.size <= len(directory):
            entry = ENTRY.unpack_from(directory, at)
            table_offset, table_size, flags, _, granularity_bits, name_size, extra = entry
            start = at + ENTRY.size + extra
            name = directory[start : start + name_size]
            length = ceil(ceil(size, 1 << granularity_bits), 64) * 8
            count = min(ceil(length, cluster), table_size)
            table = struct.unpack(f">{count}Q", read(table_offset, 8 * count))
            whole = {0: bytes(cluster), ALL_ONES: b"\xff" * cluster}
            bits = b"".join(whole.get(place) or read(place, cluster) for place in table)
            # Of two with one name QEMU takes the first; a name is a C string.
            result.setdefault(name.split(b"\0")[0], (granularity_bits, flags, bits[:length]))
            at += ceil(ENTRY.size + extra + name_size, 8) * 8
        return result
