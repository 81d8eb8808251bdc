# SPDX-License-Identifier: GPL-2.0-or-later
"""A private Python environment with the meson that QEMU is built with, and what the tools' tests need."""
import os
import shutil
import sys
from pathlib import Path

from . import debian, places, say

# QEMU asks for 1.5 or later; later than 1.8 is not what its releases were built with.
WANTED = ["meson>=1.8,<1.9", "pycotap", "markdown-it-py"]


def folder() -> Path:
    """The environment's folder; it is made at the first call."""
    with places.lock("venv"):
        return make(places.cache() / "venv")


def make(place: Path) -> Path:
    stamp = place / "wanted"
    if stamp.is_file() and stamp.read_text() == "\n".join(WANTED) and (place / "bin" / "python3").exists():
        return place
    debian.need(["python3-venv"], "a private Python environment for meson")
    say.step("making a private Python environment with meson")
    shutil.rmtree(place, ignore_errors=True)
    say.run([sys.executable, "-m", "venv", place])
    say.run([place / "bin" / "pip", "install", "--quiet", *WANTED])
    stamp.write_text("\n".join(WANTED))
    return place


def environment():
    """The environment variables of a command that is to use it."""
    return dict(os.environ, PATH=f"{folder() / 'bin'}:{os.environ['PATH']}")
