# SPDX-License-Identifier: GPL-2.0-or-later
"""Tests of the plain models: what QEMU is compared with must itself be right."""
import hashlib
import unittest

from kit.plain import Bitmap, Guest, Write


class Plain(unittest.TestCase):
    def test_whole_granules_and_the_end_of_the_disk(self):
        bitmap = Bitmap(10_000, 4096)
        bitmap.record([Write("write", 9_500, 500), Write("write", 4095, 1)])
        self.assertEqual(bitmap.count, 2 * 4096)
        self.assertEqual(bitmap.regions(), [(0, 4096), (8192, 10_000 - 8192)])
        bitmap.record([Write("zero", 4096, 512)])
        self.assertEqual(bitmap.regions(), [(0, 10_000)])

    def test_hash_is_that_of_the_bits(self):
        bitmap = Bitmap(200 * 512, 512)
        for first, last in ((3, 4), (5, 30), (63, 66), (199, 200)):
            bitmap.add(first * 512, last * 512)
        bits = sum(1 << i for i in (3, *range(5, 30), 63, 64, 65, 199))
        self.assertEqual(bitmap.sha256(), hashlib.sha256(bits.to_bytes(32, "little")).hexdigest())

    def test_disabled_clear_merge(self):
        coarse, fine = Bitmap(1 << 20, 65536), Bitmap(1 << 20, 512, recording=False)
        for bitmap in (coarse, fine):
            bitmap.record([Write("write", 70_000, 1)])
        self.assertEqual((coarse.count, fine.count), (65536, 0))
        self.assertFalse(coarse.within(fine))
        fine.merge(coarse)
        self.assertTrue(coarse.within(fine))
        self.assertTrue(fine.touches(Write("write", 131_071, 1)))
        self.assertFalse(fine.touches(Write("write", 131_072, 1)))
        coarse.clear()
        self.assertEqual((coarse.count, fine.regions()), (0, [(65536, 65536)]))

    def test_writes_stay_in_their_part(self):
        part = range(1 << 30, 3 << 30)
        writes = Guest(1).writes(500, part, discards=True)
        self.assertEqual(writes, Guest(1).writes(500, part, discards=True))
        self.assertTrue(all(part.start <= w.start and w.start + w.length <= part.stop and w.start % 512 == 0 for w in writes))
        self.assertEqual({w.kind for w in writes}, {"write", "zero", "discard"})


if __name__ == "__main__":
    unittest.main()
