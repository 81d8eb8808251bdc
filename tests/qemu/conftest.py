# SPDX-License-Identifier: GPL-2.0-or-later
"""Fixtures of the tests that need QEMU. Each test runs for each version of `--qemu`.

version      7.2, 10.0 or 10.2
tree         the folder of that version's source (Debian's; fetched once)
stock        qdb_tools.build.Build of QEMU as it is: `.program("qemu-img")` and so on
dropin       the same QEMU on the library
builds       [stock, dropin]
oracle       a folder with QEMU's two C files as shared objects (oracle/build), and
             `oracle_with("-fsanitize=address")` the same with more flags of the compiler
machine      `machine(build, *arguments)` starts a qemu-system-x86_64 (qdb_tools.machine.Machine,
             which speaks through qemu.qmp: `.command`, `.ask`, `.event`); it ends with the test
daemon       `daemon(build, folder)` starts a qemu-storage-daemon in a folder
fast         a folder in memory (where there is room), that goes with the test
everything   whether --everything is given: each of QEMU's tests that touches bitmaps

Run by `tools/test`, or by `tools/test tests/qemu/test_x.py --qemu 10.0 -k NAME`. A test that can
not run fails: nothing is skipped. Two builds of QEMU at once never happen: they have a lock.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from qdb_tools import build, paths, source
from qdb_tools.build import Build
from qdb_tools.machine import Daemon, Machine
from qdb_tools.process import run

SPACE = 1 << 30  # bytes that a test may have in memory


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    # Which iotests there are depends on the version: test_own_tests.py makes the pairs.
    if "version" in metafunc.fixturenames and "iotest" not in metafunc.fixturenames:
        metafunc.parametrize("version", metafunc.config.getoption("qemu"), scope="session")


@pytest.fixture(scope="session")
def tree(version: str) -> Path:
    return source.get(version)


def made(version: str, stock: bool, config: pytest.Config) -> Build:
    if config.getoption("as_built"):
        return Build(version, stock)
    return build.build(version, stock)


@pytest.fixture(scope="session")
def stock(version: str, pytestconfig: pytest.Config) -> Build:
    return made(version, True, pytestconfig)


@pytest.fixture(scope="session")
def dropin(version: str, pytestconfig: pytest.Config) -> Build:
    return made(version, False, pytestconfig)


@pytest.fixture(scope="session")
def builds(stock: Build, dropin: Build) -> list[Build]:
    return [stock, dropin]


@pytest.fixture(scope="session")
def everything(pytestconfig: pytest.Config) -> bool:
    return bool(pytestconfig.getoption("everything"))


@pytest.fixture(scope="session")
def oracle_with(
    tree: Path, version: str, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    def make(flags: str) -> Path:
        folder = tmp_path_factory.mktemp("oracle")
        env = os.environ | {"ORACLE_CFLAGS": flags}
        run([paths.ROOT / "oracle" / "build", tree, folder], env=env)
        return folder

    return make


@pytest.fixture(scope="session")
def oracle(oracle_with: Callable[[str], Path]) -> Path:
    return oracle_with("")


@pytest.fixture
def fast() -> Iterator[Path]:
    with paths.fast_folder(SPACE) as folder:
        yield Path(folder)


@pytest.fixture
def machine() -> Iterator[Callable[..., Machine]]:
    started: list[Machine] = []

    def start(build: Build, *arguments: str, lives_at_most: int = 600) -> Machine:
        program = build.program("qemu-system-x86_64")
        started.append(Machine(program, *arguments, lives_at_most=lives_at_most))
        return started[-1]

    yield start
    for vm in started:
        vm.kill()


@pytest.fixture
def daemon() -> Iterator[Callable[..., Daemon]]:
    started: list[Daemon] = []

    def start(build: Build, folder: Path, lives_at_most: int = 60) -> Daemon:
        program = build.program("storage-daemon/qemu-storage-daemon")
        started.append(Daemon(program, folder, lives_at_most))
        return started[-1]

    yield start
    for process in started:
        process.kill()
