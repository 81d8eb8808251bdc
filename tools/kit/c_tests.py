# SPDX-License-Identifier: GPL-2.0-or-later
"""The programs of c-tests/ for another machine, without meson: a compiler, an archive, an emulator."""
import re
import subprocess
from pathlib import Path

from . import places, say

FOLDER = places.ROOT / "c-tests"
COMMON = ["common.c", "node.c", "shadow.c"]
# What a Rust archive wants of the system.
SYSTEM_LIBRARIES = ["-lpthread", "-ldl", "-lm", "-lgcc_s"]
PROGRAM = re.compile(r"^  '(test-[\w-]+)': \{\n    'sources': files\((.*?)\)", re.M | re.S)


def programs():
    """{program: its source files}, as c-tests/meson.build has them; without those that a sanitizer or an emulator disturbs."""
    everywhere, _, _ = (FOLDER / "meson.build").read_text().partition("c_tests_no_sanitizer")
    found = PROGRAM.findall(everywhere)
    if not found:
        raise say.Failure("c-tests/meson.build: no programs found in it")
    return {name: re.findall(r"'([^']+\.c)'", files) for name, files in found}


def build(compiler, name: str, libraries, output: Path) -> None:
    """`libraries`: the archive under test and GLib."""
    sources = [FOLDER / file for file in programs()[name] + COMMON]
    output.parent.mkdir(parents=True, exist_ok=True)
    say.run([*compiler, "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", f"-I{places.ROOT / 'include'}", f"-I{FOLDER}",
             *sources, *libraries, "-o", output, *SYSTEM_LIBRARIES])


def run(command, timeout: int) -> str:
    """Runs a program of c-tests/; returns what passed."""
    try:
        done = subprocess.run(
            [*map(str, command), "--tap"], stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
            timeout=timeout, check=False,
        )
    except subprocess.TimeoutExpired:
        raise say.Failure(f"no end after {timeout} s") from None
    good = len(re.findall(r"^\s*ok \d+(?!.*# SKIP)", done.stdout, re.M))
    skipped = len(re.findall(r"^\s*ok \d+.*# SKIP", done.stdout, re.M))
    bad = re.findall(r"^\s*not ok .*", done.stdout, re.M)
    if done.returncode != 0 or bad or not good:
        raise say.Failure(f"ended with {done.returncode}, {good} passed\n" + "\n".join(bad) + (done.stdout + done.stderr)[-2000:])
    return f"{good} tests" + (f", {skipped} skipped" if skipped else "")
