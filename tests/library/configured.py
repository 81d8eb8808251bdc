# SPDX-License-Identifier: GPL-2.0-or-later
"""Meson's build folders, kept in the cache: set up again when anything about them is new."""

import shlex
import shutil
from pathlib import Path

from qdb_tools.process import Words, run, words


def folder(place: Path, source: Path, options: Words, env: dict[str, str]) -> Path:
    """`place`, set up for `source` with these options. Copies of the source may share a cache."""
    command = words(["meson", "setup", *options, place, source])
    stamp = place / "set-up-with"
    if not stamp.is_file() or stamp.read_text() != shlex.join(command):
        shutil.rmtree(place, ignore_errors=True)
        run(command, env=env)
        stamp.write_text(shlex.join(command))
    return place
