# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes qcow2 images with bitmaps, right ones and wrong ones, and reads the bitmaps of an image back.

The format is docs/interop/qcow2.txt of QEMU's source. Whatever QEMU would refuse to write can be written here: each field of a
bitmap's directory entry and of the header extension can be given as it shall be. Files are sparse: a disk of 16 TiB takes what
its bitmaps take.
"""

import os
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

MAGIC = 0x514649FB
BITMAPS = 0x23852875  # the header extension
AUTOCLEAR_BITMAPS = 1
IN_USE, AUTO = 1, 2  # flags of a bitmap
ALL_ONES = 1  # a table entry without a cluster

HEADER = struct.Struct(">IIQIIQIIQQIIQQQQII")
EXTENSION = struct.Struct(">IIQQ")
ENTRY = struct.Struct(">QIIBBHI")


Bitmaps = dict[bytes, tuple[int, int, bytes]]


def up(number: int, to: int) -> int:
    return -(-number // to) * to


@dataclass
class Stored:
    """A bitmap in the image. What is None, negative or has no entries is made right."""

    name: bytes = b"b"
    granularity_bits: int = 16
    flags: int = AUTO
    bits: bytes = b""  # as serialised; what is missing up to the end is clear
    table: list[int] = field(default_factory=list)  # its entries
    table_offset: int = -1
    table_size: int = -1
    kind: int = 1
    extra: int = 0
    name_size: int | None = None
    padding: bytes | None = None

    def entry(self) -> bytes:
        head = ENTRY.pack(
            self.table_offset & (1 << 64) - 1,
            self.table_size & 0xFFFFFFFF,
            self.flags,
            self.kind,
            self.granularity_bits,
            len(self.name) if self.name_size is None else self.name_size,
            self.extra,
        )
        padding = bytes(-(len(head) + len(self.name)) % 8) if self.padding is None else self.padding
        return head + self.name + padding


@dataclass
class Image:
    """A qcow2 image without data. The parts can be changed before `write`, also the bytes in `pieces`."""

    size: int
    cluster_bits: int = 16
    version: int = 3
    bitmaps: list[Stored] = field(default_factory=list)
    autoclear: int | None = None
    extension: dict[str, int] = field(
        default_factory=dict
    )  # count, reserved, size, offset, length: instead of the right ones
    end: int | None = None  # cut the file here
    pieces: dict[int, bytes] = field(default_factory=dict)  # offset: bytes
    used: int = 0
    l1: int = 0
    l1_size: int = 0
    directory: bytes = b""
    directory_offset: int = 0

    @property
    def cluster(self) -> int:
        return 1 << self.cluster_bits

    def place(self, data: bytes, length: int | None = None) -> int:
        """Whole clusters at the end of the file for `data`; returns their offset."""
        at = self.used
        self.used += up(max(len(data) if length is None else length, 1), self.cluster)
        self.pieces[at] = data
        return at

    def lay_out(self) -> "Image":
        """Gives each part its place. Header, then L1, bitmaps' data and tables, directory, refcounts."""
        entries_per_cluster = self.cluster // 8
        self.l1_size = -(-self.size // (self.cluster * entries_per_cluster))
        self.place(b"", self.cluster)
        self.l1 = self.place(b"", self.l1_size * 8)
        for bitmap in self.bitmaps:
            self.lay_out_bitmap(bitmap)
        self.directory = b"".join(bitmap.entry() for bitmap in self.bitmaps)
        self.directory_offset = self.place(self.directory) if self.bitmaps else 0
        return self

    def lay_out_bitmap(self, bitmap: Stored) -> None:
        if not bitmap.table:
            covered = (
                -(-self.size // (1 << bitmap.granularity_bits))
                if bitmap.granularity_bits < 63
                else 1
            )
            count = max(-(-up(covered, 64) // 8 // self.cluster), 1)
            clusters = [
                bitmap.bits[i * self.cluster : (i + 1) * self.cluster] for i in range(count)
            ]
            bitmap.table = [self.place(bits) if any(bits) else 0 for bits in clusters]
        if bitmap.table_size < 0:
            bitmap.table_size = len(bitmap.table)
        if bitmap.table_offset < 0:
            bitmap.table_offset = self.place(
                b"".join(struct.pack(">Q", entry) for entry in bitmap.table)
            )

    def count_references(self) -> tuple[int, int]:
        """(offset, clusters) of the table, after refcount blocks that count every cluster once."""
        per_block = self.cluster // 2
        table_clusters, blocks = 1, 0
        while True:
            total = self.used // self.cluster + table_clusters + blocks
            needed = -(-total // per_block)
            wanted = max(-(-needed * 8 // self.cluster), 1)
            if (needed, wanted) == (blocks, table_clusters):
                break
            blocks, table_clusters = needed, wanted
        one = struct.pack(">H", 1)
        places = [self.place(one * min(per_block, total - i * per_block)) for i in range(blocks)]
        table = self.place(
            b"".join(struct.pack(">Q", place) for place in places), table_clusters * self.cluster
        )
        return table, table_clusters

    def write(self, path: Path) -> None:
        table, table_clusters = self.count_references()
        given = dict(
            count=len(self.bitmaps),
            reserved=0,
            size=len(self.directory),
            offset=self.directory_offset,
            length=24,
        )
        given.update(self.extension)
        if self.autoclear is None:
            self.autoclear = AUTOCLEAR_BITMAPS if self.bitmaps else 0
        header = HEADER.pack(
            MAGIC,
            self.version,
            0,
            0,
            self.cluster_bits,
            self.size,
            0,
            self.l1_size,
            self.l1,
            table,
            table_clusters,
            0,
            0,
            0,
            0,
            self.autoclear,
            4,
            104,
        )
        if self.version == 2:
            header = header[:72]
        if self.bitmaps or self.extension:
            body = EXTENSION.pack(given["count"], given["reserved"], given["size"], given["offset"])
            header += struct.pack(">II", BITMAPS, given["length"]) + body
        header += struct.pack(">II", 0, 0)
        with open(path, "wb") as file:
            file.truncate(self.used)
            for at, data in self.pieces.items():
                os.pwrite(file.fileno(), data, at)
            first = self.pieces[0]
            os.pwrite(file.fileno(), header + first[len(header) :], 0)
            if self.end is not None:
                file.truncate(self.end)


def stored(path: Path) -> Bitmaps | None:
    """{name: (granularity bits, flags, serialised bits)} of an image that is right. None if it has no readable directory."""
    with open(path, "rb") as file:
        head = file.read(4096)
        if len(head) < HEADER.size or struct.unpack(">I", head[:4])[0] != MAGIC:
            return None
        cluster, size = (
            1 << struct.unpack(">I", head[20:24])[0],
            struct.unpack(">Q", head[24:32])[0],
        )
        at = struct.unpack(">I", head[100:104])[0]
        found = None
        while at + 8 <= len(head):
            kind, length = struct.unpack(">II", head[at : at + 8])
            if kind == 0:
                return {}
            if kind == BITMAPS:
                found = EXTENSION.unpack(head[at + 8 : at + 32])
                break
            at += 8 + up(length, 8)
        if found is None:
            return None
        _, _, directory_size, offset = found
        file.seek(offset)
        directory = file.read(directory_size)
        result: Bitmaps = {}
        at = 0
        while at + ENTRY.size <= len(directory):
            table_offset, table_size, flags, _, granularity_bits, name_size, extra = (
                ENTRY.unpack_from(directory, at)
            )
            name = directory[at + ENTRY.size + extra : at + ENTRY.size + extra + name_size]
            length = up(-(-size // (1 << granularity_bits)), 64) // 8
            count = min(-(-length // cluster), table_size)
            table = struct.unpack(f">{count}Q", at_most(file, table_offset, 8 * count))
            bits = b"".join(cluster_bits(file, entry, cluster) for entry in table)
            # Of two with one name QEMU takes the first; a name is a C string.
            result.setdefault(name.split(b"\0")[0], (granularity_bits, flags, bits[:length]))
            at += up(ENTRY.size + extra + name_size, 8)
        return result


def at_most(file: BinaryIO, offset: int, length: int) -> bytes:
    """Behind the end of a file there are zeroes."""
    try:
        return os.pread(file.fileno(), length, offset).ljust(length, b"\0")
    except (OSError, OverflowError):
        return bytes(length)


def cluster_bits(file: BinaryIO, entry: int, cluster: int) -> bytes:
    if entry == 0:
        return bytes(cluster)
    if entry == ALL_ONES:
        return b"\xff" * cluster
    return at_most(file, entry, cluster)
