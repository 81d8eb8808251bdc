# SPDX-License-Identifier: GPL-2.0-or-later
"""Which source files of a QEMU tree call a function."""

import os
import re
from collections.abc import Iterable
from pathlib import Path

from fit import c_items, prototypes
from fit.interface import C_FILES, HEADERS

# No C of QEMU itself; .pc is where Debian keeps files as they were before its patches.
NOT_SEARCHED = {"roms", "subprojects", "pc-bios", "docs", "debian", ".pc", ".git", "build"}
# A macro of QEMU's header that calls functions.
MACROS = {"FOR_EACH_DIRTY_BITMAP": ("bdrv_dirty_bitmap_first", "bdrv_dirty_bitmap_next")}


def find(tree: Path, names: Iterable[str]) -> dict[str, set[str]]:
    """{function: the files that call it}, each a path inside the tree."""
    found: dict[str, set[str]] = {name: set() for name in names}
    # A member of a structure may be called the same: that is another function.
    pattern = re.compile(rf"(?<![>.*])\b({'|'.join([*found, *MACROS])})\s*\(")
    for folder, folders, files in os.walk(tree):
        if folder == str(tree):
            folders[:] = set(folders) - NOT_SEARCHED
        for path in (Path(folder, name) for name in files):
            place = path.relative_to(tree).as_posix()
            if not place.endswith((".c", ".h", ".c.inc", ".h.inc")) or place in C_FILES + HEADERS:
                continue
            text = path.read_text(errors="replace")
            if not pattern.search(text):
                continue
            declared = prototypes.declared(text) if path.suffix == ".h" else {}
            for name in pattern.findall(c_items.without_directives(text)):
                for function in MACROS.get(name, (name,)):
                    if function in found and function not in declared:
                        found[function].add(place)
    return found
