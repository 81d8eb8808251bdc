# SPDX-License-Identifier: GPL-2.0-or-later
"""What a stream of dirty bitmaps means: a plain reading of the chunks, as QEMU's migration/block-dirty-bitmap.c takes them.

Bitmaps are Python integers here, so nothing can be stale, and nothing can be past the end.
"""

import struct
from dataclasses import dataclass

import bitmap_stream as s

CHUNK = 1 << 10
NUMBERS = 1 << 64


class Ends(Exception):
    """The stream ends the incoming QEMU: `fails` with an error, or `dies` of an assertion."""


@dataclass
class Bitmap:
    size: int
    granularity: int
    bits: int = 0
    recording: bool = True
    finished: bool = True  # whether what was loaded has been finished with COMPLETE
    loading: str = ""  # what it will be when the migration is over

    @property
    def count(self) -> int:
        return -(-self.size // self.granularity)

    def words(self, first: int, length: int) -> int:
        """Bytes of the words that `length` bytes of disk from `first` on take; QEMU's assertions on both. The sum wraps at 2^64,
        and then the answer is a number that no chunk has."""
        if length == 0:
            return 0
        step, last = 64 * self.granularity, (first + length - 1) % NUMBERS
        if first % step or last // self.granularity >= self.count:
            raise Ends("dies")
        if last // self.granularity != self.count - 1 and length % step:
            raise Ends("dies")
        return (last // step - first // step + 1) * 8 % NUMBERS

    def load(self, first: int, data: bytes) -> None:
        at = first // self.granularity
        mask = ((1 << 8 * len(data)) - 1) << at
        self.bits = (self.bits & ~mask | int.from_bytes(data, "little") << at) & (
            1 << self.count
        ) - 1
        self.finished = False


class Reading:
    """Reads one section's payload; `bitmaps` is what there is afterwards."""

    def __init__(
        self, data: bytes, nodes: dict[bytes, int], bitmaps: dict[tuple[bytes, bytes], Bitmap]
    ) -> None:
        self.data, self.at = data, 0
        self.nodes, self.bitmaps = nodes, bitmaps
        self.node = b""  # none: no name is empty
        self.bitmap: Bitmap | None = None
        self.cancelled = False
        self.name = b""

    @property
    def current(self) -> Bitmap:
        assert self.bitmap, "without one all is cancelled"
        return self.bitmap

    def take(self, length: int) -> bytes:
        """Behind the end there are zeroes: QEMU looks for an error at the end of a chunk alone."""
        self.at += length
        return self.data[self.at - length : self.at].ljust(length, b"\0")

    def whole(self, length: int) -> bytes:
        """What must be there."""
        if self.at + length > len(self.data):
            raise Ends("fails")
        return self.take(length)

    def number(self, form: str) -> tuple[int, ...]:
        return struct.unpack(form, self.take(struct.calcsize(form)))

    def text(self) -> bytes:
        length = self.take(1)[0]
        if length == 0:
            raise Ends("fails")
        # QEMU goes on with a C string.
        return self.whole(length).split(b"\0")[0]

    def cancel(self) -> None:
        if not self.cancelled:
            self.cancelled = True
            self.node, self.bitmap = b"", None
            for key in [key for key, bitmap in self.bitmaps.items() if bitmap.loading]:
                del self.bitmaps[key]

    def read(self) -> None:
        while not self.chunk() & s.EOS:
            pass

    def chunk(self) -> int:
        flags = self.take(1)[0]
        if flags & 0x80:
            # Flags may take four bytes, but QEMU keeps them in one.
            flags = self.take(1)[0]
            if flags & 0x80:
                flags = self.number(">H")[0] & 0xFF
        self.header(flags, flags == flags & s.EOS)
        if flags & s.START:
            self.start()
        elif flags & s.COMPLETE:
            if not self.cancelled:
                self.current.finished = True
                self.current.recording |= self.current.loading == "enabled"
        elif flags & s.BITS:
            self.bits(flags)
        if self.at > len(self.data):
            raise Ends("fails")
        return flags

    def header(self, flags: int, nothing: bool) -> None:
        if flags & s.DEVICE_NAME:
            device = self.text()
            if not self.cancelled:
                self.node = device if device in self.nodes else b""
                if not self.node:
                    self.cancel()
        elif not self.node and not nothing:
            self.cancel()
        if flags & s.BITMAP_NAME:
            name = self.text()
            if not self.cancelled:
                self.name = name
                self.bitmap = self.bitmaps.get((self.node, name))
                if self.bitmap is None and not flags & s.START:
                    self.cancel()
        elif self.bitmap is None and not nothing:
            self.cancel()

    def start(self) -> None:
        granularity, flags = self.number(">IB")
        if self.cancelled:
            return
        if self.bitmap is not None:
            raise Ends("fails")
        if granularity < 512 or granularity & granularity - 1:
            raise Ends("dies")
        if flags & 0xF8:
            raise Ends("fails")
        loading = "enabled" if flags & s.ENABLED else "disabled"
        self.bitmap = Bitmap(
            self.nodes[self.node], granularity, recording=False, finished=False, loading=loading
        )
        self.bitmaps[self.node, self.name] = self.bitmap

    def bits(self, flags: int) -> None:
        sector, sectors = self.number(">QI")
        first, length = sector * s.SECTOR % NUMBERS, sectors * s.SECTOR
        if flags & s.ZEROES:
            if not self.cancelled:
                self.zero(first, length)
            return
        (size,) = self.number(">Q")
        if size > 10 * CHUNK:
            raise Ends("fails")
        data = self.whole(size)
        if self.cancelled:
            return
        needed = self.current.words(first, length)
        if needed > size or size > -(-needed // 32) * 32:
            self.cancel()
        else:
            self.current.load(first, data[:needed])

    def zero(self, first: int, length: int) -> None:
        size = self.current.words(first, length)
        if first + length > NUMBERS:
            raise Ends("dies")
        self.current.load(first, bytes(size))
