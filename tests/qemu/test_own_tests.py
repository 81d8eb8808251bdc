# SPDX-License-Identifier: GPL-2.0-or-later
"""QEMU's own tests, unmodified, on a QEMU that is built on the library.

tests/unit/test-hbitmap, and the iotests that go through bitmaps from end to end. With --everything
each unit test of the block layer, and each iotest that touches bitmaps or a job built on them; the
same is run on stock QEMU, and a test fails here if stock passes it (or does not run it) and the
library's build does otherwise.
"""

from functools import cache

import iotests
import pytest
from iotests import Result
from qdb_tools import source, symbols
from qdb_tools.build import PROGRAMS, UNIT_TESTS, Build


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    everything = metafunc.config.getoption("everything")
    if "unit_test" in metafunc.fixturenames:
        metafunc.parametrize("unit_test", UNIT_TESTS if everything else ["test-hbitmap"])
    if "iotest" in metafunc.fixturenames:
        cases = []
        for version in metafunc.config.getoption("qemu"):
            for image_format, names in iotests.plan(source.get(version), everything).items():
                # A worker of pytest-xdist runs ./check once for a version and format.
                group = pytest.mark.xdist_group(f"iotests-{version}-{image_format}")
                for name in names:
                    case = (version, image_format, name)
                    cases.append(pytest.param(*case, id="-".join(case), marks=group))
        metafunc.parametrize("version, image_format, iotest", cases, scope="session")


@pytest.mark.parametrize("program", [*PROGRAMS, "tests/unit/test-hbitmap"])
def test_no_c_left(dropin: Build, program: str) -> None:
    """No binary with the block layer has anything of QEMU's two files, each has the library."""
    assert symbols.of_c(dropin.program(program)) == []
    assert symbols.has_library(dropin.program(program))


def test_unit_test(dropin: Build, unit_test: str) -> None:
    good = iotests.unit_tests(dropin.program(f"tests/unit/{unit_test}"))
    assert good == iotests.HBITMAP_TESTS if unit_test == "test-hbitmap" else good > 0


@cache
def results_of(build: Build, image_format: str, everything: bool) -> dict[str, Result]:
    names = iotests.plan(source.get(build.version), everything)[image_format]
    return iotests.check(build, names, image_format)


def test_iotest(
    dropin: Build, image_format: str, iotest: str, request: pytest.FixtureRequest
) -> None:
    everything = bool(request.config.getoption("everything"))
    ours = results_of(dropin, image_format, everything)[iotest]
    if not everything:
        assert ours.status == "pass", ours.about
        return
    theirs = results_of(request.getfixturevalue("stock"), image_format, everything)[iotest]
    assert (ours.status == "not run") == (theirs.status == "not run"), (ours, theirs)
    assert ours.status != "fail" or theirs.status == "fail", (ours, theirs)
