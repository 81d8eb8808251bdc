# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes a migration stream by hand that holds nothing but dirty bitmaps, and says what it means.

A machine of type `none` without memory takes it: the header, the name of the machine, one section
`dirty-bitmap` of chunks, the end. `Reading` is a plain reading of the chunks, as QEMU's
migration/block-dirty-bitmap.c takes them. Bitmaps are Python integers in it, so nothing can be
stale, and nothing can be past the end.
"""

import struct
from dataclasses import dataclass

EOS, ZEROES, BITMAP_NAME, DEVICE_NAME, START, COMPLETE, BITS = (1 << n for n in range(7))
ENABLED, PERSISTENT = 1, 2
SECTOR = 512
MOST = 10 << 10  # bytes of bits in a chunk
NUMBERS = 1 << 64

# Header of version 3, and the configuration section with the machine's name; then the section of
# id 7, and what follows it: end of the whole, and an empty description.
HEAD = b"QEVM\0\0\0\3" + b"\x07\0\0\0\4none" + b"\x01\0\0\0\7" + b"\x0cdirty-bitmap"
FOOTER, TAIL = b"\x7e\0\0\0\7", b"\0\x06\0\0\0\2{}"
Name = bytes | None


def chunk(flags: int, device: Name = None, name: Name = None, body: bytes = b"") -> bytes:
    """A chunk; a given device or name sets its flag."""
    head = b""
    for flag, text in (DEVICE_NAME, device), (BITMAP_NAME, name):
        if text is not None:
            flags |= flag
            head += bytes([len(text)]) + text
    return bytes([flags]) + head + body


def start(
    device: bytes = b"disk", name: bytes = b"b", granularity: int = 65536, flags: int = 0
) -> bytes:
    return chunk(START, device, name, struct.pack(">IB", granularity, flags))


def bits(sector: int, sectors: int, data: bytes, *names: Name, length: int | None = None) -> bytes:
    body = struct.pack(">QIQ", sector, sectors, len(data) if length is None else length)
    device, name = names or (None, None)
    return chunk(BITS, device, name, body + data)


def zeroes(sector: int, sectors: int) -> bytes:
    return chunk(BITS | ZEROES, body=struct.pack(">QI", sector, sectors))


def complete(device: Name = None, name: Name = None) -> bytes:
    return chunk(COMPLETE, device, name)


def stream(
    *chunks: bytes, end: bytes = b"\1", version: int = 1, instance: int = 0, footer: bool = True
) -> bytes:
    section = struct.pack(">II", instance, version) + b"".join(chunks) + end
    return HEAD + section + FOOTER * footer + TAIL


class Ends(Exception):
    """The stream ends the incoming QEMU: `fails` with an error, or `dies` of an assertion."""


@dataclass
class Bitmap:
    size: int
    granularity: int
    bits: int = 0
    recording: bool = True
    loading: str = ""  # what it will be when the migration is over

    @property
    def count(self) -> int:
        return -(-self.size // self.granularity)

    def words(self, first: int, length: int) -> int:
        """Bytes of the words that `length` bytes of disk from `first` on take; QEMU's assertions
        on both. The sum wraps at 2^64, and then the answer is a number that no chunk has.
        """
        if length == 0:
            return 0
        step, end = 64 * self.granularity, (first + length - 1) % NUMBERS
        last = end // self.granularity
        if first % step or last >= self.count or (last != self.count - 1 and length % step):
            raise Ends("dies")
        return (end // step - first // step + 1) * 8 % NUMBERS

    def load(self, first: int, data: bytes) -> None:
        at = first // self.granularity
        old = self.bits & ~(((1 << 8 * len(data)) - 1) << at)
        self.bits = (old | int.from_bytes(data, "little") << at) & (1 << self.count) - 1


@dataclass
class Reading:
    """Reads one section's payload; `bitmaps` is what there is afterwards."""

    data: bytes
    nodes: dict[bytes, int]  # bytes of each
    bitmaps: dict[tuple[bytes, bytes], Bitmap]
    at: int = 0
    node: bytes = b""  # none: no name is empty
    name: bytes = b""
    bitmap: Bitmap | None = None
    cancelled: bool = False

    def take(self, length: int) -> bytes:
        """Past the end there are zeroes: QEMU looks for an error at the end of a chunk alone."""
        self.at += length
        return self.data[self.at - length : self.at].ljust(length, b"\0")

    def number(self, form: str) -> tuple[int, ...]:
        return struct.unpack(form, self.take(struct.calcsize(form)))

    def whole(self, length: int) -> bytes:
        """What must be there."""
        self.fails_if(self.at + length > len(self.data))
        return self.take(length)

    def text(self) -> bytes:
        (length,) = self.take(1)
        self.fails_if(length == 0)
        return self.whole(length).split(b"\0")[0]  # QEMU goes on with a C string

    def fails_if(self, wrong: bool) -> None:
        if wrong:
            raise Ends("fails")

    def cancel_if(self, wrong: bool) -> None:
        self.cancelled |= wrong
        if self.cancelled:
            self.node, self.bitmap = b"", None
            for key in [key for key, bitmap in self.bitmaps.items() if bitmap.loading]:
                del self.bitmaps[key]

    def read(self) -> None:
        while not self.chunk() & EOS:
            pass

    def chunk(self) -> int:
        (flags,) = self.take(1)
        if flags & 0x80:
            # Flags may take four bytes, but QEMU keeps them in one.
            (flags,) = self.take(1)
            if flags & 0x80:
                flags = self.number(">H")[0] & 0xFF
        self.header(flags)
        if flags & START:
            self.start()
        elif flags & COMPLETE:
            if self.bitmap:
                self.bitmap.recording |= self.bitmap.loading == "enabled"
        elif flags & BITS:
            self.bits(flags)
        self.fails_if(self.at > len(self.data))
        return flags

    def header(self, flags: int) -> None:
        needed = flags not in (0, EOS)
        if flags & DEVICE_NAME:
            self.node = self.text()
        self.cancel_if(needed and self.node not in self.nodes)
        if flags & BITMAP_NAME:
            self.name = self.text()
            self.bitmap = self.bitmaps.get((self.node, self.name))
        new = flags & START and flags & BITMAP_NAME
        self.cancel_if(needed and self.bitmap is None and not new)

    def start(self) -> None:
        granularity, flags = self.number(">IB")
        if self.cancelled:
            return
        self.fails_if(self.bitmap is not None)
        if granularity < 512 or granularity & granularity - 1:
            raise Ends("dies")
        self.fails_if(flags & 0xF8 != 0)
        loading = "enabled" if flags & ENABLED else "disabled"
        self.bitmap = Bitmap(self.nodes[self.node], granularity, recording=False, loading=loading)
        self.bitmaps[self.node, self.name] = self.bitmap

    def bits(self, flags: int) -> None:
        sector, sectors = self.number(">QI")
        first, length = sector * SECTOR % NUMBERS, sectors * SECTOR
        data, zeroes = b"", flags & ZEROES
        if not zeroes:
            (size,) = self.number(">Q")
            self.fails_if(size > MOST)
            data = self.whole(size)
        if not self.bitmap:
            return  # cancelled
        needed = self.bitmap.words(first, length)
        if zeroes and first + length > NUMBERS:
            raise Ends("dies")
        self.cancel_if(not zeroes and not needed <= len(data) <= -(-needed // 32) * 32)
        if self.bitmap:
            self.bitmap.load(first, bytes(needed) if zeroes else data[:needed])
