# SPDX-License-Identifier: GPL-2.0-or-later
"""Hostile images and hostile migration streams, given to the build on the library and to stock
QEMU.

Some 200 qcow2 images whose bitmaps are wrong in all ways that the format allows
(hostile_images.py), and streams of dirty bitmaps that no QEMU sends (hostile_streams.py). With each
image: qemu-img info, check, repair, bitmap --add, --remove, --clear and --merge, resize, a write by
qemu-io, and a storage daemon that is asked for counts, hashes, and the bitmaps' regions over NBD.
The drop-in must end as stock does, with the same words, and leave the same image, or do better
where docs/differences.md says so; it must not report an item past the end of a disk.
"""

import re
from pathlib import Path

import hostile_guest
import hostile_images
import hostile_streams
import pytest
from hostile_images import Case
from hostile_tries import DISK, TRIES, attempt, contents
from hostile_verdict import nothing_past_the_end, past_end, same
from qdb_tools.build import Build


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "image" in metafunc.fixturenames:
        long = metafunc.config.getoption("long")
        cases = [case for case in hostile_images.all_cases() if long or not case.long]
        metafunc.parametrize("image", cases, ids=lambda case: case.name)


def test_image(image: Case, builds: list[Build], fast: Path) -> None:
    made = image.make()
    made.write(fast / DISK)
    before, _ = contents(fast / DISK)
    problems, deaths = [], 0
    for name in image.only or TRIES:
        stock, ours = (attempt(build, fast, name, made) for build in builds)
        if stock.died or ours.died:
            deaths += 1
            about = stock.about, ours.about
            found = [] if image.dies and all(map(re.search, image.dies, about)) else [f"{about}"]
        else:
            found = same(stock, ours, made.size, past_end(before, made.size))
            found += nothing_past_the_end(ours, made.size, before)
        problems += [f"{name}: {text}" for text in found]
    assert problems == []
    assert deaths or not image.dies, "stock QEMU did not die of it"


def test_stock_keeps_bits_past_the_end(builds: list[Build], fast: Path) -> None:
    """The comparison sees something."""
    made = hostile_images.MAKERS["bits past the end, nothing else"]()
    made.write(fast / DISK)
    before, _ = contents(fast / DISK)
    assert past_end(before, made.size)
    stock, ours = (attempt(build, fast, "qsd", made) for build in builds)
    assert nothing_past_the_end(stock, made.size, before)
    assert not nothing_past_the_end(ours, made.size, before)


@pytest.mark.parametrize("stream", hostile_streams.all_cases(), ids=lambda case: case.name)
def test_stream(stream: hostile_streams.Case, builds: list[Build], fast: Path) -> None:
    stock, ours = (
        hostile_guest.migrate(build, fast / build.label, stream.data) for build in builds
    )
    ends, bitmaps = hostile_streams.meaning(stream.data)
    assert ours.ended == ends, ours.about
    if ours.ended == "completed":
        assert hostile_guest.as_modelled(ours, bitmaps) == []
    differs = stock.told != ours.told or stock.about != ours.about
    if not stream.stock_faults:
        assert not differs, (
            f"stock {stock.ended}, {stock.about}; drop-in {ours.ended}, {ours.about}"
        )
    elif "mutated" not in stream.name:
        assert differs, f"stock QEMU does not show {stream.stock_faults}"
