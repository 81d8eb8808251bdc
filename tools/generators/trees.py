# SPDX-License-Identifier: GPL-2.0-or-later
"""qemu/known-trees.json, which qemu/dropin reads: a digest of each function of util/hbitmap.c and
block/dirty-bitmap.c in the QEMU versions that the tests run on, without comments and white space,
and the files that call these functions.

Fails if the library does not fit one of them.
"""

import json

from fit import callers, compare, interface
from qdb_tools import paths, source
from qdb_tools.log import Failure

from generators import Files


def make() -> Files:
    trees = {version: source.get(version) for version in paths.SUITES}
    calls: dict[str, set[str]] = {}
    for version, tree in trees.items():
        theirs, ours = interface.of_tree(tree), interface.of_library(version)
        if wrong := list(compare.differences(theirs, ours)):
            raise Failure(f"the library does not fit QEMU {version}:\n" + "\n".join(wrong))
        for name, files in callers.find(tree, theirs.tables["function"]).items():
            calls.setdefault(name, set()).update(files)
    items: dict[str, dict[str, object]] = {}
    for file in interface.C_FILES:
        tables = [compare.items(tree)[file] for tree in trees.values()]
        items[file] = {}
        for name in sorted(set().union(*tables)):
            digests = set().union(*(table.get(name, ()) for table in tables))
            always = all(name in table for table in tables)
            items[file][name] = {"digests": sorted(digests), "always": always}
    found = {
        "SPDX-License-Identifier": "GPL-2.0-or-later",
        "versions": [*trees],
        "items": items,
        "callers": {name: " ".join(sorted(files)) for name, files in sorted(calls.items())},
    }
    return {compare.KNOWN: json.dumps(found, indent=1) + "\n"}
