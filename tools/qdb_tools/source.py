# SPDX-License-Identifier: GPL-2.0-or-later
"""QEMU's source: Debian's package, fetched once, or a tree that the user has."""

import os
import re
import shutil
from pathlib import Path

from qdb_tools import debian, log, paths
from qdb_tools.log import Failure
from qdb_tools.process import run


def version_of(tree: Path) -> str:
    """The release series of a QEMU tree, such as 10.0."""
    if not (tree / "VERSION").is_file():
        raise Failure(f"{tree} is not a QEMU source tree (no VERSION in it)")
    return ".".join((tree / "VERSION").read_text().strip().split(".")[:2])


def users_tree() -> Path | None:
    """The tree that QEMU_SRC names, or None."""
    if not os.environ.get("QEMU_SRC"):
        return None
    tree = Path(os.environ["QEMU_SRC"]).resolve()
    if (tree / ".qemu-dirty-bitmap").exists():
        applied = f"QEMU_SRC={tree} has the drop-in applied; it must be as its author left it."
        raise Failure(f"{applied}\n    {paths.DROPIN} revert {tree}")
    version_of(tree)
    return tree


def get(version: str) -> Path:
    """The folder of the source of a QEMU version, fetched if it is not there."""
    if tree := users_tree():
        if version_of(tree) != version:
            raise Failure(f"QEMU_SRC={tree} is QEMU {version_of(tree)}, and {version} is asked for")
        return tree
    final, trees = paths.cache() / "source" / version, "qemu-*/VERSION"
    with paths.lock("source"):
        if not list(final.glob(trees)):
            fetch(version, paths.SUITES[version], final)
    return next(final.glob(trees)).parent


def fetch(version: str, suite: str, final: Path) -> None:
    debian.need(["dpkg-dev", "debian-archive-keyring"], "unpacking a Debian source package")
    log.step(f"fetching QEMU {version}: Debian's source package from {suite}")
    apt = debian.private_apt(suite)
    listed = run(["apt-cache", "-c", apt, "showsrc", "--only-source", "qemu"])
    there = sorted(set(re.findall(r"^Version: (\S+)$", listed, re.M)))
    matching = re.compile(rf"(\d+:)?{re.escape(version)}[.+-](?!.*~)")
    if not (wanted := list(filter(matching.match, there))):
        has = f"Debian's {suite} has no QEMU {version} any more (it has {', '.join(there)})"
        raise Failure(f"{has}: set QEMU_SRC to the folder of a QEMU source tree of that version")
    newest = max(wanted, key=lambda name: [int(number) for number in re.findall(r"\d+", name)])
    log.note(f"qemu {newest}")
    work = final.with_name(f"{version}.new")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    run(["apt-get", "-c", apt, "source", "--only-source", f"qemu={newest}"], cwd=work)
    for archive in work.glob("*.tar.*"):
        archive.unlink()
    work.rename(final)
