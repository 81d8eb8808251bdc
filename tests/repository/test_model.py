# SPDX-License-Identifier: GPL-2.0-or-later
"""The plain models: what QEMU is compared with must itself be right."""

import hashlib

from qdb_tools.model import Bitmap, Guest, Write


def test_whole_granules_and_the_end_of_the_disk() -> None:
    bitmap = Bitmap(10_000, 4096)
    bitmap.record([Write("write", 9_500, 500), Write("write", 4095, 1)])
    assert bitmap.count == 2 * 4096
    assert bitmap.regions() == [(0, 4096), (8192, 10_000 - 8192)]
    bitmap.record([Write("zero", 4096, 512)])
    assert bitmap.regions() == [(0, 10_000)]


def test_hash_is_that_of_the_bits() -> None:
    bitmap = Bitmap(200 * 512, 512)
    for first, last in ((3, 4), (5, 30), (63, 66), (199, 200)):
        bitmap.add(first * 512, last * 512)
    bits = sum(1 << i for i in (3, *range(5, 30), 63, 64, 65, 199))
    assert bitmap.sha256() == hashlib.sha256(bits.to_bytes(32, "little")).hexdigest()


def test_disabled_clear_merge() -> None:
    coarse, fine = Bitmap(1 << 20, 65536), Bitmap(1 << 20, 512, recording=False)
    for bitmap in (coarse, fine):
        bitmap.record([Write("write", 70_000, 1)])
    assert (coarse.count, fine.count) == (65536, 0)
    assert not coarse.within(fine)
    fine.merge(coarse)
    assert coarse.within(fine)
    assert fine.touches(Write("write", 131_071, 1))
    assert not fine.touches(Write("write", 131_072, 1))
    coarse.clear()
    assert (coarse.count, fine.regions()) == (0, [(65536, 65536)])


def test_writes_stay_in_their_part() -> None:
    part = range(1 << 30, 3 << 30)
    writes = Guest(1).writes(500, part, "zero discard")
    assert writes == Guest(1).writes(500, part, "zero discard")
    for write in writes:
        assert part.start <= write.start and write.start + write.length <= part.stop
        assert write.start % 512 == 0
    assert {w.kind for w in writes} == {"write", "zero", "discard"}
