# SPDX-License-Identifier: GPL-2.0-or-later
"""Cargo's companions, such as cargo-hack and cargo-mutants, built once into the cache."""

import os
from pathlib import Path

from qdb_tools import log, paths
from qdb_tools.process import run


def clean_environment() -> dict[str, str]:
    """The caller's, but for what would make two jobs build in one folder."""
    without = ("CARGO_TARGET_DIR", "CARGO_BUILD_TARGET_DIR", "RUSTFLAGS")
    return {name: value for name, value in os.environ.items() if name not in without}


def folder(*names: str) -> Path:
    """Where they are. Built without optimisation: that takes longer than what most of them do."""
    root = paths.cache("cargo-tools")
    env = clean_environment() | {"CARGO_PROFILE_DEV_DEBUG": "0"}
    with paths.lock("cargo-tools"):
        for name in [name for name in names if not (root / "bin" / name).is_file()]:
            log.step(name)
            run(["cargo", "install", "--debug", "--locked", "--root", root, name], env=env)
    return root / "bin"
