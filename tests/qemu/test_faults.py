# SPDX-License-Identifier: GPL-2.0-or-later
"""The scripts and programs of docs/qemu-faults.md, on stock QEMU: each must show its fault.

A script runs with the programs of a stock build first in PATH; a program is linked with QEMU's two
C files, with AddressSanitizer. All are in one folder: a script may use what one before it made.
"""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from qdb_tools import paths
from qdb_tools.build import Build
from qdb_tools.process import output, run

PAGE = (paths.ROOT / "docs" / "qemu-faults.md").read_text()
# A title, or a block and what it says.
PARTS = re.compile(r"^## (.*)$|^```(sh|c)\n((?:.*\n)*?)```\n\n```text\n((?:.*\n)*?)```$", re.M)
SANITIZER = "-fsanitize=address"


def blocks() -> list[Any]:
    found, title = [], ""
    for heading, kind, text, says in PARTS.findall(PAGE):
        title = heading or title
        if kind:
            found.append(pytest.param(kind, text, says.splitlines(), id=f"{title}-{kind}"))
    return found


def test_each_says_what_it_shows() -> None:
    assert len(blocks()) == len(re.findall(r"^```(?:sh|c)$", PAGE, re.M)) > 0


@pytest.fixture(scope="session")
def oracle(oracle_with: Callable[[str], list[object]]) -> list[object]:
    return oracle_with(SANITIZER)


@pytest.fixture(scope="session")
def folder(version: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp(f"faults-{version}")


@pytest.mark.parametrize("kind, text, says", blocks())
def test_shows(
    kind: str, text: str, says: list[str], stock: Build, oracle: list[object], folder: Path
) -> None:
    command: list[object] = ["bash", "-c", text]
    env = os.environ | {"ASAN_OPTIONS": "detect_leaks=0"}
    env["PATH"] = f"{stock.folder}:{env['PATH']}"
    if kind == "c":
        includes = '#include <stdio.h>\n#include "qemu_dirty_bitmap.h"\n'
        main = f"{includes}int main(void)\n{{\n{text}    return 0;\n}}\n"
        (folder / "fault.c").write_text(main)
        flags = [SANITIZER, "-g", f"-I{paths.INCLUDE}", "fault.c", *oracle]
        run(["gcc", *flags, "-o", "fault"], cwd=folder)
        command = ["./fault"]
    _, told = output(["timeout", "--kill-after=5", "120", *command], cwd=folder, env=env)
    at = 0
    for line in says:
        assert line in told[at:], f"not in what it told, or too early:\n{told[-2000:]}"
        at = told.index(line, at) + len(line)
