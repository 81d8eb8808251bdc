# SPDX-License-Identifier: GPL-2.0-or-later
"""What QEMU and its two bitmap files promise each other, in a source tree and in the library.

Functions, prototypes, constants, the members of HBitmapIter and of what the glue touches, trace
events. The tree need not be configured: all is read from text.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fit import ROOT, c_items, glue, prototypes
from fit.prototypes import Prototype

C_FILES = ("util/hbitmap.c", "block/dirty-bitmap.c")
HEADERS = ("include/qemu/hbitmap.h", "include/block/dirty-bitmap.h")
NODE_HEADER = "include/block/block_int-common.h"
SCHEMA = "qapi/block-core.json"
EVENTS = "util/trace-events"

# QEMU's return type where the library has another one, on purpose: it returns bool, for callers of
# all versions.
# (The type of bdrv_merge_dirty_bitmap moved too, but is bool in all versions that fit.)
RETURN_TYPES = {"bdrv_dirty_bitmap_merge_internal": "void", "hbitmap_merge": "void"}
# Macros that are no numbers: include guards, a loop.
NO_NUMBERS = {"HBITMAP_H", "BLOCK_DIRTY_BITMAP_H", "FOR_EACH_DIRTY_BITMAP"}


@dataclass
class Interface:
    functions: set[str] = field(default_factory=set)
    prototypes: dict[str, Prototype] = field(default_factory=dict)  # name: Prototype
    constants: dict[str, int | str] = field(
        default_factory=dict
    )  # name: number, or the text if it is none
    iterator: tuple[str, ...] = ()  # HBitmapIter's members, in order
    inline: set[str] = field(
        default_factory=set
    )  # functions that callers compile in: they may look into an HBitmapIter
    node: dict[str, str] = field(
        default_factory=dict
    )  # member of BlockDriverState: its declaration
    schema: dict[str, str] = field(default_factory=dict)  # member of BlockDirtyInfo: its type
    events: dict[str, tuple[str, ...]] = field(
        default_factory=dict
    )  # trace event: its parameters' types


def number(text: str, known: Mapping[str, int | str]) -> int | str:
    """The value of a C expression of whole numbers, or the expression if it is something else."""
    text = " ".join(text.split())
    python = re.sub(r"\b(\d\w*?)[uUlL]+\b", r"\1", text)
    python = re.sub(
        r"[A-Za-z_]\w*",
        lambda found: str(known.get(found[0], found[0])),
        re.sub(r"0[xX]", "0x", python),
    )
    inner = re.compile(r"\(([^()?:]+)\?([^()?:]+):([^()?:]+)\)")
    while inner.search(python):
        python = inner.sub(r"((\2) if (\1) else (\3))", python)
    python = re.sub(r"/", "//", python)
    if "**" in python or not re.fullmatch(
        r"(?:0x[0-9a-fA-F]+|\d+|[-+*/%()|&<>=! ]|\bif\b|\belse\b)+", python
    ):
        return text
    try:
        return int(eval(python, {"__builtins__": {}}))
    except (SyntaxError, ValueError, TypeError, ArithmeticError):
        return text


def constants(text: str) -> dict[str, int | str]:
    """{name: value} of macros without parameters and of enumerators."""
    text = c_items.without_comments(text.replace("\\\n", " "))
    found: dict[str, int | str] = {"BITS_PER_LONG": 64}
    enums = re.findall(r"\benum\b[^;{]*\{([^}]*)\}", text)
    for body in enums:
        following: int | str = 0
        for name, value in re.findall(r"([A-Za-z_]\w*)\s*(?:=([^,]*))?(?:,|$)", body.strip()):
            found[name] = number(value, found) if value else following
            last = found[name]
            following = last + 1 if isinstance(last, int) else f"{name} + 1"
    for name, value in re.findall(
        r"^[ \t]*#[ \t]*define[ \t]+(\w+)\b(?!\()[ \t]*([^\n]*)", text, re.MULTILINE
    ):
        if name not in NO_NUMBERS:
            found[name] = number(value, found) if value.strip() else ""
    del found["BITS_PER_LONG"]
    return found


def members(text: str, structure: str) -> tuple[str, ...]:
    """The declarations in a structure's body, one a member."""
    found = re.search(rf"\bstruct {structure}\s*\{{([^{{}}]*)\}}", c_items.without_comments(text))
    return (
        tuple(prototypes.tidy(part) for part in found[1].split(";") if part.strip())
        if found
        else ()
    )


def exported(text: str) -> set[str]:
    return {item.name for item in c_items.split(text) if item.exported}


class Missing(Exception):
    """A file that every tree has is not there."""


def read(tree: Path, name: str) -> str:
    try:
        return (tree / name).read_text(errors="replace")
    except OSError:
        raise Missing(name) from None


def of_tree(tree: Path) -> Interface:
    found = Interface()
    for name in C_FILES:
        found.functions |= exported(read(tree, name))
    headers = [read(tree, name) for name in HEADERS]
    others = [
        file.read_text(errors="replace") for file in sorted((tree / "include/block").glob("*.h"))
    ]
    for text in headers + others:
        for name, prototype in prototypes.declared(text).items():
            if name in found.functions:
                found.prototypes.setdefault(name, prototype)
    for text in headers:
        found.constants |= constants(text)
        found.inline |= {item.name for item in c_items.split(text) if item.function}
    found.iterator = members(headers[0], "HBitmapIter")
    node = c_items.without_comments(read(tree, NODE_HEADER))
    for declaration in re.findall(r"[^;{}]*\bdirty_bitmap(?:s|_mutex)\s*;", node):
        name = re.findall(r"(\w+)\s*;$", declaration)[0]
        found.node[name] = " ".join(declaration.split())
    schema = re.search(
        r"\{\s*'struct':\s*'BlockDirtyInfo',\s*'data':\s*\{(.*?)\}\s*\}",
        read(tree, SCHEMA),
        re.DOTALL,
    )
    found.schema = (
        dict(re.findall(r"'(\*?[\w-]+)':\s*('\w+'|\{[^}]*\}|\[[^]]*\])", schema[1]))
        if schema
        else {}
    )
    for name, parameters in re.findall(
        r"^(?:disable )?(hbitmap_\w+)\(([^)]*)\)", read(tree, EVENTS), re.MULTILINE
    ):
        found.events[name] = tuple(
            prototypes.without_name(prototypes.tidy(one)) for one in parameters.split(",")
        )
    return found


def of_library(version: str) -> Interface:
    """What the library and its glue have for a QEMU of this version.

    What the glue compiles against is written down here, and `tools/generate --check known-trees` holds it
    against the trees that are known.
    """
    header = (ROOT / "include/qemu_dirty_bitmap.h").read_text()
    lines = (ROOT / "include/qemu_dirty_bitmap.symbols").read_text().splitlines()
    found = Interface()
    found.functions = {
        name
        for name, group in (line.split() for line in lines if line and line[0] != "#")
        if group in ("hbitmap", "bdrv")
    }
    driver = glue.Glue(ROOT / "qemu/glue", version).file("driver.c")
    for name, value in re.findall(r"^#define (\w+) (static)$", driver, re.MULTILINE):
        driver = re.sub(rf"^{name} ", f"{value} ", driver, flags=re.MULTILINE)
    found.functions |= exported(driver)
    for name, prototype in prototypes.declared(header).items():
        if name in found.functions:
            found.prototypes[name] = Prototype(
                name, RETURN_TYPES.get(name, prototype.returns), prototype.parameters
            )
    found.constants = {
        name: value
        for name, value in constants(header).items()
        if re.match("BITS_|HBITMAP_|BDRV_BITMAP_", name)
    }
    found.iterator = members(header, "HBitmapIter")
    found.node = {
        "dirty_bitmap_mutex": "QemuMutex dirty_bitmap_mutex;",
        "dirty_bitmaps": "QLIST_HEAD(, BdrvDirtyBitmap) dirty_bitmaps;",
    }
    found.schema = {
        "*name": "'str'",
        "count": "'int'",
        "granularity": "'uint32'",
        "recording": "'bool'",
        "busy": "'bool'",
        "persistent": "'bool'",
        "*inconsistent": "'bool'",
    }
    change = ("void *", "uint64_t", "uint64_t", "uint64_t", "uint64_t")
    found.events = {
        "hbitmap_set": change,
        "hbitmap_reset": change,
        "hbitmap_iter_skip_words": ("const void *", "void *", "uint64_t", "unsigned long"),
    }
    return found
