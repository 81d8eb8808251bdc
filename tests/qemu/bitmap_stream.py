# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes a migration stream by hand that holds nothing but dirty bitmaps.

A machine of type `none` without memory takes it: the header, the name of the machine, one section `dirty-bitmap` of chunks
(QEMU's migration/block-dirty-bitmap.c), the end.
"""

import struct

EOS, ZEROES, BITMAP_NAME, DEVICE_NAME, START, COMPLETE, BITS = (1 << n for n in range(7))
ENABLED, PERSISTENT = 1, 2
SECTOR = 512

MACHINE = b"none"
SECTION, FULL_END, FOOTER, CONFIGURATION, DESCRIPTION = 0x01, 0x00, 0x7E, 0x07, 0x06


def counted(text: bytes) -> bytes:
    return bytes([len(text)]) + text


def chunk(
    flags: int, device: bytes | None = None, name: bytes | None = None, body: bytes = b""
) -> bytes:
    """A chunk; a given device or name sets its flag."""
    head = b""
    if device is not None:
        flags |= DEVICE_NAME
        head += counted(device)
    if name is not None:
        flags |= BITMAP_NAME
        head += counted(name)
    return bytes([flags]) + head + body


def start(
    device: bytes = b"disk", name: bytes = b"b", granularity: int = 65536, flags: int = 0
) -> bytes:
    return chunk(START, device, name, struct.pack(">IB", granularity, flags))


def bits(
    sector: int,
    sectors: int,
    data: bytes,
    device: bytes | None = None,
    name: bytes | None = None,
    length: int | None = None,
) -> bytes:
    body = struct.pack(">QIQ", sector, sectors, len(data) if length is None else length) + data
    return chunk(BITS, device, name, body)


def zeroes(
    sector: int, sectors: int, device: bytes | None = None, name: bytes | None = None
) -> bytes:
    return chunk(BITS | ZEROES, device, name, struct.pack(">QI", sector, sectors))


def complete(device: bytes | None = None, name: bytes | None = None) -> bytes:
    return chunk(COMPLETE, device, name)


def stream(
    *chunks: bytes,
    end: bytes = bytes([EOS]),
    version: int = 1,
    instance: int = 0,
    footer: bool = True,
) -> bytes:
    section = 7
    text = b"QEVM" + struct.pack(">I", 3)
    text += bytes([CONFIGURATION]) + struct.pack(">I", len(MACHINE)) + MACHINE
    text += (
        bytes([SECTION])
        + struct.pack(">I", section)
        + counted(b"dirty-bitmap")
        + struct.pack(">II", instance, version)
    )
    text += b"".join(chunks) + end
    if footer:
        text += bytes([FOOTER]) + struct.pack(">I", section)
    return text + bytes([FULL_END, DESCRIPTION]) + struct.pack(">I", 2) + b"{}"
