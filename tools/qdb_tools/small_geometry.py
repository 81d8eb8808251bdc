# SPDX-License-Identifier: GPL-2.0-or-later
"""How the walk through every state of a small geometry is built and run."""

import shlex

from qdb_tools import paths

PROFILE, TEST = "tiny", "small_geometry"
ENVIRONMENT = {"RUSTFLAGS": "--cfg qdb_tiny"}
# A target folder of its own: cargo keeps dependencies built with one set of flags only.
TARGET = shlex.quote(str(paths.cache("tiny")))
COMMAND = f"env RUSTFLAGS='{ENVIRONMENT['RUSTFLAGS']}' cargo test --locked --profile {PROFILE} "
COMMAND += f"--lib {TEST} --target-dir {TARGET} -- --nocapture"
MUTANT_OPTIONS = ["--profile", PROFILE, "--cargo-arg=--lib", "--", TEST]
# How the test says what it has gone through.
SUM = r"^\d+ states, \d+ calls$"
