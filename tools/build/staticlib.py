# SPDX-License-Identifier: GPL-2.0-or-later
"""Build a static archive with cargo, and copy it: staticlib.py OUTPUT CARGO-COMMAND..."""

import json
import os
import shutil
import subprocess
import sys


def main(output: str, *command: str) -> int:
    environment = {name: value for name, value in os.environ.items() if name != "CARGO_TARGET_DIR"}
    # What a person should read goes to stderr.
    cargo = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment)
    made = [json.loads(line) for line in cargo.stdout.splitlines()]
    files = [file for one in made for file in one.get("filenames", [])]
    archives = [file for file in files if file.endswith("/libqemu_dirty_bitmap.a")]
    if cargo.returncode != 0 or not archives:
        return cargo.returncode or 1
    # The archive keeps its time stamp, so that nothing is linked again if cargo had nothing to do.
    shutil.copy2(archives[0], output)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
