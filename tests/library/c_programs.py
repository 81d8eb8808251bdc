# SPDX-License-Identifier: GPL-2.0-or-later
"""The programs of c-tests/ without meson: a compiler, an archive, maybe an emulator."""

import re
from dataclasses import dataclass
from pathlib import Path

from qdb_tools import paths
from qdb_tools.process import Words, run

FOLDER = paths.ROOT / "c-tests"
COMMON = ["common.c", "node.c", "shadow.c"]
# What a Rust archive wants of the system.
SYSTEM_LIBRARIES = ["-lpthread", "-ldl", "-lm", "-lgcc_s"]
PROGRAM = re.compile(r"^  '(test-[\w-]+)': \{\n    'sources': files\((.*?)\)", re.M | re.S)


def programs() -> dict[str, list[str]]:
    """{program: its sources}, without those that a sanitizer or an emulator disturbs."""
    everywhere, _, _ = (FOLDER / "meson.build").read_text().partition("c_tests_no_sanitizer")
    found = PROGRAM.findall(everywhere)
    assert found, "c-tests/meson.build has another form than it had"
    return {name: re.findall(r"'([^']+\.c)'", files) for name, files in found}


def build(compiler: Words, name: str, libraries: Words, made: Path) -> None:
    """`libraries`: the archive under test and GLib."""
    sources = [FOLDER / file for file in programs()[name] + COMMON]
    made.parent.mkdir(parents=True, exist_ok=True)
    flags = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror"]
    includes = [f"-I{paths.INCLUDE}", f"-I{FOLDER}"]
    sources_and_libraries = [*sources, *libraries, "-o", made, *SYSTEM_LIBRARIES]
    run([*compiler, *flags, *includes, *sources_and_libraries])


@dataclass
class Tap:
    """What a program of tests says."""

    code: int
    said: str

    def passed(self) -> int:
        """How many passed; fails if one did not, or was skipped."""
        good = re.findall(r"^\s*ok \d+(?!.*# SKIP)", self.said, re.M)
        bad = re.findall(r"^\s*(?:not ok .*|ok \d+.*# SKIP.*)", self.said, re.M)
        assert self.code == 0 and good and not bad, f"{self.code}: {bad}\n{self.said[-3000:]}"
        return len(good)
