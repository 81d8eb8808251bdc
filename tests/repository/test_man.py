# SPDX-License-Identifier: GPL-2.0-or-later
"""The manual pages are complete, and without mistakes in the eyes of groff and mandoc."""

import os
import re
import sys
import textwrap
from functools import cache
from pathlib import Path

import pytest
import symbols
from qdb_tools import debian, paths
from qdb_tools.process import run

EXAMPLES = paths.ROOT / "examples" / "man"
OVERVIEW = "qemu_dirty_bitmap"
NAMES = sorted(symbols.read(paths.SYMBOLS).keys() - {"qdb_error_abort", "qdb_error_fatal"})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    debian.need(["groff-base", "man-db", "mandoc"], "the check of the manual pages")
    made = tmp_path_factory.mktemp("man") / "man3"
    program = [sys.executable, "-B", paths.ROOT / "tools" / "build" / "man.py"]
    run([*program, paths.HEADER, paths.SYMBOLS, EXAMPLES, "1.0", made])
    return made


@cache
def shown(page: Path) -> str:
    """A page as a terminal of 80 columns has it, without its fonts."""
    env = os.environ | {"MANWIDTH": "80", "MAN_KEEP_FORMATTING": "", "LC_ALL": "C.UTF-8"}
    return re.sub(r".\x08", "", run(["man", "-l", page], env=env))


def test_pages_and_examples(folder: Path) -> None:
    assert {page.stem for page in folder.glob("*.3")} == {*NAMES, OVERVIEW}
    assert len(list(EXAMPLES.glob("*.c"))) >= 10


@pytest.mark.parametrize("name", NAMES)
def test_page_is_complete(folder: Path, name: str) -> None:
    text = re.sub(r" +", " ", shown(folder / f"{name}.3"))
    for wanted in (f"{name} - ", f"{name}(", "DESCRIPTION", f"#include <{OVERVIEW}.h>"):
        assert wanted in text
    assert f"{name}(3)" in shown(folder / f"{OVERVIEW}.3")


def test_what_is_referred_to_is_there(folder: Path) -> None:
    for page in folder.glob("*.3"):
        found = set(re.findall(r"(?:\\fB|\.BR )(\w+)(?:\\fP| )\(3\)", page.read_text()))
        assert found and found <= {*NAMES, OVERVIEW}, page.name


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*.c")), ids=lambda file: file.stem)
def test_example(folder: Path, example: Path) -> None:
    """As a terminal shows it, it is the one of examples/man, which meson test compiles and runs."""
    page = shown(folder / f"{example.stem}.3")
    found = re.findall(r"^EXAMPLE\n(.*?)^SEE ALSO", page, re.M | re.S)
    text = textwrap.dedent("".join(found)).strip() + "\n"
    assert text == example.read_text().partition("\n")[2]


@pytest.mark.parametrize("checker", ["groff -man -ww -Tutf8 -z", "mandoc -T lint -W warning"])
def test_no_warnings(folder: Path, checker: str) -> None:
    assert run([*checker.split(), *sorted(folder.glob("*.3"))]).strip() == ""
