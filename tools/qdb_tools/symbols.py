# SPDX-License-Identifier: GPL-2.0-or-later
"""Whose bitmap code is in a binary: QEMU's C files or the library's."""

import re
from pathlib import Path

from qdb_tools.process import run

# Private functions of util/hbitmap.c and block/dirty-bitmap.c (all three versions).
PRIVATE = {"hb_set_between", "hb_reset_between", "hb_count_between", "hb_set_elem", "hb_reset_elem"}
UNITS = re.compile(r"DW_AT_name\s*:.*?(\S*/(?:util/hbitmap|block/dirty-bitmap)\.c)\s*$", re.M)
# A function of the drop-in's glue.
GLUE = "qdb_host_lock"


def defined(*files: Path) -> set[str]:
    """The names that objects or programs define for others."""
    listed = run(["nm", "-g", "--defined-only", "--format=posix", *files])
    return set(re.findall(r"^(\S+) [A-Z] ", listed, re.M))


def of_c(binary: Path) -> list[str]:
    """The traces of QEMU's two C files in a binary: private symbols, compilation units."""
    names = set(re.findall(r" ([^\s.]+)(?:\.\S*)?$", run(["nm", binary]), re.M))
    info = run(["readelf", "--debug-dump=info", "--dwarf-depth=1", "-W", binary])
    return sorted(PRIVATE & names) + sorted(set(UNITS.findall(info)))


def has_library(binary: Path) -> bool:
    return GLUE in defined(binary)


def source_of(binary: Path, function: str) -> str:
    """The file and line where a function of a binary comes from, as its debug info tells."""
    found = re.search(rf"^([0-9a-f]+) T {re.escape(function)}$", run(["nm", binary]), re.M)
    return run(["addr2line", "-e", binary, found[1]]).strip() if found else "not in it"
