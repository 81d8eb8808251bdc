# SPDX-License-Identifier: GPL-2.0-or-later
"""QEMU's C has the faults that docs/differences.md lists and a C program can show.

The library has not. Each program of tests/qemu/evidence is linked with QEMU's two C files and with
the library, both watched by the same sanitizer.
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
CASES = tomllib.loads((SOURCES / "cases.toml").read_text())
FLAGS = "-std=gnu11 -O1 -g -Wall -Wextra -Werror -fno-omit-frame-pointer".split()
PROGRAMS = {
    # Deaths shall look as they do without it: a SIGSEGV of C's is the fault itself.
    "fault": ("address", "faults.c", "ASAN_OPTIONS=detect_leaks=0:handle_abort=0"),
    # The real deadlock shall be seen, not a warning of it.
    "race": ("thread", "races.c", "TSAN_OPTIONS=halt_on_error=1:detect_deadlocks=0"),
}
Shows = Callable[[str, str], str]


@pytest.fixture(scope="module")
def said(
    request: pytest.FixtureRequest,
    oracle_with: Callable[[str], list[object]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Shows:
    """`said("on-c", case)`: what the program says in a case, and how it ends."""
    name, source, options = PROGRAMS[request.param]
    debian.need(["gcc", "pkg-config", "libglib2.0-dev", "util-linux"], "the C programs")
    folder = tmp_path_factory.mktemp(name)
    sanitizer = f"-fsanitize={name}"
    compile_it = ["gcc", *FLAGS, sanitizer, f"-I{paths.INCLUDE}", SOURCES / source]
    run([*compile_it, *oracle_with(sanitizer), "-lpthread", "-o", folder / "on-c"])
    run([*compile_it, *checkers.libraries(name), "-o", folder / "on-library"])
    env = os.environ | dict([options.split("=", 1)])

    def play(program: str, case: str) -> str:
        command = ["timeout", 120, *checkers.START, folder / program, case]
        code, text = output(command, env=env)
        return f"{text}ended with {code}\n"

    return play


@pytest.mark.parametrize(
    "said, row",
    [pytest.param(kind, row, id=row["fault"]) for kind, rows in CASES.items() for row in rows],
    indirect=["said"],
)
def test_fault(said: Shows, row: dict[str, str]) -> None:
    # Whether a race is seen depends on when which thread runs.
    for _ in range(5 if row in CASES["race"] else 1):
        stock = said("on-c", row["case"])
        if re.search(row["stock"], stock, re.M):
            break
    ours = said("on-library", row["case"])
    assert re.search(row["stock"], stock, re.M), f"QEMU's C does not show it: {stock[-3000:]}"
    assert re.search(row["ours"], ours, re.M) and "Sanitizer" not in ours, ours[-3000:]
