# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether the library fits a QEMU tree.

What differs in the interface, and which functions and calls are in no tree that is known.
"""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from fit import ROOT, c_items, callers, interface
from fit.interface import Interface

# What is in the two C files of the known trees, as digests, and who calls their functions.
# tools/generate makes it.
KNOWN = ROOT / "qemu" / "known-trees.json"


def differences(theirs: Interface, ours: Interface) -> Iterator[str]:
    for kind, mine in ours.tables.items():
        other = theirs.tables[kind]
        for name in sorted(other.keys() | mine.keys()):
            if name not in mine:
                yield f"{kind} {other[name]}: the tree has it, the library has not"
            elif name not in other:
                yield f"{kind} {mine[name]}: the library has it, the tree has not"
            elif other[name] != mine[name]:
                yield f"{kind} {name}: '{other[name]}' in the tree, '{mine[name]}' in the library"
    for name in sorted(theirs.tables["function"].keys() & ours.tables["function"].keys()):
        there, here = theirs.prototypes.get(name), ours.prototypes[name]
        if not there:
            yield f"function {name}(): no header of the tree declares it"
        elif there.types() != here.types():
            yield f"prototype: '{there}' in the tree, '{here}' in the library"


def items(tree: Path) -> dict[str, dict[str, set[str]]]:
    """{C file: {name: digests}}; a name may be there more than once (`#if`)."""
    found: dict[str, dict[str, set[str]]] = {file: {} for file in interface.C_FILES}
    for file, table in found.items():
        for item in c_items.split(interface.read(tree, file)):
            table.setdefault(item.name, set()).add(item.digest)
    return found


@cache
def known() -> dict[str, Any]:
    return dict(json.loads(KNOWN.read_text()))


def changes(tree: Path) -> Iterator[str]:
    for file, table in items(tree).items():
        reference = known()["items"][file]
        for name, digests in table.items():
            if name not in reference:
                yield f"{file}: {name} is new"
            elif digests - set(reference[name]["digests"]):
                yield f"{file}: {name} reads differently"
        for name, entry in reference.items():
            if entry["always"] and name not in table:
                yield f"{file}: {name} is gone"


def new_calls(tree: Path) -> Iterator[str]:
    before = known()["callers"]
    for name, files in callers.find(tree, before).items():
        yield from (f"{file} calls {name}()" for file in sorted(files - {*before[name].split()}))
