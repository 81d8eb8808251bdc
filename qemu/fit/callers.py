# SPDX-License-Identifier: GPL-2.0-or-later
"""Which files of a QEMU tree call a function."""

import os
import re
from collections.abc import Collection
from pathlib import Path

from fit import c_items, prototypes
from fit.interface import C_FILES, HEADERS

# No C of QEMU itself; .pc is where Debian keeps files as they were before its patches, and the last
# is what qemu/dropin adds.
NOT_SEARCHED = set(
    "roms subprojects pc-bios docs debian .pc .git build block/qemu-dirty-bitmap".split()
)
LOOP = "FOR_EACH_DIRTY_BITMAP"
LOOP_CALLS = ("bdrv_dirty_bitmap_first", "bdrv_dirty_bitmap_next")


def find(tree: Path, names: Collection[str]) -> dict[str, set[str]]:
    """{function: the files that call it}, each a path inside the tree."""
    found: dict[str, set[str]] = {name: set() for name in names}
    # Nearly all files have none of the names, and this is the faster search.
    any_name = re.compile("|".join([*names, LOOP]))
    # A member of a structure may be called the same: that is another function.
    call = re.compile(rf"(?<![>.*])\b({any_name.pattern})\s*\(")
    for folder, folders, files in os.walk(tree):
        # A build folder, whatever its name, has callers that are generated.
        if Path(folder).relative_to(tree).as_posix() in NOT_SEARCHED or "build.ninja" in files:
            folders.clear()
            continue
        for path in [Path(folder, file) for file in files if re.search(r"\.[ch](\.inc)?$", file)]:
            file = path.relative_to(tree).as_posix()
            # Editors leave links to nowhere.
            text = path.read_text(errors="replace") if path.is_file() else ""
            if file in C_FILES + HEADERS or not any_name.search(text):
                continue
            declared = prototypes.declared(text) if path.suffix == ".h" else {}
            calls = set(call.findall(c_items.without_directives(text)))
            calls.update(LOOP_CALLS if LOOP in calls else ())
            for name in calls & found.keys() - declared.keys():
                found[name].add(file)
    return found
