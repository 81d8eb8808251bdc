# SPDX-License-Identifier: GPL-2.0-or-later
"""QEMU's source: Debian's package, fetched once, or a tree that the user has."""
import os
import re
import shutil
from pathlib import Path

from . import debian, places, say


def version_of(tree: Path) -> str:
    """The release series of a QEMU tree, such as 10.0."""
    file = tree / "VERSION"
    if not file.is_file():
        raise say.Failure(f"{tree} is not a QEMU source tree (no VERSION in it)")
    return ".".join(file.read_text().strip().split(".")[:2])


def users_tree():
    """The tree that QEMU_SRC names, or None."""
    if not os.environ.get("QEMU_SRC"):
        return None
    tree = Path(os.environ["QEMU_SRC"]).resolve()
    if (tree / ".qemu-dirty-bitmap").exists():
        raise say.Failure(f"QEMU_SRC={tree} has the drop-in applied; the tools want it as its author left it.\n"
                          f"    {places.DROPIN} revert {tree}")
    version_of(tree)
    return tree


def get(version: str) -> Path:
    """The folder of the source of a QEMU version, fetched if it is not there."""
    tree = users_tree()
    if tree:
        if version_of(tree) != version:
            raise say.Failure(f"QEMU_SRC={tree} is QEMU {version_of(tree)}, and {version} is asked for")
        return tree
    final = places.cache() / "source" / version
    with places.lock("source"):
        tree = next(final.glob("qemu-*/VERSION"), None)
        return tree.parent if tree else fetch(version, final)


def fetch(version: str, final: Path) -> Path:
    suite = places.SUITES[version]
    debian.need(["dpkg-dev", "debian-archive-keyring"], "unpacking a Debian source package")
    say.step(f"fetching QEMU {version}: Debian's source package from {suite}")
    apt = debian.PrivateApt(places.cache() / "apt", suite)
    there = apt.versions("qemu")
    wanted = re.compile(rf"(\d+:)?{re.escape(version)}[.+-](?!.*~)")
    matching = [name for name in there if wanted.match(name)]
    if not matching:
        raise say.Failure(
            f"Debian's {suite} has no QEMU {version} any more (it has {', '.join(there) or 'none'}).\n"
            "Set QEMU_SRC to the folder of a QEMU source tree of that version."
        )
    work = final.with_name(f"{version}.new")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    say.note(f"qemu {matching[0]}")
    dsc = apt.download("qemu", matching[0], work)
    upstream = re.sub(r"^\d+:|-[^-]*$", "", matching[0])
    say.run(["dpkg-source", "-x", dsc.name, f"qemu-{upstream}"], cwd=work)
    for archive in work.glob("*.tar.*"):
        archive.unlink()
    os.rename(work, final)
    return final / f"qemu-{upstream}"
