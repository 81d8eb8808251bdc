# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether the library fits a QEMU tree.

What differs in the interface, and which functions read as in no tree that is known.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fit import ROOT, c_items, callers, interface

# What is in the two C files of the known trees (names and digests), and who calls their functions.
# tools/generate makes it.
KNOWN = ROOT / "qemu" / "known-trees.json"


Table = Mapping[str, Any]


@dataclass
class Fit:
    differences: list[str] = field(default_factory=list)  # the library does not fit
    changes: list[str] = field(
        default_factory=list
    )  # it fits, and may not do what the tree's own C would
    callers: list[str] = field(
        default_factory=list
    )  # files that call what they do not call in a known tree
    compared: str = ""
    calls: int = 0  # a file that calls a function counts once for it


def listed(
    kind: str, theirs: Table, ours: Table, spell: Callable[[Any], str] = str
) -> Iterator[str]:
    """The differences of two tables."""
    for name in sorted(theirs.keys() - ours.keys()):
        yield f"{kind} {spell(theirs[name])}: the tree has it, the library has not"
    for name in sorted(ours.keys() - theirs.keys()):
        yield f"{kind} {spell(ours[name])}: the library has it, the tree has not"
    for name in sorted(theirs.keys() & ours.keys()):
        if theirs[name] != ours[name]:
            yield f"{kind} {name}: '{spell(theirs[name])}' in the tree, '{spell(ours[name])}' in the library"


def named(table: Table) -> dict[str, str]:
    """The same table, in which each entry says its own name."""
    return {
        name: (
            f"{name} = {value}" if isinstance(value, (int, str)) else f"{name}({', '.join(value)})"
        )
        for name, value in table.items()
    }


def differences(theirs: interface.Interface, ours: interface.Interface) -> Iterator[str]:
    yield from listed(
        "function",
        {name: f"{name}()" for name in theirs.functions},
        {name: f"{name}()" for name in ours.functions},
    )
    for name in sorted(theirs.functions & ours.functions):
        if name not in theirs.prototypes:
            yield f"function {name}(): no header of the tree declares it"
        elif theirs.prototypes[name].types() != ours.prototypes[name].types():
            yield f"prototype: '{theirs.prototypes[name]}' in the tree, '{ours.prototypes[name]}' in the library"
    for name in sorted(theirs.inline):
        yield f"function {name}() in a header: code that callers compile in may look into what is the library's own"
    yield from listed("constant", named(theirs.constants), named(ours.constants))
    if theirs.iterator != ours.iterator:
        yield f"struct HBitmapIter: '{'; '.join(theirs.iterator)}' in the tree, '{'; '.join(ours.iterator)}' in the library"
    yield from listed("struct BlockDriverState,", theirs.node, ours.node)
    yield from listed("QAPI BlockDirtyInfo,", named(theirs.schema), named(ours.schema))
    yield from listed("trace event", named(theirs.events), named(ours.events))


def items(tree: Path) -> dict[str, dict[str, set[str]]]:
    """{C file: {name: digests}}; a name may be there more than once (`#if`)."""
    found: dict[str, dict[str, set[str]]] = {}
    for file in interface.C_FILES:
        table = found[file] = {}
        for item in c_items.split(interface.read(tree, file)):
            table.setdefault(item.name, set()).add(item.digest)
    return found


def changes(tree: Path, known: dict[str, Any]) -> Iterator[str]:
    for file, table in items(tree).items():
        reference = known["items"][file]
        for name, digests in table.items():
            if name not in reference:
                yield f"{file}: {name} is new"
            elif digests - set(reference[name]["digests"]):
                yield f"{file}: {name} reads differently"
        for name, entry in reference.items():
            if entry["always"] and name not in table:
                yield f"{file}: {name} is gone"


def known() -> dict[str, Any]:
    return dict(json.loads(KNOWN.read_text()))


def versions() -> list[str]:
    """The QEMU versions whose trees are known."""
    return list(known()["versions"])


def of(tree: Path, version: str) -> Fit:
    """Compares a tree with the library. Raises interface.Missing if it lacks a file."""
    reference = known()
    theirs, ours = interface.of_tree(tree), interface.of_library(version)
    compared = (
        f"{len(theirs.functions)} functions and their prototypes,\n{len(theirs.constants)} constants, "
        f"{len(theirs.events)} trace events and the structures that both sides use"
    )
    calls = callers.find(tree, reference["callers"])
    new = [
        f"{file} calls {name}()"
        for name, files in sorted(calls.items())
        for file in sorted(files - set(reference["callers"][name]))
    ]
    return Fit(
        list(differences(theirs, ours)),
        list(changes(tree, reference)),
        new,
        compared,
        sum(map(len, calls.values())),
    )
