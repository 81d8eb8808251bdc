# SPDX-License-Identifier: GPL-2.0-or-later
"""The list of exported names, include/qemu_dirty_bitmap.symbols.

As a program, it writes the version script of the shared library: symbols.py LIST OUTPUT.
"""

import os
import re
import sys
from pathlib import Path


def read(path: str | os.PathLike[str]) -> dict[str, str]:
    """The list as {name: group}."""
    text = Path(path).read_text()
    names = dict(re.findall(r"^(\w+) (hbitmap|bdrv|driver|node)$", text, re.M))
    if len(names) != len(re.findall("^[^#\n]", text, re.M)):
        raise SystemExit(f"{path}: a line is not a new NAME GROUP")
    return names


def main(symbols: str, output: str) -> None:
    exported = "".join(f"        {name};\n" for name in sorted(read(symbols)))
    script = f"QEMU_DIRTY_BITMAP_0 {{\n    global:\n{exported}    local:\n        *;\n}};\n"
    Path(output).write_text(script)


if __name__ == "__main__":
    main(*sys.argv[1:])
