# SPDX-License-Identifier: GPL-2.0-or-later
"""The makers of hostile input, and their judges, without QEMU."""

from dataclasses import replace
from pathlib import Path

import bitmap_stream as s
import hostile_images
import hostile_streams
import pytest
from hostile_images import SIZE, image, two
from hostile_streams import ALL, meaning, right
from hostile_tries import Outcome
from hostile_verdict import nothing_past_the_end, past_end, same
from qdb_tools.qcow2 import ALL_ONES, AUTO, Stored, stored

ONE = Outcome(0, "a", "", {b"b": (16, 2, bytes(16))}, "hash")


def test_bitmaps_are_read_as_they_were_written(tmp_path: Path) -> None:
    bits = b"\x01\x80" + bytes(14)
    coarse = Stored(name=b"two", flags=0, granularity_bits=31, table=[ALL_ONES])
    image(Stored(name=b"one", bits=bits), coarse).write(tmp_path / "disk")
    wanted = {b"one": (16, AUTO, bits), b"two": (31, 0, b"\xff" * 8)}
    assert stored(tmp_path / "disk") == wanted


@pytest.mark.parametrize("last, past", [(b"\x10", False), (b"\x20", True)])
def test_bits_past_the_end_are_seen(tmp_path: Path, last: bytes, past: bool) -> None:
    two(bits=bytes(12) + last + bytes(3)).write(tmp_path / "disk")
    assert past_end(stored(tmp_path / "disk"), SIZE) == past


def test_each_case_is_made_once() -> None:
    for cases in (hostile_images.all_cases(), hostile_streams.all_cases()):
        assert len(cases) == len({case.name for case in cases})


def test_parts_of_images_are_where_the_cases_say() -> None:
    made, placed, moved = two(), hostile_images.entry(1), two(table_offset=hostile_images.FAR)
    places = [b.table_offset for b in made.bitmaps] + [b.table[0] for b in made.bitmaps]
    names = "TABLE SECOND_TABLE DATA SECOND_DATA L1 DIRECTORY".split()
    assert [*places, made.l1, made.directory_offset] == [vars(hostile_images)[n] for n in names]
    own = placed.bitmaps[1].table_offset, placed.directory_offset
    assert own == (hostile_images.OWN_TABLE, hostile_images.OWN_DIRECTORY)
    assert moved.directory_offset == hostile_images.PLACES[2]
    assert max(made.used, placed.used, moved.used) < hostile_images.FAR


@pytest.mark.parametrize("other", [{"code": 1}, {"out": "b"}, {"said": "oh"}, {"image": "other"}])
def test_what_differs_is_told(other: dict[str, object]) -> None:
    assert same(ONE, ONE, SIZE, False) == []
    assert len(same(ONE, replace(ONE, **other), SIZE, False)) == 1  # type: ignore[arg-type]


def test_a_tail_may_differ_and_nothing_else() -> None:
    tail = replace(ONE, bitmaps={b"b": (16, 2, bytes(15) + b"\x80")}, image="other")
    inside = replace(ONE, bitmaps={b"b": (16, 2, b"\1" + bytes(15))}, image="other")
    assert same(tail, ONE, SIZE, True) == []
    assert len(same(inside, ONE, SIZE, True)) == 1
    assert len(nothing_past_the_end(tail, SIZE, {})) == 1


def test_a_right_stream() -> None:
    ends, bitmaps = meaning(s.stream(*right()))
    bitmap = bitmaps[b"disk", b"b"]
    assert (ends, bitmap.bits, bitmap.recording) == ("completed", 5 | 1 << 96, True)


def test_nothing_is_past_the_end() -> None:
    _, bitmaps = meaning(s.stream(s.start(), s.bits(0, ALL, b"\xff" * 16), s.complete()))
    assert bitmaps[b"disk", b"b"].bits == (1 << 101) - 1


def test_ends() -> None:
    assert meaning(s.stream(s.start(granularity=3)))[0] == "dies"
    assert meaning(s.stream(s.start(), s.start()))[0] == "fails"
    assert meaning(s.stream(*right(), end=b""))[0] == "fails"
    ends, bitmaps = meaning(s.stream(s.start(b"nobody")))
    assert (ends, set(bitmaps)) == ("completed", {(b"disk", b"own")})
