# SPDX-License-Identifier: GPL-2.0-or-later
"""QEMU's C has the faults that docs/differences.md lists and a C program can show.

The library has not.

One C program (tests/qemu/evidence), linked with QEMU's two C files and with the library, both
watched by the same sanitizer.
"""

import os
import re
import tomllib
from collections.abc import Callable
from pathlib import Path

import checkers
import pytest
from qdb_tools import debian, paths
from qdb_tools.process import output, run

SOURCES = Path(__file__).with_name("evidence")
LIMIT = 120  # seconds
# How often a race is tried: whether it is seen depends on when which thread runs.
TRIES = 5


Row = dict[str, str]
CASES: dict[str, list[Row]] = tomllib.loads((SOURCES / "cases.toml").read_text())


class Pair:
    """The two programs that a file of evidence/ makes."""

    def __init__(self, checker: str, folder: Path, file: str, options: str, oracle: Path) -> None:
        self.env = os.environ | {f"{checker[0].upper()}SAN_OPTIONS": options}
        sanitizer = f"-fsanitize={checker}"
        compile_it = ["gcc", "-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", "-Werror", sanitizer]
        compile_it += ["-fno-omit-frame-pointer", f"-I{paths.INCLUDE}", str(SOURCES / file)]
        self.stock, self.ours = folder / "on-c", folder / "on-library"
        shared = [oracle / "libqemu-dirty-bitmap-oracle.so", f"-Wl,-rpath,{oracle}"]
        run([*compile_it, *shared, "-o", self.stock, "-lpthread"])
        run([*compile_it, *checkers.libraries(checker), "-o", self.ours])

    def run(self, program: Path, case: str) -> str:
        """What a case says on stdout and stderr, and how it ends."""
        command = ["timeout", LIMIT, *checkers.START, program, case]
        code, said = output(command, env=self.env)
        return f"{said}ended with {code}\n"

    def shows(self, row: Row) -> None:
        for _ in range(TRIES if row in CASES["race"] else 1):
            stock = self.run(self.stock, row["case"])
            if re.search(row["stock"], stock, re.M):
                break
        ours = self.run(self.ours, row["case"])
        assert re.search(row["stock"], stock, re.M), f"QEMU's C does not show it: {stock[-3000:]}"
        assert re.search(row["ours"], ours, re.M) and "Sanitizer" not in ours, ours[-3000:]


@pytest.fixture(scope="module")
def faults(oracle_with: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Pair:
    debian.need(["gcc", "pkg-config", "libglib2.0-dev"], "the C programs")
    folder = tmp_path_factory.mktemp("address")
    # Deaths shall look as they do without it: a SIGSEGV of C's is the fault itself.
    options = "detect_leaks=0:handle_abort=0"
    return Pair("address", folder, "faults.c", options, oracle_with("-fsanitize=address"))


@pytest.fixture(scope="module")
def races(oracle_with: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Pair:
    debian.need(["gcc", "pkg-config", "libglib2.0-dev", "util-linux"], "the C programs")
    folder = tmp_path_factory.mktemp("thread")
    # The real deadlock shall be seen, not a warning of it.
    options = "halt_on_error=1:detect_deadlocks=0:exitcode=66"
    return Pair("thread", folder, "races.c", options, oracle_with("-fsanitize=thread"))


@pytest.mark.parametrize("row", CASES["fault"], ids=lambda row: row["fault"])
def test_fault(row: Row, faults: Pair) -> None:
    faults.shows(row)


@pytest.mark.parametrize("row", CASES["race"], ids=lambda row: row["fault"])
def test_race(row: Row, races: Pair) -> None:
    races.shows(row)
