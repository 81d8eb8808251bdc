# SPDX-License-Identifier: GPL-2.0-or-later
"""Fixtures of the tests that need QEMU. Each test runs for each version of `--qemu`.

Run by `tools/test`, or by `tools/test tests/qemu/test_x.py --qemu 10.0 -k NAME`. A test that can
not run fails: nothing is skipped. Two builds of QEMU at once never happen: they have a lock.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from qdb_tools import build, paths, source
from qdb_tools.build import Build
from qdb_tools.process import run


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    # Which iotests there are depends on the version: test_own_tests.py makes the pairs.
    if "version" in metafunc.fixturenames and "iotest" not in metafunc.fixturenames:
        metafunc.parametrize("version", metafunc.config.getoption("qemu"), scope="session")


@pytest.fixture(scope="session")
def tree(version: str) -> Path:
    """The folder of that version's source (Debian's; fetched once)."""
    return source.get(version)


@pytest.fixture(scope="session")
def made(pytestconfig: pytest.Config) -> Callable[..., Build]:
    """A build by version, stock, and variant: up to date, or with --as-built as it is."""

    def make(version: str, stock: bool, variant: str = "") -> Build:
        if pytestconfig.getoption("as_built"):
            return Build(version, stock, variant)
        return build.build(version, stock, variant=variant)

    return make


@pytest.fixture(scope="session")
def stock(version: str, made: Callable[..., Build]) -> Build:
    """QEMU as it is: `.program("qemu-img")` and so on."""
    return made(version, True)


@pytest.fixture(scope="session")
def dropin(version: str, made: Callable[..., Build]) -> Build:
    """The same QEMU on the library."""
    return made(version, False)


@pytest.fixture(scope="session")
def builds(stock: Build, dropin: Build) -> list[Build]:
    return [stock, dropin]


@pytest.fixture
def both(builds: list[Build], fast: Path) -> Callable[..., Any]:
    """What `scene(build, its folder)` comes to with stock QEMU, and with the drop-in."""

    def play(scene: Callable[[Build, Path], Any]) -> list[Any]:
        for each in builds:
            (fast / each.label).mkdir()
        return [scene(each, fast / each.label) for each in builds]

    return play


@pytest.fixture(scope="session")
def oracle_with(
    tree: Path, version: str, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], list[object]]:
    """Links a program with QEMU's two C files (oracle/build), compiled with these flags."""

    def make(flags: str) -> list[object]:
        folder = tmp_path_factory.mktemp("oracle")
        env = os.environ | {"ORACLE_CFLAGS": flags}
        run([paths.ROOT / "oracle" / "build", tree, folder], env=env)
        return [folder / "libqemu-dirty-bitmap-oracle.so", f"-Wl,-rpath,{folder}"]

    return make


@pytest.fixture
def fast() -> Iterator[Path]:
    """A folder in memory (where there is room), that goes with the test."""
    with paths.fast_folder(1 << 30) as folder:
        yield Path(folder)
