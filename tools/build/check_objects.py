# SPDX-License-Identifier: GPL-2.0-or-later
"""Check how the shared library, the archive and the drop-in object are made.

The shared library has full RELRO: what the loader fills in is read-only afterwards. None of the
three has bitcode, or asks the kernel to move or to advise memory. (Rust's std maps memory for
threads and backtraces, so names alone say nothing of mmap; c-tests/test-kernel counts the calls.)
"""

import argparse
import subprocess
import sys
from collections.abc import Iterator

# What std does not call either.
FOREIGN = {"madvise", "posix_madvise", "mremap", "mlock", "sbrk", "brk"}
BITCODE = (".llvmbc", ".llvmcmd")


def lines(command: list[str]) -> list[str]:
    done = subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE)
    return done.stdout.splitlines()


def relro(readelf: str, path: str) -> Iterator[str]:
    """What is missing for full RELRO."""
    segments = any("GNU_RELRO" in line for line in lines([readelf, "-lW", path]))
    dynamic = "\n".join(lines([readelf, "-dW", path]))
    now = "BIND_NOW" in dynamic or "Flags: NOW" in dynamic
    if not segments:
        yield "no GNU_RELRO segment"
    if not now:
        yield "bound lazily, so its table of functions stays writable: no BIND_NOW"


def imports(nm: str, options: list[str], path: str) -> Iterator[str]:
    """Functions of the C library that it should not need."""
    listed = lines([nm, *options, "--undefined-only", "--format=posix", path])
    rows = [line.split() for line in listed]
    for name in sorted({row[0].split("@")[0] for row in rows if len(row) > 1} & FOREIGN):
        yield f"needs {name}"


def sections(readelf: str, path: str) -> Iterator[str]:
    """Sections that must not be there."""
    text = "\n".join(lines([readelf, "-SW", path]))
    yield from (f"has a section {name}" for name in BITCODE if f" {name} " in text)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nm", required=True)
    parser.add_argument("--readelf", required=True)
    parser.add_argument("--shared", required=True)
    parser.add_argument("--archive", required=True)
    parser.add_argument("--dropin")
    arguments = parser.parse_args()
    complaints = [f"shared library: {what}" for what in relro(arguments.readelf, arguments.shared)]
    objects = [("shared library", ["-D"], arguments.shared), ("archive", [], arguments.archive)]
    if arguments.dropin:
        objects.append(("drop-in object", [], arguments.dropin))
    for name, options, path in objects:
        complaints += [f"{name}: {what}" for what in imports(arguments.nm, options, path)]
        complaints += [f"{name}: {what}" for what in sections(arguments.readelf, path)]
    print("\n".join(complaints) or f"{len(objects)} objects are as they should be")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
