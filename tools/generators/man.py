# SPDX-License-Identifier: GPL-2.0-or-later
"""The manual pages, which meson makes and installs; here, that all that is exported has one."""

import re
import sys
import tempfile
from pathlib import Path

from qdb_tools import paths
from qdb_tools.process import run

from generators import Files

EXAMPLES = paths.ROOT / "examples" / "man"


def pages(folder: Path) -> None:
    cargo = (paths.ROOT / "Cargo.toml").read_text()
    version = re.findall(r'^version = "(.+)"$', cargo, re.M)[0]
    program = [sys.executable, "-B", paths.ROOT / "tools" / "build" / "man.py"]
    inputs = ["--header", paths.HEADER, "--symbols", paths.SYMBOLS, "--examples", EXAMPLES]
    run([*program, *inputs, "--version", version, folder])


def make() -> Files:
    with tempfile.TemporaryDirectory() as scratch:
        pages(Path(scratch) / "man3")
    return {}
