# SPDX-License-Identifier: GPL-2.0-or-later
"""A copy of the source with the crates that it depends on, so that it can be built without a network; and their licences."""
import fnmatch
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

from . import places, say

# Names of licences in Cargo.toml (SPDX) and in debian/copyright.
SHORT_NAMES = {"MIT": "Expat"}


def copy_source(folder: Path) -> None:
    """The files that git knows or would add, as they are now."""
    listed = say.run(["git", "-C", places.ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]).stdout
    for name in listed.split("\0"):
        source, target = places.ROOT / name, folder / name
        # A file that was removed is still in git's list.
        if name and source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)


def vendor(folder: Path) -> list:
    """Puts the crates into vendor/ and tells cargo so; returns their folders."""
    command = ["cargo", "vendor", "--locked", "vendor"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise say.Failure(f"cargo vendor: {done.stderr[-2000:]}")
    (folder / ".cargo").mkdir(exist_ok=True)
    (folder / ".cargo" / "config.toml").write_text(done.stdout)
    return sorted(path.parent for path in (folder / "vendor").glob("*/Cargo.toml"))


def stanzas(copyright_file: Path):
    """(patterns, licence) of each Files stanza of debian/copyright, in order."""
    for stanza in re.split(r"\n\s*\n", copyright_file.read_text()):
        files = re.search(r"^Files: *(.*(?:\n .*)*)", stanza, re.M)
        if files:
            yield files[1].split(), re.search(r"^License: *(.*)$", stanza, re.M)[1]


def chosen(expression: str, licence: str) -> bool:
    """Whether what a crate offers (an SPDX expression) lets its licence be what debian/copyright says."""
    parts = [part.strip(" ()") for part in re.split(r"\bAND\b", expression)]
    said = licence.split(" and ")
    return len(parts) == len(said) and all(
        name in [SHORT_NAMES.get(offer.strip(), offer.strip()) for offer in re.split(r"\bOR\b|/", part)]
        for part, name in zip(parts, said)
    )


def check_licences(folder: Path, crates) -> str:
    """debian/copyright says of each crate what its authors say."""
    known = list(stanzas(folder / "debian" / "copyright"))
    for crate in crates:
        offered = tomllib.loads((crate / "Cargo.toml").read_text())["package"].get("license", "none")
        name = os.path.relpath(crate / "Cargo.toml", folder)
        # The last stanza that fits counts.
        said = [licence for patterns, licence in known if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)][-1]
        if not chosen(offered, said):
            raise say.Failure(f"debian/copyright says {said} of {name}, which says {offered}")
    return f"{len(crates)} crates"
