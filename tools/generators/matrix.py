# SPDX-License-Identifier: GPL-2.0-or-later
"""docs/MATRIX.md: each function of QEMU's headers, where it is implemented, tested and used.

Fails if a function of QEMU is not implemented, or if no C test calls it.
"""

import re
from collections.abc import Collection, Iterator
from pathlib import Path

from fit import callers, prototypes
from fit.prototypes import Prototype
from qdb_tools import paths, source
from qdb_tools.log import Failure
from qdb_tools.process import run

from generators import Files

MATRIX = paths.ROOT / "docs" / "MATRIX.md"

# QEMU's headers. Of the first two all functions count; of the others those that the two C files
# define.
WHOLE = ["include/qemu/hbitmap.h", "include/block/dirty-bitmap.h"]
PARTS = [
    "include/block/block_int-io.h",
    "include/block/block_int-global-state.h",
    "include/block/block-io.h",
]
FILES = ["util/hbitmap.c", "block/dirty-bitmap.c"]

TITLES = {
    "hbitmap": "`util/hbitmap.c`",
    "bdrv": "`block/dirty-bitmap.c`",
    "driver": "`block/dirty-bitmap.c`: questions to a node's format driver",
}

INTRODUCTION = """\
<!-- SPDX-License-Identifier: GPL-2.0-or-later -->
<!-- Written by tools/generate. Do not edit. -->
# Each function of QEMU's headers

QEMU's headers are `include/qemu/hbitmap.h`, `include/block/dirty-bitmap.h`, and what
`include/block/block_int-io.h`, `block_int-global-state.h` and `block-io.h` declare of
`block/dirty-bitmap.c`. `tests/qemu/test_abi.py` proves with the compiler that names, types and
constants agree.

- **7.2**, **10.0**, **10.2**: *yes*: declared, and defined in one of the two C files; *yes,
  changed*: its type is not that of the version before; *generated*: declared, and QEMU's build
  generates it around a `bdrv_co_` function; *private*: static in the C file; *declared*: declared,
  and defined nowhere; *–*: not there.
- **implemented**: the file of this library that defines it; where there is a second one, that is
  the C glue that defines it inside QEMU.
- **C tests**: the files in `c-tests/` that call it.
- **callers**: the files of QEMU that call it, directly or through `FOR_EACH_DIRTY_BITMAP`, without
  the two replaced files themselves. With a version, only there.
"""

SAME = """\
All other functions have one type in all three versions and in this library: the one in
`include/qemu_dirty_bitmap.h`. (How parameters are called does not count.)"""


Versions = dict[str, "Version"]


def symbols() -> dict[str, str]:
    """{name: group} of what the library defines in QEMU's stead."""
    found = dict(
        line.split()
        for line in paths.SYMBOLS.read_text().splitlines()
        if line and not line.startswith("#")
    )
    return {name: group for name, group in found.items() if group != "node"}


class Version:
    """What a QEMU version declares, defines and calls."""

    def __init__(self, version: str, names: Collection[str]) -> None:
        tree = source.get(version)
        self.declared: dict[str, Prototype] = {}
        for header in WHOLE + PARTS:
            text = (tree / header).read_text()
            for name, function in prototypes.declared(text).items():
                if header in WHOLE or name in names:
                    self.declared.setdefault(name, function)
        self.defined: dict[str, Prototype] = {}
        for file in FILES:
            self.defined.update(prototypes.declared((tree / file).read_text()))
        self.callers = callers.find(tree, set(names) | set(self.declared))

    def function(self, name: str) -> Prototype | None:
        """Its prototype if QEMU's other files can call it."""
        return self.declared.get(name)

    def state(self, name: str, before: "Version | None") -> str:
        here, body = self.declared.get(name), self.defined.get(name)
        if not here:
            return "private" if body else "–"
        if not body:
            return (
                "generated"
                if f"co_{name[5:]}" in {other[5:] for other in self.defined}
                else "declared"
            )
        old = before.function(name) if before else None
        return "yes, changed" if old and old.types() != here.types() else "yes"


def files_with(folder: Path, pattern: str, suffix: str) -> list[Path]:
    return sorted(
        path for path in folder.glob(f"*{suffix}") if re.search(pattern, path.read_text(), re.M)
    )


def code(files: list[str]) -> str:
    return " ".join(f"`{file}`" for file in files)


def implementation(name: str) -> list[str]:
    rust = files_with(paths.ROOT / "src" / "ffi", rf"extern \"C\" fn {name}\(", ".rs")
    glue = files_with(paths.ROOT / "qemu" / "glue", rf"^[\w *]+\b{name}\(", ".c")
    glue = [path for path in glue if name in prototypes.declared(path.read_text())]
    return [path.relative_to(paths.ROOT).as_posix() for path in rust + glue]


def tests_of(name: str) -> list[str]:
    return [path.name for path in files_with(paths.ROOT / "c-tests", rf"\b{name}\(", ".c")]


def users(name: str, versions: Versions) -> str:
    found: dict[str, list[str]] = {}
    for version, about in versions.items():
        for file in about.callers.get(name, ()):
            found.setdefault(file, []).append(version)
    only = {
        file: "" if len(there) == len(versions) else f" ({', '.join(there)})"
        for file, there in found.items()
    }
    return " ".join(f"`{file}`{only[file]}" for file in sorted(found))


def row(name: str, versions: Versions, defined_here: bool, missing: list[str]) -> str:
    about, before = [], None
    for version in versions.values():
        about.append(version.state(name, before))
        before = version
    where, tests = implementation(name), tests_of(name)
    if defined_here:
        missing += [f"{name}: not implemented"] if not where else []
        missing += [f"{name}: no C test calls it"] if not tests else []
    cells = [
        f"`{name}`",
        *about,
        code(where) or "–",
        code(tests) or "–",
        users(name, versions) or "–",
    ]
    return "| " + " | ".join(cells) + " |"


def table(
    names: Collection[str], versions: Versions, defined_here: bool, missing: list[str]
) -> Iterator[str]:
    head = ["function", *versions, "implemented", "C tests", "callers"]
    yield "| " + " | ".join(head) + " |"
    yield "|" + " --- |" * len(head)
    for name in sorted(names):
        yield row(name, versions, defined_here, missing)


def type_changes(names: Collection[str], versions: Versions) -> Iterator[str]:
    """Functions whose type differs between versions, or between QEMU and the library."""
    ours = prototypes.declared(run(["cc", "-E", "-P", paths.HEADER]))
    for name in sorted(names):
        types: dict[tuple[str, ...], list[tuple[str, Prototype]]] = {}
        for version, about in versions.items():
            function = about.function(name)
            if function:
                types.setdefault(function.types(), []).append((version, function))
        if name in ours:
            types.setdefault(ours[name].types(), []).append(("this library", ours[name]))
        if len(types) > 1:
            yield f"- `{name}`"
            for there in types.values():
                yield f"  - {', '.join(who for who, _ in there)}: `{there[0][1]}`"


def make() -> Files:
    groups, missing = symbols(), list[str]()
    versions = {version: Version(version, groups) for version in paths.SUITES}
    lines = [INTRODUCTION.rstrip("\n")]
    for group, title in TITLES.items():
        names = [name for name in groups if groups[name] == group]
        head = f"## {title}: {len(names)} functions"
        lines += ["", head, "", *table(names, versions, True, missing)]
    others = {name for about in versions.values() for name in about.declared} - set(groups)
    defined = {name for about in versions.values() for name in others & set(about.defined)}
    missing += [f"{name}: QEMU defines it, {paths.SYMBOLS.name} lacks it" for name in defined]
    head = "## Declared by QEMU, defined by no file of it"
    lines += ["", head, "", *table(others, versions, False, missing)]
    lines += ["", "## Types that differ", "", SAME, "", *type_changes(groups, versions)]
    if missing:
        raise Failure("\n".join(missing))
    return {MATRIX: "\n".join(lines) + "\n"}
