# SPDX-License-Identifier: GPL-2.0-or-later
"""QEMU's own tests, unmodified, on a QEMU that is built on the library.

tests/unit/test-hbitmap, and the iotests that go through bitmaps from end to end. With --everything
each unit test of the block layer, and each iotest that touches bitmaps or a job built on them; the
same is run on stock QEMU, and a test fails here if stock passes it (or does not run it) and the
library's build does otherwise.
"""

import os
import re

import iotests
import pytest
from iotests import Result
from qdb_tools import source, symbols
from qdb_tools.build import PROGRAMS, UNIT_TESTS, Build
from qdb_tools.process import output

HBITMAP_TESTS = 40
Results = dict[str, Result]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    everything = metafunc.config.getoption("everything")
    if "unit_test" in metafunc.fixturenames:
        metafunc.parametrize("unit_test", UNIT_TESTS if everything else ["test-hbitmap"])
    if "iotest" in metafunc.fixturenames:
        # In groups of one version and format, so that a worker of pytest-xdist runs ./check once.
        cases = [
            pytest.param(
                version,
                image_format,
                name,
                id=f"{version}-{image_format}-{name}",
                marks=pytest.mark.xdist_group(f"iotests-{version}-{image_format}"),
            )
            for version in metafunc.config.getoption("qemu")
            for image_format, names in iotests.plan(source.get(version), everything).items()
            for name in names
        ]
        metafunc.parametrize("version, image_format, iotest", cases, scope="session")


@pytest.mark.parametrize("program", [*PROGRAMS, "tests/unit/test-hbitmap"])
def test_no_c_left(dropin: Build, program: str) -> None:
    """No binary with the block layer has anything of QEMU's two files, each has the library."""
    assert symbols.of_c(dropin.program(program)) == []
    assert symbols.has_library(dropin.program(program))


def test_unit_test(dropin: Build, unit_test: str) -> None:
    program = dropin.program(f"tests/unit/{unit_test}")
    folder = {"G_TEST_SRCDIR": str(program.parent), "G_TEST_BUILDDIR": str(program.parent)}
    code, said = output([program, "--tap", "-k"], env=os.environ | folder, timeout=300)
    good = len(re.findall(r"^ok \d+(?!.*# SKIP)", said, re.M))
    assert code == 0 and re.findall(r"^1\.\.(\d+)$", said, re.M) == [str(good)], said[-3000:]
    assert good == HBITMAP_TESTS if unit_test == "test-hbitmap" else good > 0


@pytest.fixture(scope="session")
def ran() -> dict[str, Results]:
    """The results of each run of ./check."""
    return {}


def results_of(
    ran: dict[str, Results], build: Build, image_format: str, everything: bool
) -> Results:
    run = f"{build.label}-{image_format}"
    if run not in ran:
        names = iotests.plan(source.get(build.version), everything)[image_format]
        ran[run] = iotests.check(build, names, image_format)
    return ran[run]


def test_iotest(
    dropin: Build,
    image_format: str,
    iotest: str,
    everything: bool,
    ran: dict[str, Results],
    request: pytest.FixtureRequest,
) -> None:
    ours = results_of(ran, dropin, image_format, everything)[iotest]
    if not everything:
        assert ours.status == "pass", ours.about
        return
    stock = request.getfixturevalue("stock")
    theirs = results_of(ran, stock, image_format, everything)[iotest]
    assert (ours.status == "not run") == (theirs.status == "not run"), (ours, theirs)
    assert ours.status != "fail" or theirs.status == "fail", (ours, theirs)
