# SPDX-License-Identifier: GPL-2.0-or-later
"""Cargo's companions, built once into the cache: cargo-hack and cargo-deny."""
import os
from pathlib import Path

from . import places, say

NAMES = ("cargo-hack", "cargo-deny")


def folder() -> Path:
    """Where they are. Built without optimisation: that takes longer than what they do."""
    root = places.cache() / "cargo-tools"
    without = ("CARGO_TARGET_DIR", "CARGO_BUILD_TARGET_DIR", "RUSTFLAGS")
    env = {name: value for name, value in os.environ.items() if name not in without}
    with places.lock("cargo-tools"):
        for name in NAMES:
            if not (root / "bin" / name).is_file():
                say.step(name)
                command = ["cargo", "install", "--debug", "--locked", "--root", root, name]
                say.run(command, env={**env, "CARGO_PROFILE_DEV_DEBUG": "0"})
    return root / "bin"


def environment() -> dict[str, str]:
    return {"PATH": f"{folder()}:{os.environ['PATH']}"}
