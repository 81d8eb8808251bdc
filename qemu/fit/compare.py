# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether the library fits a QEMU tree.

What differs in the interface, and which functions read as in no tree that is known.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from fit import ROOT, c_items, callers, interface
from fit.interface import Interface, Table

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


def listed(kind: str, theirs: Table, ours: Table) -> Iterator[str]:
    """The differences of two tables."""
    for name in sorted(theirs.keys() | ours.keys()):
        if name not in ours:
            yield f"{kind} {theirs[name]}: the tree has it, the library has not"
        elif name not in theirs:
            yield f"{kind} {ours[name]}: the library has it, the tree has not"
        elif theirs[name] != ours[name]:
            yield differ(f"{kind} {name}", theirs[name], ours[name])


def differences(theirs: Interface, ours: Interface) -> Iterator[str]:
    for kind in ours.tables:
        yield from listed(kind, theirs.tables[kind], ours.tables[kind])
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
    new = [
        f"{file} calls {name}()"
        for name, files in sorted(calls.items())
        for file in sorted(files - set(known["callers"][name]))
    ]
    counts = {kind: len(table) for kind, table in theirs.tables.items()}
    compared = (
        f"{counts['function']} functions and their prototypes,\n{counts['constant']} constants, "
        f"{counts['trace event']} trace events and the structures that both sides use"
    )
    differ, read_otherwise = list(differences(theirs, ours)), list(changes(tree, known["items"]))
    number = sum(map(len, calls.values()))
    return Fit(differ, read_otherwise, new, number, compared, ", ".join(known["versions"]))
