# SPDX-License-Identifier: GPL-2.0-or-later
"""How the glue is made for one QEMU version: qemu/fit/glue.py."""

import re
import shutil
from pathlib import Path

import pytest
from fit import glue
from qdb_tools import paths

GLUE = paths.ROOT / "qemu" / "glue"
BRANCHES = "#if A == 1\none\n#elif A == 2\ntwo\n#else\nother\n#endif\n"
UNKNOWN = "#ifndef H\n#if B\nb\n#else\nc\n#endif\n#endif\n"
NESTED = "#if A\n#if B\nb\n#endif\n#ifdef C\nc\n#endif\n#endif\nend\n"
CONTINUED = "#if !A && \\\n    (B != 2)\nx\n#endif\n"
CHOICE = '#include "version.h"\n#if QDB_WRAPPERS_ARE_OURS\n#define BODY static\n#else\n'
CHOICE += "#define BODY\n#endif\n\nBODY int f(void);\n"
PRAGMA = '/* For them. */\n#pragma GCC diagnostic error "-Wformat"\n\n'
KEPT = ["/* Keep. */\nint a;\n\n", "/* Keep too. */\nint b;\n"]


@pytest.mark.parametrize(
    "text, known, wanted",
    [
        (BRANCHES, {"A": 1}, "one\n"),
        (BRANCHES, {"A": 2}, "two\n"),
        (BRANCHES, {"A": 3}, "other\n"),
        (UNKNOWN, {"A": 1}, UNKNOWN),
        (NESTED, {"A": 0}, "end\n"),
        (NESTED, {"A": 1, "B": 0}, "#ifdef C\nc\n#endif\nend\n"),
        (CONTINUED, {"A": 0, "B": 1}, "x\n"),
        (CONTINUED, {"A": 0, "B": 2}, ""),
    ],
)
def test_branches(text: str, known: dict[str, int], wanted: str) -> None:
    assert glue.without_other_versions(text, known) == wanted


def made(folder: Path, text: str, version: str = "10.2") -> str:
    shutil.copy(GLUE / "version.h", folder)
    (folder / "file.c").write_text(text)
    return glue.file(folder, version, "file.c")


def test_choice_and_empty_macros(tmp_path: Path) -> None:
    assert made(tmp_path, CHOICE) == "\nint f(void);\n"
    assert made(tmp_path, CHOICE, "7.2") == "#define BODY static\n\nBODY int f(void);\n"


def test_what_the_configuration_decides_comes_along(tmp_path: Path) -> None:
    code = "\nint x = QDB_TRACERS_ATTACH_FROM_OUTSIDE;\n"
    text = made(tmp_path, '#include "a.h"\n#include "version.h"\n' + code)
    version = (GLUE / "version.h").read_text()
    configured = version[version.index("/*\n * Tracers") : version.rindex("\n#endif")]
    assert text == '#include "a.h"\n\n' + configured + code


def test_pragmas_go_with_their_comment(tmp_path: Path) -> None:
    assert made(tmp_path, PRAGMA.join(KEPT)) == "".join(KEPT)


def test_a_leftover_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        made(tmp_path, "#ifdef QDB_WRAPPERS_ARE_OURS\n#endif\n")


@pytest.mark.parametrize("version", paths.SUITES)
@pytest.mark.parametrize("name", ["driver.c", "host.c", "host.h", "layout.c", "trace.c"])
def test_the_real_glue(version: str, name: str) -> None:
    text = glue.file(GLUE, version, name)
    assert not re.search("QEMU_VERSION|^#if QDB_(?!TRACERS)", text, re.M)
