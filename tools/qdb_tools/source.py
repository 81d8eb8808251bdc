# SPDX-License-Identifier: GPL-2.0-or-later
"""QEMU's source: Debian's package, fetched once, or a tree that the user has."""

import os
import re
import shutil
from pathlib import Path

from qdb_tools import debian, log, paths
from qdb_tools.log import Failure


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
        raise Failure(
            f"QEMU_SRC={tree} has the drop-in applied; it must be as its author left it.\n"
            f"    {paths.DROPIN} revert {tree}"
        )
    version_of(tree)
    return tree


def get(version: str) -> Path:
    """The folder of the source of a QEMU version, fetched if it is not there."""
    if tree := users_tree():
        if version_of(tree) != version:
            raise Failure(f"QEMU_SRC={tree} is QEMU {version_of(tree)}, and {version} is asked for")
        return tree
    final = paths.cache() / "source" / version
    with paths.lock("source"):
        if not list(final.glob("qemu-*/VERSION")):
            fetch(version, final)
    return next(final.glob("qemu-*/VERSION")).parent


def fetch(version: str, final: Path) -> None:
    suite = paths.SUITES[version]
    debian.need(["dpkg-dev", "debian-archive-keyring"], "unpacking a Debian source package")
    log.step(f"fetching QEMU {version}: Debian's source package from {suite}")
    apt = debian.PrivateApt(paths.cache() / "apt", suite)
    apt.run("apt-get", "update")
    listed = apt.run("apt-cache", "showsrc", "--only-source", "qemu")
    there = sorted(set(re.findall(r"^Version: (\S+)$", listed, re.M)))
    matching = re.compile(rf"(\d+:)?{re.escape(version)}[.+-](?!.*~)")
    if not (wanted := list(filter(matching.match, there))):
        raise Failure(
            f"Debian's {suite} has no QEMU {version} any more "
            f"(it has {', '.join(there) or 'none'}).\n"
            "Set QEMU_SRC to the folder of a QEMU source tree of that version."
        )
    newest = max(wanted, key=lambda name: [int(number) for number in re.findall(r"\d+", name)])
    log.note(f"qemu {newest}")
    work = final.with_name(f"{version}.new")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    apt.run("apt-get", "source", "--only-source", f"qemu={newest}", cwd=work)
    for archive in work.glob("*.tar.*"):
        archive.unlink()
    work.rename(final)
