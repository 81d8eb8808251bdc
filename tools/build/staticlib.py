# SPDX-License-Identifier: GPL-2.0-or-later
"""Build the library as a static archive with cargo, and copy it to where meson wants it."""

import argparse
import json
import os
import shutil
import subprocess
import sys

C_NAMES = ["--cfg", "qdb_c_names"]
HOSTS = {"standalone": C_NAMES, "qemu": [*C_NAMES, "--cfg", 'qdb_host="qemu"']}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("cargo", "manifest", "host", "profile", "target-dir", "output"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--target", help="Rust's name of the machine, if it is not this one")
    arguments = parser.parse_args()
    command = [arguments.cargo, "rustc", "--locked", "--lib", "--crate-type", "staticlib"]
    command += ["--manifest-path", arguments.manifest, "--profile", arguments.profile]
    command += ["--target-dir", arguments.target_dir]
    # What a person should read goes to stderr.
    command += ["--message-format", "json-render-diagnostics"]
    command += ["--target", arguments.target] if arguments.target else []
    # After the dashes, the cfg reach the compiler whatever RUSTFLAGS and cargo's configuration say.
    # Where a function that is called for each write or item lies in its cache lines costs up to a
    # nanosecond, and moved with each change of any other function: each starts a line now.
    command += ["--", *HOSTS[arguments.host], "-Cllvm-args=-align-all-functions=6"]
    environment = {name: value for name, value in os.environ.items() if name != "CARGO_TARGET_DIR"}
    cargo = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment)
    made = [json.loads(line) for line in cargo.stdout.splitlines()]
    files = [file for one in made for file in one.get("filenames", [])]
    archives = [file for file in files if file.endswith("/libqemu_dirty_bitmap.a")]
    if cargo.returncode != 0 or not archives:
        return cargo.returncode or 1
    # The archive keeps its time stamp, so that nothing is linked again if cargo had nothing to do.
    shutil.copy2(archives[0], arguments.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
