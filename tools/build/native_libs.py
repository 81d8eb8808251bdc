# SPDX-License-Identifier: GPL-2.0-or-later
"""Print the system libraries that a program needs beside a Rust static archive, one linker option a line.

Without those that every C compiler adds by itself, after all others: the C library, and the unwinder, of which it knows the right
form. rustc says -lgcc_s, which only exists as a shared library: a program that is linked with -static could not have it.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile

COMPILER_ADDS = {"-lc", "-lgcc_s"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rustc")
    parser.add_argument(
        "--target", help="Rust's name of the machine to build for, if it is not this one"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        result = subprocess.run(
            [
                arguments.rustc,
                "--crate-type",
                "staticlib",
                "--crate-name",
                "nothing",
                "--print",
                "native-static-libs",
                *(["--target", arguments.target] if arguments.target else []),
                "-C",
                "panic=abort",
                "-o",
                os.path.join(scratch, "nothing.a"),
                "-",
            ],
            input="",
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
    found = re.search(r"native-static-libs: (.*)", result.stdout)
    if result.returncode != 0 or not found:
        sys.stderr.write(result.stdout)
        return 1
    print(
        "\n".join(
            name for name in dict.fromkeys(found.group(1).split()) if name not in COMPILER_ADDS
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
