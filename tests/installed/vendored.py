# SPDX-License-Identifier: GPL-2.0-or-later
"""A copy of the source with the crates that it needs, to be built offline; and their licences."""

import fnmatch
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

from qdb_tools import paths
from qdb_tools.log import Failure
from qdb_tools.process import run

# Names of licences in Cargo.toml (SPDX) and in debian/copyright.
SHORT_NAMES = {"MIT": "Expat"}


def copy_source(folder: Path) -> None:
    """The files that git knows or would add, as they are now."""
    listing = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in run(["git", "-C", paths.ROOT, *listing]).split("\0"):
        source, target = paths.ROOT / name, folder / name
        # A file that was removed is still in git's list.
        if name and source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)


def vendor(folder: Path) -> list[Path]:
    """Puts the crates into vendor/ and tells cargo so; returns their folders."""
    command = ["cargo", "vendor", "--locked", "vendor"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failure(f"cargo vendor: {done.stderr[-2000:]}")
    (folder / ".cargo").mkdir(exist_ok=True)
    (folder / ".cargo" / "config.toml").write_text(done.stdout)
    return sorted(path.parent for path in (folder / "vendor").glob("*/Cargo.toml"))


def stanzas(copyright_file: Path) -> Iterator[tuple[list[str], str]]:
    """(patterns, licence) of each Files stanza of debian/copyright, in order."""
    for stanza in re.split(r"\n\s*\n", copyright_file.read_text()):
        files = re.search(r"^Files: *(.*(?:\n .*)*)", stanza, re.M)
        licence = re.search(r"^License: *(.*)$", stanza, re.M)
        if files and licence:
            yield files[1].split(), licence[1]


def offers(expression: str, licence: str) -> bool:
    """Whether a crate's SPDX expression lets its licence be what debian/copyright says."""
    parts = [part.strip(" ()") for part in re.split(r"\bAND\b", expression)]
    said = licence.split(" and ")
    return len(parts) == len(said) and all(
        name in [SHORT_NAMES.get(o.strip(), o.strip()) for o in re.split(r"\bOR\b|/", part)]
        for part, name in zip(parts, said)
    )


def wrong_licences(folder: Path, crates: list[Path]) -> list[str]:
    """The crates of which debian/copyright does not say what their authors say."""
    known, wrong = list(stanzas(folder / "debian" / "copyright")), []
    for crate in crates:
        about = tomllib.loads((crate / "Cargo.toml").read_text())["package"]
        name = (crate / "Cargo.toml").relative_to(folder).as_posix()
        # The last stanza that fits counts.
        said = [licence for ps, licence in known if any(fnmatch.fnmatchcase(name, p) for p in ps)]
        if not offers(about.get("license", "none"), said[-1]):
            wrong.append(f"{name}: {about.get('license')}, and debian/copyright says {said[-1]}")
    return wrong
