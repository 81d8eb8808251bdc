# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether the library fits a QEMU tree.

What differs in the interface, and which functions read as in no tree that is known.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from fit import ROOT, c_items, callers, interface
from fit.interface import Interface

# What is in the two C files of the known trees (names and digests), and who calls their functions.
# tools/generate makes it.
KNOWN = ROOT / "qemu" / "known-trees.json"


class Fit(NamedTuple):
    differences: list[str]  # the library does not fit
    changes: list[str]  # it fits, and may not do what the tree's own C would
    callers: list[str]  # files that call what they do not call in a known tree
    calls: int  # a file that calls a function counts once for it
    compared: str
    versions: str  # whose trees are known


def differ(what: str, theirs: object, ours: object) -> str:
    return f"{what}: '{theirs}' in the tree, '{ours}' in the library"


def differences(theirs: Interface, ours: Interface) -> Iterator[str]:
    for kind, mine in ours.tables.items():
        other = theirs.tables[kind]
        for name in sorted(other.keys() | mine.keys()):
            if name not in mine:
                yield f"{kind} {other[name]}: the tree has it, the library has not"
            elif name not in other:
                yield f"{kind} {mine[name]}: the library has it, the tree has not"
            elif other[name] != mine[name]:
                yield differ(f"{kind} {name}", other[name], mine[name])
    for name in sorted(theirs.functions & ours.functions):
        if name not in theirs.prototypes:
            yield f"function {name}(): no header of the tree declares it"
        elif theirs.prototypes[name].types() != ours.prototypes[name].types():
            yield differ("prototype", theirs.prototypes[name], ours.prototypes[name])
    for name in sorted(theirs.inline):
        why = "code that callers compile in may look into what is the library's own"
        yield f"function {name}() in a header: {why}"


def items(tree: Path) -> dict[str, dict[str, set[str]]]:
    """{C file: {name: digests}}; a name may be there more than once (`#if`)."""
    found: dict[str, dict[str, set[str]]] = {file: {} for file in interface.C_FILES}
    for file, table in found.items():
        for item in c_items.split(interface.read(tree, file)):
            table.setdefault(item.name, set()).add(item.digest)
    return found


def changes(tree: Path, known: dict[str, Any]) -> Iterator[str]:
    for file, table in items(tree).items():
        reference = known[file]
        for name, digests in table.items():
            if name not in reference:
                yield f"{file}: {name} is new"
            elif digests - set(reference[name]["digests"]):
                yield f"{file}: {name} reads differently"
        for name, entry in reference.items():
            if entry["always"] and name not in table:
                yield f"{file}: {name} is gone"


def of(tree: Path, version: str) -> Fit:
    """Compares a tree with the library. FileNotFoundError: it is no tree of QEMU."""
    known = json.loads(KNOWN.read_text())
    theirs, ours = interface.of_tree(tree), interface.of_library(version)
    calls = callers.find(tree, known["callers"])
    new: list[str] = []
    for name, files in sorted(calls.items()):
        new += (f"{file} calls {name}()" for file in sorted(files - {*known["callers"][name]}))
    compared = (
        f"{len(theirs.functions)} functions and their prototypes,\n"
        f"{len(theirs.tables['constant'])} constants, {len(theirs.tables['trace event'])} "
        "trace events and the structures that both sides use"
    )
    return Fit(
        differences=list(differences(theirs, ours)),
        changes=list(changes(tree, known["items"])),
        callers=new,
        calls=sum(map(len, calls.values())),
        compared=compared,
        versions=", ".join(known["versions"]),
    )
