# SPDX-License-Identifier: GPL-2.0-or-later
"""The list of exported names, include/qemu_dirty_bitmap.symbols.

As a program, it writes the version script of the shared library: symbols.py LIST OUTPUT.
"""

import os
import sys
from pathlib import Path

GROUPS = ("hbitmap", "bdrv", "driver", "node")


def read(path: str | os.PathLike[str]) -> dict[str, str]:
    """The list as {name: group}."""
    names = {}
    for number, line in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) != 2 or words[1] not in GROUPS or words[0] in names:
            raise SystemExit(f"{path}:{number}: not a new NAME GROUP: {line.rstrip()}")
        names[words[0]] = words[1]
    return names


def main(symbols: str, output: str) -> None:
    exported = "".join(f"        {name};\n" for name in sorted(read(symbols)))
    script = f"QEMU_DIRTY_BITMAP_0 {{\n    global:\n{exported}    local:\n        *;\n}};\n"
    Path(output).write_text(script, encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
