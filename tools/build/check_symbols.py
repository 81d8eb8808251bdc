# SPDX-License-Identifier: GPL-2.0-or-later
"""Compare what the shared library, the archive and the drop-in object define with the list of exported names.

That the drop-in object needs nothing but the C library, the compiler's runtime and the glue's qdb_host_ names is proved elsewhere:
tests/dropin links it so.
"""

import argparse
import subprocess
import sys

import symbols


def names(nm: str, options: list[str], path: str) -> list[str]:
    """The names that nm lists, without versions, and without the version node itself."""
    output = subprocess.run(
        [nm, *options, "--format=posix", path], check=True, text=True, stdout=subprocess.PIPE
    ).stdout
    # A line of one word is the name of an object in an archive.
    rows = [words for words in map(str.split, output.splitlines()) if len(words) > 1]
    return sorted({row[0].split("@")[0] for row in rows if row[1] not in "Aa"})


def unversioned(nm: str, path: str, node: str) -> list[str]:
    """The names that are not in this version node, or not in it as the default of their name."""
    output = subprocess.run(
        [nm, "-D", "--defined-only", "--format=posix", path],
        check=True,
        text=True,
        stdout=subprocess.PIPE,
    ).stdout
    found = [line.split()[0] for line in output.splitlines() if line.strip()]
    # The node itself is listed too, as a name of its own.
    return [name for name in found if not name.endswith(f"@@{node}") and name.split("@")[0] != node]


def differ(what: str, found: list[str], expected: list[str]) -> bool:
    """Report the difference of two lists of names. Whether there is one."""
    missing, extra = sorted(set(expected) - set(found)), sorted(set(found) - set(expected))
    for name in missing:
        print(f"{what}: {name} is missing")
    for name in extra:
        print(f"{what}: {name} is exported, but not in the list")
    return bool(missing or extra)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nm", required=True)
    parser.add_argument("--symbols", required=True)
    parser.add_argument("--shared")
    parser.add_argument("--soname", help="what the shared library must call itself")
    parser.add_argument("--node", help="the version node that all its names must be in")
    parser.add_argument("--readelf")
    parser.add_argument("--archive")
    parser.add_argument("--dropin")
    arguments = parser.parse_args()
    failed = False

    if arguments.shared:
        expected = symbols.select(arguments.symbols, symbols.GROUPS)
        found = names(arguments.nm, ["-D", "--defined-only"], arguments.shared)
        failed |= differ("shared library", found, expected)
        print(f"shared library: {len(found)} names")
    if arguments.soname:
        dynamic = subprocess.run(
            [arguments.readelf, "-d", arguments.shared],
            check=True,
            text=True,
            stdout=subprocess.PIPE,
        ).stdout
        if f"[{arguments.soname}]" not in "".join(
            line for line in dynamic.splitlines() if "SONAME" in line
        ):
            print(f"shared library: SONAME is not {arguments.soname}")
            failed = True
    if arguments.node:
        for name in unversioned(arguments.nm, arguments.shared, arguments.node):
            print(f"shared library: {name} is not in version {arguments.node}")
            failed = True
    if arguments.archive:
        expected = symbols.select(arguments.symbols, symbols.GROUPS)
        failed |= differ(
            "archive", names(arguments.nm, ["-g", "--defined-only"], arguments.archive), expected
        )
        print(f"archive: {len(expected)} names")
    if arguments.dropin:
        expected = symbols.select(arguments.symbols, ("hbitmap", "bdrv"))
        failed |= differ(
            "drop-in object",
            names(arguments.nm, ["-g", "--defined-only"], arguments.dropin),
            expected,
        )
        print(f"drop-in object: {len(expected)} names")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
