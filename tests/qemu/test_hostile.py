# SPDX-License-Identifier: GPL-2.0-or-later
"""Hostile images and hostile migration streams, given to the build on the library and to stock QEMU.

Some 200 qcow2 images whose bitmaps are wrong in all ways that the format allows (hostile_images.py),
and streams of dirty bitmaps that no QEMU sends (hostile_streams.py). With each image: qemu-img info,
check, repair, bitmap --add, --remove, --clear and --merge, resize, a write by qemu-io, and a storage
daemon that is asked for counts, hashes, and the bitmaps' regions over NBD. The drop-in must end as
stock does, with the same words, and leave the same image, or do better where docs/differences.md
says so; it must not report an item past the end of a disk.
"""

import re
import shutil
from pathlib import Path

import hostile_guest
import hostile_images
import hostile_streams
import hostile_tries
import pytest
from hostile_tries import DISK, Outcome
from hostile_verdict import nothing_past_the_end, past_end, same
from qdb_tools.build import Build
from qdb_tools.process import run


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "image" in metafunc.fixturenames:
        long = metafunc.config.getoption("long")
        cases = [case for case in hostile_images.all_cases() if long or not case.long]
        metafunc.parametrize("image", cases, ids=lambda case: case.name)


class Tries:
    """An image, and what both builds make of it."""

    def __init__(self, case: hostile_images.Case, builds: list[Build], folder: Path) -> None:
        image = case.make()
        image.write(folder / DISK)
        self.builds, self.folder, self.size = builds, folder, image.size
        self.names = [bitmap.name.split(b"\0")[0][:2000] for bitmap in image.bitmaps[:2]]
        self.before, _ = hostile_tries.contents(folder / DISK)
        self.has_tail = past_end(self.before, image.size)

    def outcomes(self, name: str) -> list[Outcome]:
        return [self.outcome(build, name) for build in self.builds]

    def outcome(self, build: Build, name: str) -> Outcome:
        folder = self.folder / build.label
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        run(["cp", "--sparse=always", self.folder / DISK, folder / DISK])
        return hostile_tries.attempt(build, folder, name, self.names)

    def past_the_end(self, outcome: Outcome) -> list[str]:
        return nothing_past_the_end(outcome, self.size, self.before)


def both_die_as_known(case: hostile_images.Case, stock: Outcome, ours: Outcome) -> bool:
    """Of the assertion that the case names, or of memory that is not there, each in its words."""
    if case.no_memory:
        no_memory = re.search(r"memory allocation of 27\d{10} bytes failed", ours.about)
        return "failed to allocate 274877906944 bytes" in stock.about and bool(no_memory)
    return bool(case.dies) and case.dies in stock.about and case.dies in ours.about


def test_image(image: hostile_images.Case, builds: list[Build], fast: Path) -> None:
    tries = Tries(image, builds, fast)
    problems, deaths = [], 0
    for name in image.only or hostile_tries.TRIES:
        stock, ours = tries.outcomes(name)
        if stock.died or ours.died:
            deaths += 1
            if not both_die_as_known(image, stock, ours):
                problems.append(f"{name}: stock {stock.about[-300:]}; drop-in {ours.about[-300:]}")
            continue
        found = same(stock, ours, tries.size, tries.has_tail) + tries.past_the_end(ours)
        problems += [f"{name}: {text}" for text in found]
    assert problems == []
    assert deaths or not (image.no_memory or image.dies), "stock QEMU did not die of it"


def test_stock_keeps_bits_past_the_end(builds: list[Build], fast: Path) -> None:
    """The comparison sees something."""
    case = next(case for case in hostile_images.all_cases() if case.name.startswith("bits past"))
    tries = Tries(case, builds, fast)
    assert tries.has_tail
    stock, ours = tries.outcomes("qsd")
    assert tries.past_the_end(stock) and not tries.past_the_end(ours)


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
