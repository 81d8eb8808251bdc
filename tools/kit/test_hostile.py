# SPDX-License-Identifier: GPL-2.0-or-later
"""The makers of hostile input, and their judges, without QEMU."""
import tempfile
import unittest
from pathlib import Path

from kit import bitmap_stream as s
from kit import hostile_images, hostile_streams, hostile_tries, hostile_verdict, qcow2


class Qcow2(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name) / "disk.qcow2"

    def test_bitmaps_are_read_as_they_were_written(self):
        bits = b"\x01\x80" + bytes(14)
        stored = [qcow2.Stored(name=b"one", bits=bits), qcow2.Stored(name=b"two", flags=0, granularity_bits=31, table=[qcow2.ALL_ONES])]
        hostile_images.image(*stored).write(self.path)
        self.assertEqual(qcow2.stored(self.path), {b"one": (16, qcow2.AUTO, bits), b"two": (31, 0, b"\xff" * 8)})

    def test_bits_past_the_end_are_seen(self):
        for last, past in (b"\x10", False), (b"\x20", True):
            hostile_images.two_of(bytes(12) + last + bytes(3)).write(self.path)
            self.assertEqual(hostile_verdict.past_end(qcow2.stored(self.path), hostile_images.SIZE), past)

    def test_each_case_is_made_once(self):
        names = [case.name for case in hostile_images.all_cases()]
        self.assertEqual(len(names), len(set(names)))
        names = [case.name for case in hostile_streams.all_cases()]
        self.assertEqual(len(names), len(set(names)))

    def test_what_differs_is_told(self):
        one = hostile_tries.Outcome(0, "a", "", {b"b": (16, 2, bytes(16))}, "hash")
        self.assertEqual(hostile_verdict.same(one, one, 6554112, False), [])
        for other in (
            hostile_tries.Outcome(1, "a", "", one.bitmaps, "hash"), hostile_tries.Outcome(0, "b", "", one.bitmaps, "hash"),
            hostile_tries.Outcome(0, "a", "oh", one.bitmaps, "hash"), hostile_tries.Outcome(0, "a", "", one.bitmaps, "other"),
        ):
            self.assertEqual(len(hostile_verdict.same(one, other, 6554112, False)), 1)
        tail = hostile_tries.Outcome(0, "a", "", {b"b": (16, 2, bytes(15) + b"\x80")}, "other")
        self.assertEqual(hostile_verdict.same(tail, one, 6554112, True), [])
        inside = hostile_tries.Outcome(0, "a", "", {b"b": (16, 2, b"\1" + bytes(15))}, "other")
        self.assertEqual(len(hostile_verdict.same(inside, one, 6554112, True)), 1)
        self.assertEqual(len(hostile_verdict.nothing_past_the_end(tail, 6554112, {})), 1)


class Streams(unittest.TestCase):
    def meaning(self, *chunks, **more):
        return hostile_streams.meaning(s.stream(*chunks, **more))

    def test_a_right_stream(self):
        ends, bitmaps = self.meaning(*hostile_streams.right())
        self.assertEqual((ends, bitmaps[b"disk", b"b"].bits), ("completed", 5 | 1 << 96))
        self.assertTrue(bitmaps[b"disk", b"b"].recording)

    def test_nothing_is_past_the_end(self):
        _, bitmaps = self.meaning(s.start(), s.bits(0, hostile_streams.ALL, b"\xff" * 16), s.complete())
        self.assertEqual(bitmaps[b"disk", b"b"].bits, (1 << 101) - 1)

    def test_ends(self):
        self.assertEqual(self.meaning(s.start(granularity=3))[0], "dies")
        self.assertEqual(self.meaning(s.start(), s.start())[0], "fails")
        self.assertEqual(self.meaning(*hostile_streams.right(), end=b"")[0], "fails")
        ends, bitmaps = self.meaning(s.start(b"nobody"))
        self.assertEqual((ends, set(bitmaps)), ("completed", {(b"disk", b"own")}))


if __name__ == "__main__":
    unittest.main()
