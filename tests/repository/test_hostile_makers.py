# SPDX-License-Identifier: GPL-2.0-or-later
"""The makers of hostile input, and their judges, without QEMU."""

from dataclasses import replace
from pathlib import Path

import bitmap_stream as s
import hostile_images
import pytest
from hostile_images import SIZE
from hostile_streams import ALL, all_cases, meaning, right
from hostile_tries import Outcome
from hostile_verdict import nothing_past_the_end, past_end, same
from qdb_tools import qcow2


def test_bitmaps_are_read_as_they_were_written(tmp_path: Path) -> None:
    bits = b"\x01\x80" + bytes(14)
    one = qcow2.Stored(name=b"one", bits=bits)
    two = qcow2.Stored(name=b"two", flags=0, granularity_bits=31, table=[qcow2.ALL_ONES])
    hostile_images.image(one, two).write(tmp_path / "disk")
    wanted = {b"one": (16, qcow2.AUTO, bits), b"two": (31, 0, b"\xff" * 8)}
    assert qcow2.stored(tmp_path / "disk") == wanted


@pytest.mark.parametrize("last, past", [(b"\x10", False), (b"\x20", True)])
def test_bits_past_the_end_are_seen(tmp_path: Path, last: bytes, past: bool) -> None:
    hostile_images.two_of(bytes(12) + last + bytes(3)).write(tmp_path / "disk")
    assert past_end(qcow2.stored(tmp_path / "disk"), SIZE) == past


def test_each_case_is_made_once() -> None:
    for names in ([c.name for c in hostile_images.all_cases()], [c.name for c in all_cases()]):
        assert len(names) == len(set(names))


ONE = Outcome(0, "a", "", {b"b": (16, 2, bytes(16))}, "hash")


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
    assert (ends, bitmaps[b"disk", b"b"].bits) == ("completed", 5 | 1 << 96)
    assert bitmaps[b"disk", b"b"].recording


def test_nothing_is_past_the_end() -> None:
    _, bitmaps = meaning(s.stream(s.start(), s.bits(0, ALL, b"\xff" * 16), s.complete()))
    assert bitmaps[b"disk", b"b"].bits == (1 << 101) - 1


def test_ends() -> None:
    assert meaning(s.stream(s.start(granularity=3)))[0] == "dies"
    assert meaning(s.stream(s.start(), s.start()))[0] == "fails"
    assert meaning(s.stream(*right(), end=b""))[0] == "fails"
    ends, bitmaps = meaning(s.stream(s.start(b"nobody")))
    assert (ends, set(bitmaps)) == ("completed", {(b"disk", b"own")})
