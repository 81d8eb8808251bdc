# SPDX-License-Identifier: GPL-2.0-or-later
"""Make the drop-in object: one relocatable file in which only the listed names are global. Or an archive with one such file.

The linker takes from the archive what the names need, and objcopy makes every other symbol local. So the object can be linked beside
another Rust static library, which has the same std in it.
"""

import argparse
import os
import subprocess
import sys
import tempfile

import symbols


def left_behind(readelf: str, path: str) -> list[str]:
    """Names that --gc-sections made local and left undefined: whoever used them is gone."""
    rows = subprocess.run(
        [readelf, "-sW", path], check=True, text=True, stdout=subprocess.PIPE
    ).stdout.splitlines()
    return [
        words[7]
        for words in map(str.split, rows)
        if len(words) == 8 and words[4] == "LOCAL" and words[6] == "UND"
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ld", required=True)
    parser.add_argument("--objcopy", required=True)
    parser.add_argument("--readelf", required=True)
    parser.add_argument("--symbols", required=True)
    parser.add_argument(
        "--groups",
        default="hbitmap,bdrv",
        help="of the symbols file; the drop-in object's unless said",
    )
    parser.add_argument("--ar", help="put the file into an archive with this program")
    parser.add_argument("--output", required=True)
    parser.add_argument("archive", help="what cargo made: static archive with the feature capi")
    arguments = parser.parse_args()

    names = symbols.select(arguments.symbols, arguments.groups.split(","))
    with tempfile.TemporaryDirectory(
        dir=os.path.dirname(os.path.abspath(arguments.output))
    ) as scratch:
        linked = os.path.join(scratch, "linked.o")
        keep = os.path.join(scratch, "keep")
        finished = os.path.join(scratch, "qemu-dirty-bitmap.o")
        with open(keep, "w", encoding="utf-8") as file:
            file.write("".join(f"{name}\n" for name in names))
        # --force-group-allocation: sections of COMDAT groups become plain ones. Left in groups, a copy in the other library could
        # throw ours away, together with the local symbols in it.
        roots = [option for name in names for option in ("-u", name)]
        subprocess.run(
            [
                arguments.ld,
                "-r",
                "--gc-sections",
                "--force-group-allocation",
                *roots,
                "-o",
                linked,
                arguments.archive,
            ],
            check=True,
        )
        # objcopy would make them global, and with that a weak name of another Rust library one that has to be there.
        gone = [
            f"--strip-unneeded-symbol={name}" for name in left_behind(arguments.readelf, linked)
        ]
        # Rust's std comes with its bitcode, and `ld -r` keeps it. Several objects' are one section then, which is no bitcode any
        # more: LLVM's plugin, where binutils have it, aborts `ar` and every linker that looks at the object.
        bitcode = ["--remove-section=.llvmbc", "--remove-section=.llvmcmd"]
        subprocess.run(
            [arguments.objcopy, *bitcode, *gone, f"--keep-global-symbols={keep}", linked, finished],
            check=True,
        )
        if arguments.ar:
            # D: no time, so that the same object gives the same archive.
            subprocess.run(
                [arguments.ar, "rcsD", os.path.join(scratch, "archive"), finished], check=True
            )
            finished = os.path.join(scratch, "archive")
        os.replace(finished, arguments.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
