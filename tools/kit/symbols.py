# SPDX-License-Identifier: GPL-2.0-or-later
"""Whose bitmap code is in a binary: QEMU's C files or the library's."""
import re
import subprocess
from pathlib import Path

from . import say

# Private functions of util/hbitmap.c and block/dirty-bitmap.c (all three versions).
PRIVATE = {"hb_set_between", "hb_reset_between", "hb_count_between", "hb_set_elem", "hb_reset_elem"}
# A function of the drop-in's glue.
GLUE = "qdb_host_lock"
UNITS = re.compile(r"DW_AT_name\s*:.*?(\S*/(?:util/hbitmap|block/dirty-bitmap)\.c)\s*$", re.M)


def of_c(binary: Path):
    """The traces of QEMU's two C files in a binary: private symbols, compilation units."""
    names = set(re.findall(r" (\S+)$", say.run(["nm", binary]).stdout, re.M))
    found = sorted(PRIVATE & {name.split(".")[0] for name in names})
    found += sorted(set(UNITS.findall(say.run(["readelf", "--debug-dump=info", "--dwarf-depth=1", "-W", binary]).stdout)))
    return found


def has_library(binary: Path) -> bool:
    return f" T {GLUE}\n" in say.run(["nm", binary]).stdout


def source_of(binary: Path, function: str) -> str:
    """The file and line where a function of a binary comes from, as its debug info tells."""
    found = re.search(rf"^([0-9a-f]+) T {re.escape(function)}$", say.run(["nm", binary]).stdout, re.M)
    if not found:
        return "not in it"
    done = subprocess.run(["addr2line", "-e", binary, found[1]], capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"
