# SPDX-License-Identifier: GPL-2.0-or-later
"""What QEMU and its two bitmap files promise each other, in a source tree and in the library.

Functions, prototypes, constants, the members of HBitmapIter and of what the glue touches, trace
events. The tree need not be configured: all is read from text.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from fit import ROOT, c_items, glue, prototypes
from fit.expressions import number
from fit.prototypes import Prototype

C_FILES = ("util/hbitmap.c", "block/dirty-bitmap.c")
HEADERS = ("include/qemu/hbitmap.h", "include/block/dirty-bitmap.h")

# QEMU's return type where the library has another one, on purpose: it returns bool, for callers of
# all versions.
# (The type of bdrv_merge_dirty_bitmap moved too, but is bool in all versions that fit.)
RETURN_TYPES = {"bdrv_dirty_bitmap_merge_internal": "void", "hbitmap_merge": "void"}
# Macros that are no numbers (include guards, a loop), and the compiler's number.
NO_NUMBERS = {"HBITMAP_H", "BLOCK_DIRTY_BITMAP_H", "FOR_EACH_DIRTY_BITMAP", "BITS_PER_LONG"}

# What the glue compiles against. `tools/generate --check known-trees` holds it against the trees
# that are known.
NODE = {
    "dirty_bitmap_mutex": "QemuMutex dirty_bitmap_mutex;",
    "dirty_bitmaps": "QLIST_HEAD(, BdrvDirtyBitmap) dirty_bitmaps;",
}
INFO = """*name = 'str'
count = 'int'
granularity = 'uint32'
recording = 'bool'
busy = 'bool'
persistent = 'bool'
*inconsistent = 'bool'"""
EVENTS = """hbitmap_set(void *, uint64_t, uint64_t, uint64_t, uint64_t)
hbitmap_reset(void *, uint64_t, uint64_t, uint64_t, uint64_t)
hbitmap_iter_skip_words(const void *, void *, uint64_t, unsigned long)"""

Table = dict[str, str]  # {name: how it is written, with the name in it}


class Interface(NamedTuple):
    prototypes: dict[str, Prototype]
    tables: dict[str, Table]  # {kind: its table}


def read(tree: Path, name: str | Path) -> str:
    return (tree / name).read_text(errors="replace")


def exported(text: str) -> set[str]:
    """The functions that a C file defines for others."""
    return {i.name for i in c_items.split(text) if i.function and "static" not in i.head.split()}


def constants(text: str) -> dict[str, int | str]:
    """{name: number} of macros without parameters and of enumerators; or the text that it has."""
    text = c_items.without_comments(text)
    found: dict[str, int | str] = {"BITS_PER_LONG": 64}
    for body in re.findall(r"\benum\b[^;{]*\{([^}]*)\}", text):
        following: int | str = 0
        for name, value in re.findall(r"([A-Za-z_]\w*)\s*(?:=([^,]*))?(?:,|$)", body.strip()):
            last = found[name] = number(value, found) if value else following
            following = last + 1 if isinstance(last, int) else f"{name} + 1"
    macros = r"^[ \t]*#[ \t]*define[ \t]+(\w+)\b(?!\()[ \t]*([^\n]*)"
    for name, value in re.findall(macros, text, re.M):
        found[name] = number(value, found)
    return {name: value for name, value in found.items() if name not in NO_NUMBERS}


def equations(values: Mapping[str, object]) -> Table:
    return {name: f"{name} = {value}" for name, value in values.items()}


def iterator(header: str) -> Table:
    """HBitmapIter's members, in order."""
    bare = c_items.without_comments(header)
    found = re.search(r"\bstruct HBitmapIter\s*\{([^{}]*)\}", bare)
    parts = found[1].split(";") if found else []
    return {"HBitmapIter": "; ".join(prototypes.tidy(part) for part in parts if part.strip())}


def of_tree(tree: Path) -> Interface:
    functions = set().union(*(exported(read(tree, file)) for file in C_FILES))
    headers = [read(tree, name) for name in HEADERS]
    inline = {item.name for text in headers for item in c_items.split(text) if item.function}
    declared: dict[str, Prototype] = {}
    for file in [*map(tree.joinpath, HEADERS), *sorted((tree / "include/block").glob("*.h"))]:
        declared = prototypes.declared(read(tree, file)) | declared
    node = c_items.without_comments(read(tree, "include/block/block_int-common.h"))
    members = re.findall(r"([^;{}]*\b(dirty_bitmap(?:s|_mutex))\s*;)", node)
    schema = r"\{\s*'struct':\s*'BlockDirtyInfo',\s*'data':\s*\{(.*?)\}\s*\}"
    info = re.search(schema, read(tree, "qapi/block-core.json"), re.S)
    fields = re.findall(r"'(\*?[\w-]+)':\s*('\w+'|\{[^}]*\}|\[[^]]*\])", info[1] if info else "")
    events = {}
    traced = r"^(?:disable )?(hbitmap_\w+)\(([^)]*)\)"
    for name, parameters in re.findall(traced, read(tree, "util/trace-events"), re.M):
        types = [prototypes.without_name(prototypes.tidy(one)) for one in parameters.split(",")]
        events[name] = f"{name}({', '.join(types)})"
    return Interface(
        declared,
        {
            "function": {name: f"{name}()" for name in functions},
            # Code that callers compile in may look into what is the library's own.
            "inline function": {name: f"{name}() in a header" for name in inline},
            "constant": equations(constants(headers[0]) | constants(headers[1])),
            "struct": iterator(headers[0]),
            "struct BlockDriverState,": {name: " ".join(text.split()) for text, name in members},
            "QAPI BlockDirtyInfo,": equations(dict(fields)),
            "trace event": events,
        },
    )


def of_library(version: str) -> Interface:
    """What the library and its glue have for a QEMU of this version."""
    header = (ROOT / "include/qemu_dirty_bitmap.h").read_text()
    listed = (ROOT / "include/qemu_dirty_bitmap.symbols").read_text()
    driver = glue.file(ROOT / "qemu/glue", version, "driver.c")
    for name in re.findall(r"^#define (\w+) static$", driver, re.M):
        driver = re.sub(rf"^{name} ", "static ", driver, flags=re.M)
    functions = set(re.findall(r"^(\w+) +(?:hbitmap|bdrv)$", listed, re.M)) | exported(driver)
    declared = prototypes.declared(header)
    for name, returns in RETURN_TYPES.items():
        declared[name] = declared[name]._replace(returns=returns)
    ours = re.compile("BITS_|HBITMAP_|BDRV_BITMAP_")
    numbers = {name: value for name, value in constants(header).items() if ours.match(name)}
    return Interface(
        declared,
        {
            "function": {name: f"{name}()" for name in functions},
            "inline function": {},
            "constant": equations(numbers),
            "struct": iterator(header),
            "struct BlockDriverState,": dict(NODE),
            "QAPI BlockDirtyInfo,": {line.split()[0]: line for line in INFO.splitlines()},
            "trace event": {line.split("(")[0]: line for line in EVENTS.splitlines()},
        },
    )
