# SPDX-License-Identifier: GPL-2.0-or-later
"""docs/MATRIX.md: each function of QEMU's headers, where it is implemented, tested and used.

Fails if a function of QEMU is not implemented, or if no C test calls it. The text around the tables
is edited there.
"""

import re
from collections.abc import Collection, Iterator
from pathlib import Path

from fit import callers, interface, prototypes
from fit.interface import C_FILES, HEADERS
from fit.prototypes import Prototype
from qdb_tools import paths, source
from qdb_tools.log import Failure
from qdb_tools.process import run

from generators import Files, parts

MATRIX = paths.ROOT / "docs" / "MATRIX.md"

TITLES = {
    "hbitmap": "`util/hbitmap.c`",
    "bdrv": "`block/dirty-bitmap.c`",
    "driver": "`block/dirty-bitmap.c`: questions to a node's format driver",
}


class Version:
    """What a QEMU version declares, defines and calls."""

    def __init__(self, version: str, names: Collection[str]) -> None:
        tree = source.get(version)
        headers, bodies = (
            prototypes.declared("\n".join((tree / file).read_text() for file in files)).keys()
            for files in (HEADERS, C_FILES)
        )
        declared = interface.of_tree(tree).prototypes
        # Of QEMU's other headers those functions count that the two C files define.
        self.declared = {name: declared[name] for name in declared.keys() & {*names, *headers}}
        self.defined = bodies
        self.callers = callers.find(tree, {*names, *self.declared})

    def state(self, name: str, before: "Version | None") -> str:
        if name not in self.declared:
            return "private" if name in self.defined else "–"
        if name not in self.defined:
            generated = name.replace("bdrv_", "bdrv_co_", 1) in self.defined
            return "generated" if generated else "declared"
        old = before.declared.get(name) if before else None
        return "yes, changed" if old and old.types() != self.declared[name].types() else "yes"


Versions = dict[str, Version]


def files_with(pattern: str, *globs: str) -> list[Path]:
    files = [path for glob in globs for path in sorted(paths.ROOT.glob(glob))]
    return [path for path in files if re.search(pattern, path.read_text(), re.M)]


def code(files: list[str]) -> str:
    return " ".join(f"`{file}`" for file in files) or "–"


def users(name: str, versions: Versions) -> str:
    found: dict[str, list[str]] = {}
    for version, about in versions.items():
        for file in about.callers.get(name, ()):
            found.setdefault(f"`{file}`", []).append(version)
    cells = []
    for file, there in sorted(found.items()):
        cells.append(file if len(there) == len(versions) else f"{file} ({', '.join(there)})")
    return " ".join(cells) or "–"


def table(names: Collection[str], versions: Versions) -> list[str]:
    head = [*versions, "implemented", "C tests", "callers"]
    rows = [f"| function | {' | '.join(head)} |", "|" + " --- |" * (len(head) + 1)]
    abouts = list(versions.values())
    for name in sorted(names):
        states = [about.state(name, old) for about, old in zip(abouts, [None, *abouts])]
        definition = rf"extern \"C\" fn {name}\(|^(?:\w[\w *]* \*?)?{name}\("
        defined = files_with(definition, "src/ffi/*.rs", "qemu/glue/*.c")
        where = [path.relative_to(paths.ROOT).as_posix() for path in defined]
        tests = [path.name for path in files_with(rf"\b{name}\(", "c-tests/*.c")]
        cells = [f"`{name}`", *states, code(where), code(tests), users(name, versions)]
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def type_changes(names: Collection[str], versions: Versions) -> Iterator[str]:
    """Functions whose type differs between versions, or between QEMU and the library."""
    all_of_them = {version: about.declared for version, about in versions.items()}
    all_of_them["this library"] = prototypes.declared(run(["cc", "-E", "-P", paths.HEADER]))
    for name in sorted(names):
        types: dict[tuple[str, ...], list[tuple[str, Prototype]]] = {}
        for who, declared in all_of_them.items():
            if name in declared:
                types.setdefault(declared[name].types(), []).append((who, declared[name]))
        if len(types) > 1:
            yield f"- `{name}`"
            for there in types.values():
                yield f"  - {', '.join(who for who, _ in there)}: `{there[0][1]}`"


def make() -> Files:
    # What the library defines in QEMU's stead.
    listed = re.findall(r"^(\w+) +(\w+)$", paths.SYMBOLS.read_text(), re.M)
    groups = {name: group for name, group in listed if group in TITLES}
    versions = {version: Version(version, groups) for version in paths.SUITES}
    old = MATRIX.read_text()
    lines, missing = [old[: old.index("\n\n## ")]], list[str]()
    for group, title in TITLES.items():
        rows = table([name for name in groups if groups[name] == group], versions)
        lines += ["", f"## {title}: {len(rows) - 2} functions", "", *rows]
        missing += [row for row in rows if "–" in row.split(" | ")[-3:-1]]
    others = {name for about in versions.values() for name in about.declared} - groups.keys()
    missing += [name for about in versions.values() for name in others & about.defined]
    if missing:
        raise Failure("not implemented, not exported or in no C test:\n" + "\n".join(missing))
    lines += ["", "## Declared by QEMU, defined by no file of it", "", *table(others, versions)]
    title = "## Types that differ\n"
    lines += ["", title + parts(old, title, "\n- `", MATRIX)[1], *type_changes(groups, versions)]
    return {MATRIX: "\n".join(lines) + "\n"}
