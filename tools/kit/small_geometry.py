# SPDX-License-Identifier: GPL-2.0-or-later
"""How the walk through every state of a small geometry is built and run."""
from . import places

PROFILE, TEST = "tiny", "small_geometry"
ENVIRONMENT = {"RUSTFLAGS": "--cfg qdb_tiny"}
# It has a target folder of its own: with other flags cargo would build all dependencies again, in either.
COMMAND = ["cargo", "test", "--locked", "--profile", PROFILE, "--lib", TEST, "--target-dir", places.cache() / "tiny", "--", "--nocapture"]
MUTANT_OPTIONS = ["--profile", PROFILE, "--", "--lib", TEST]
