# SPDX-License-Identifier: GPL-2.0-or-later
"""Build the library as a static archive with cargo, and copy it to where meson wants it."""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable


def archive_of(messages: Iterable[str]) -> str | None:
    """The archive in cargo's messages. Everything a person should read goes to stderr."""
    archive = None
    for line in messages:
        message = json.loads(line)
        if message["reason"] == "compiler-message":
            sys.stderr.write(message["message"]["rendered"])
        elif (
            message["reason"] == "compiler-artifact"
            and message["target"]["name"] == "qemu_dirty_bitmap"
        ):
            archive = next((name for name in message["filenames"] if name.endswith(".a")), archive)
    return archive


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cargo", required=True)
    parser.add_argument("--manifest", required=True, help="Cargo.toml of the library")
    parser.add_argument("--host", required=True, choices=("standalone", "qemu"))
    parser.add_argument("--profile", required=True)
    parser.add_argument(
        "--target-dir", required=True, help="cargo's own directory, inside the build directory"
    )
    parser.add_argument(
        "--target", help="Rust's name of the machine to build for, if it is not this one"
    )
    parser.add_argument("--output", required=True)
    arguments = parser.parse_args()

    command = [
        arguments.cargo,
        "rustc",
        "--locked",
        "--lib",
        "--crate-type",
        "staticlib",
        "--manifest-path",
        arguments.manifest,
        "--profile",
        arguments.profile,
        "--target-dir",
        arguments.target_dir,
        "--no-default-features",
        "--features",
        f"capi,{arguments.host}",
        "--message-format",
        "json-render-diagnostics",
        *(["--target", arguments.target] if arguments.target else []),
        # Where a function that is called for each write or item lies in its cache lines costs up to a nanosecond, and moved with each
        # change of any other function: each starts a line now.
        "--",
        "-Cllvm-args=-align-all-functions=6",
    ]
    environment = {name: value for name, value in os.environ.items() if name != "CARGO_TARGET_DIR"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as cargo:
        assert cargo.stdout
        archive = archive_of(cargo.stdout)
    if cargo.returncode != 0 or archive is None:
        return cargo.returncode or 1
    # The archive keeps its time stamp, so that nothing is linked again if cargo had nothing to do.
    shutil.copy2(archive, arguments.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
