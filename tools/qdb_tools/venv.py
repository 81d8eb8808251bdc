# SPDX-License-Identifier: GPL-2.0-or-later
"""A private Python environment: the meson that QEMU is built with, QEMU's QMP client, pytest."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from qdb_tools import debian, log, paths
from qdb_tools.process import run

# QEMU asks for meson 1.5 or later; later than 1.8 is not what its releases were built with.
WANTED = (
    "meson>=1.8,<1.9 pycotap markdown-it-py qemu.qmp==0.0.6 pytest==9.* pytest-xdist==3.* "
    "ruff==0.17.* mypy==2.*"
).split()


def folder(name: str = "python", wanted: Sequence[str] = WANTED) -> Path:
    """The environment's folder; it is made at the first call."""
    place = paths.cache() / name
    with paths.lock(name), paths.fresh(place, place / "wanted", "\n".join(wanted)) as needed:
        if needed:
            debian.need(["python3-venv"], "a private Python environment")
            log.step(f"making a private Python environment: {', '.join(wanted)}")
            run([sys.executable, "-m", "venv", place])
            run([place / "bin" / "pip", "install", "--quiet", *wanted])
    return place


def environment(place: Path | None = None) -> dict[str, str]:
    """The environment variables of a command that is to use it, or the one in another folder."""
    return os.environ | {"PATH": f"{(place or folder()) / 'bin'}:{os.environ['PATH']}"}


def enter() -> None:
    """Starts this command anew in the environment, if it is not in it."""
    if Path(sys.prefix) != folder():
        python = folder() / "bin" / "python3"
        os.execve(python, [str(python), *sys.argv], environment())
