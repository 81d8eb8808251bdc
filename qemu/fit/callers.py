# SPDX-License-Identifier: GPL-2.0-or-later
"""Which source files of a QEMU tree call a function."""

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from fit import prototypes

# The two files that the library replaces, and the headers that only declare.
NOT_CALLERS = {
    "util/hbitmap.c",
    "block/dirty-bitmap.c",
    "include/qemu/hbitmap.h",
    "include/block/dirty-bitmap.h",
}
# No C of QEMU itself; .pc is where Debian keeps files as they were before its patches.
NOT_SEARCHED = {"roms", "subprojects", "pc-bios", "docs", "debian", ".pc", ".git", "build"}
# A macro of QEMU's header that calls functions.
MACROS = {"FOR_EACH_DIRTY_BITMAP": ("bdrv_dirty_bitmap_first", "bdrv_dirty_bitmap_next")}


def sources(tree: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(tree):
        top = os.path.relpath(folder, tree) == "."
        folders[:] = sorted(name for name in folders if not (top and name in NOT_SEARCHED))
        for name in sorted(files):
            if name.endswith((".c", ".h", ".c.inc", ".h.inc")):
                yield Path(folder) / name


def find(tree: Path, names: Iterable[str]) -> dict[str, set[str]]:
    """{function: the files that call it}, each a path inside the tree."""
    names = list(names)
    # A member of a structure may be called the same: that is another function.
    pattern = re.compile(
        rf"(?<![>.*])\b({'|'.join(sorted([*names, *MACROS], key=len, reverse=True))})\s*\("
    )
    found: dict[str, set[str]] = {name: set() for name in names}
    for path in sources(tree):
        data = path.read_bytes()
        place = path.relative_to(tree).as_posix()
        if place in NOT_CALLERS or not (b"hbitmap_" in data or b"dirty" in data.lower()):
            continue
        text = data.decode(errors="replace")
        if not pattern.search(text):
            continue
        text = prototypes.without_preprocessor(text)
        declared = prototypes.declared(text) if path.suffix == ".h" else {}
        for name in pattern.findall(text):
            for function in MACROS.get(name, (name,)):
                if function in found and function not in declared:
                    found[function].add(place)
    return found
