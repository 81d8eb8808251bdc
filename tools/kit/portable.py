# SPDX-License-Identifier: GPL-2.0-or-later
"""What QEMU's C makes of the bitmaps of tests/portable.txt, on this (little-endian) host.

The rule that makes a bitmap of a line's numbers is the one of tests/portable.rs.
"""
import ctypes
import hashlib
from pathlib import Path

from . import places, say

FILE = places.ROOT / "tests" / "portable.txt"
WIDE = (1 << 64) - 1


def numbers(seed: int):
    while True:
        seed = (seed * 6364136223846793005 + 1442695040888963407) & WIDE
        yield seed >> 20


def load(library: Path):
    """QEMU's util/hbitmap.c, as oracle/build makes it."""
    loaded = ctypes.CDLL(str(library))
    item, bitmap = ctypes.c_uint64, ctypes.c_void_p
    for name, result, arguments in (
        ("alloc", bitmap, [item, ctypes.c_int]), ("free", None, [bitmap]),
        ("set", None, [bitmap, item, item]), ("reset", None, [bitmap, item, item]),
        ("serialization_size", item, [bitmap, item, item]),
        ("serialize_part", None, [bitmap, ctypes.c_void_p, item, item]),
        ("sha256", ctypes.c_void_p, [bitmap, ctypes.c_void_p]),
    ):
        function = getattr(loaded, f"hbitmap_{name}")
        function.restype, function.argtypes = result, arguments
    return loaded


def hashes(qemu, size: int, granularity: int, seed: int, sets: int, longest: int):
    """(SHA-256 of the serialised bytes, hbitmap_sha256) of a line's bitmap."""
    bitmap = qemu.hbitmap_alloc(size, granularity)
    number, unit = numbers(seed), 1 << granularity
    for change in range(sets):
        start = next(number) % size
        count = min(next(number) % longest + 1, size - start)
        if change % 4 == 3:
            first, end = start // unit * unit, min(-(-(start + count) // unit) * unit, size)
            qemu.hbitmap_reset(bitmap, first, end - first)
        else:
            qemu.hbitmap_set(bitmap, start, count)
    length = qemu.hbitmap_serialization_size(bitmap, 0, size)
    buffer = ctypes.create_string_buffer(length)
    qemu.hbitmap_serialize_part(bitmap, buffer, 0, size)
    text = ctypes.string_at(qemu.hbitmap_sha256(bitmap, None)).decode()
    qemu.hbitmap_free(bitmap)
    return hashlib.sha256(buffer.raw).hexdigest(), text


def check(library: Path) -> str:
    """Compares each line of tests/portable.txt with QEMU's C."""
    qemu, lines = load(library), [line for line in FILE.read_text().splitlines() if not line.startswith("#")]
    for line in lines:
        words = line.split()
        found = hashes(qemu, *(int(word) for word in words[:5]))
        if list(found) != words[5:]:
            raise say.Failure(f"{FILE.name}: {line}\nQEMU's C gives: {' '.join(found)}")
    return f"{len(lines)} bitmaps"
