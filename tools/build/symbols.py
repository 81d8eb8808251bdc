# SPDX-License-Identifier: GPL-2.0-or-later
"""The list of exported names, include/qemu_dirty_bitmap.symbols, and what is made from it."""

import argparse
import os
from collections.abc import Iterable

GROUPS = ("hbitmap", "bdrv", "driver", "node")


def read(path: str | os.PathLike[str]) -> dict[str, str]:
    """The list as {name: group}."""
    names = {}
    with open(path, encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            words = line.split()
            if not words or words[0].startswith("#"):
                continue
            if len(words) != 2 or words[1] not in GROUPS or words[0] in names:
                raise SystemExit(f"{path}:{number}: not a new NAME GROUP: {line.rstrip()}")
            names[words[0]] = words[1]
    return names


def select(path: str, groups: Iterable[str]) -> list[str]:
    """The names of some groups, sorted."""
    return sorted(name for name, group in read(path).items() if group in groups)


def version_script(names: Iterable[str]) -> str:
    """A linker script that exports these names and nothing else."""
    exported = "".join(f"        {name};\n" for name in names)
    return f"QEMU_DIRTY_BITMAP_0 {{\n    global:\n{exported}    local:\n        *;\n}};\n"


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the version script of the shared library.")
    parser.add_argument("symbols")
    parser.add_argument("output")
    arguments = parser.parse_args()
    with open(arguments.output, "w", encoding="utf-8") as output:
        output.write(version_script(select(arguments.symbols, GROUPS)))


if __name__ == "__main__":
    main()
