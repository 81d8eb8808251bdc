# SPDX-License-Identifier: GPL-2.0-or-later
"""qemu/known-trees.json, which qemu/dropin reads.

For each of the QEMU versions that the tests run on: a digest of each function of util/hbitmap.c and
block/dirty-bitmap.c, without comments and white space, and the files that call these functions.
"""

import json

from fit import callers, compare, interface
from qdb_tools import paths, source
from qdb_tools.log import Failure

from generators import Files


def make() -> Files:
    trees = {version: source.get(version) for version in paths.SUITES}
    items: dict[str, dict[str, object]] = {file: {} for file in interface.C_FILES}
    for file, known in items.items():
        tables = [compare.items(tree)[file] for tree in trees.values()]
        for name in sorted(set().union(*tables)):
            digests = set().union(*(table.get(name, ()) for table in tables))
            always = all(name in table for table in tables)
            known[name] = {"digests": sorted(digests), "always": always}
    calls: dict[str, set[str]] = {}
    for version, tree in trees.items():
        theirs = interface.of_tree(tree)
        if wrong := list(compare.differences(theirs, interface.of_library(version))):
            raise Failure(f"the library does not fit QEMU {version}:\n" + "\n".join(wrong))
        for name, files in callers.find(tree, theirs.functions).items():
            calls.setdefault(name, set()).update(files)
    found = {
        "SPDX-License-Identifier": "GPL-2.0-or-later",
        "versions": list(trees),
        "items": items,
        "callers": {name: sorted(files) for name, files in sorted(calls.items())},
    }
    return {compare.KNOWN: json.dumps(found, indent=1) + "\n"}
