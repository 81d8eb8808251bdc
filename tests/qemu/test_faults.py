# SPDX-License-Identifier: GPL-2.0-or-later
"""The scripts and programs of docs/qemu-faults.md, on stock QEMU: each must show its fault.

A script runs with the programs of a stock build first in PATH; a program is linked with QEMU's two
C files, with AddressSanitizer.
"""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from qdb_tools import paths
from qdb_tools.build import Build
from qdb_tools.process import output, run

PAGE = paths.ROOT / "docs" / "qemu-faults.md"
BLOCK = re.compile(
    r"^## (?P<title>[^\n]*)$|^```(?P<kind>sh|c)\n(?P<text>.*?)^```\n\n```text\n(?P<says>.*?)^```$",
    re.M | re.S,
)
LIMITED = ["timeout", "--kill-after=5", "120"]


@dataclass
class Block:
    title: str
    kind: str
    text: str
    says: list[str]


def blocks() -> list[Block]:
    found, title = [], ""
    for match in BLOCK.finditer(PAGE.read_text()):
        title = match["title"] or title
        if not match["title"]:
            found.append(Block(title, match["kind"], match["text"], match["says"].splitlines()))
    return found


def test_each_says_what_it_shows() -> None:
    assert len(blocks()) == len(re.findall(r"^```(?:sh|c)$", PAGE.read_text(), re.M)) > 0


def script(text: str, folder: Path, build: Build) -> str:
    env = os.environ | {"PATH": f"{build.folder}:{os.environ['PATH']}"}
    return output([*LIMITED, "bash", "-c", text], cwd=folder, env=env)[1]


def program(text: str, folder: Path, oracle: Path) -> str:
    (folder / "fault.c").write_text(
        '#include <stdio.h>\n#include "qemu_dirty_bitmap.h"\n'
        f"int main(void)\n{{\n{text}    return 0;\n}}\n"
    )
    flags = ["-fsanitize=address", "-g", f"-I{paths.INCLUDE}", f"-Wl,-rpath,{oracle}"]
    shared = oracle / "libqemu-dirty-bitmap-oracle.so"
    run(["gcc", *flags, "fault.c", shared, "-o", "fault"], cwd=folder)
    env = os.environ | {"ASAN_OPTIONS": "detect_leaks=0"}
    return output([*LIMITED, folder / "fault"], env=env)[1]


@pytest.fixture(scope="session")
def address_oracle(oracle_with: Callable[[str], Path]) -> Path:
    return oracle_with("-fsanitize=address")


@pytest.mark.parametrize("block", blocks(), ids=lambda block: f"{block.title}-{block.kind}")
def test_shows(block: Block, stock: Build, address_oracle: Path, tmp_path: Path) -> None:
    if block.kind == "c":
        told = program(block.text, tmp_path, address_oracle)
    else:
        told = script(block.text, tmp_path, stock)
    at = 0
    for line in block.says:
        assert line in told[at:], f"not in what it told, or too early:\n{told[-2000:]}"
        at = told.index(line, at) + len(line)
