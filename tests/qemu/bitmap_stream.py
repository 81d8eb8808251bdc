# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes a migration stream by hand that holds nothing but dirty bitmaps.

A machine of type `none` without memory takes it: the header, the name of the machine, one section
`dirty-bitmap` of chunks (QEMU's migration/block-dirty-bitmap.c), the end.
"""

import struct

EOS, ZEROES, BITMAP_NAME, DEVICE_NAME, START, COMPLETE, BITS = (1 << n for n in range(7))
ENABLED, PERSISTENT = 1, 2
SECTOR = 512

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
