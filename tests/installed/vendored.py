# SPDX-License-Identifier: GPL-2.0-or-later
"""A copy of the source with the crates that it needs, to be built offline; and their licences."""

import email
import fnmatch
import re
import subprocess
import tomllib
from pathlib import Path

from qdb_tools import paths
from qdb_tools.process import run


def copy_source(folder: Path) -> None:
    """The files that git knows or would add, as they are now."""
    listing = "git ls-files -z --cached --others --exclude-standard".split()
    names = run(listing, cwd=paths.ROOT).split("\0")
    # A file that was removed is still in git's list.
    files = [name for name in names if (paths.ROOT / name).is_file()]
    folder.mkdir(parents=True, exist_ok=True)
    run(["cp", "--preserve", "--parents", *files, folder], cwd=paths.ROOT)


def vendor(folder: Path) -> None:
    """Puts the crates into vendor/ and tells cargo so."""
    (folder / ".cargo").mkdir(exist_ok=True)
    command = ["cargo", "vendor", "--locked", "vendor"]
    config = run(command, cwd=folder, stderr=subprocess.DEVNULL)
    (folder / ".cargo" / "config.toml").write_text(config)


def is_licence(expression: str, licence: str) -> bool:
    """Whether a crate's SPDX expression lets its licence be what debian/copyright says."""
    expression = expression.replace("MIT", "Expat")
    parts = [re.split(" OR | ?/ ?", part.strip(" ()")) for part in expression.split(" AND ")]
    said = licence.split(" and ")
    return len(said) == len(parts) and all(name in part for name, part in zip(said, parts))


def licences(folder: Path, crate: Path) -> tuple[str, str]:
    """What a crate's authors say, and what debian/copyright does."""
    toml = crate / "Cargo.toml"
    stanzas = re.split(r"\n\s*\n", (folder / "debian" / "copyright").read_text())
    for fields in map(email.message_from_string, stanzas):
        patterns = fields.get("Files", "").split()
        if any(fnmatch.fnmatchcase(str(toml.relative_to(folder)), each) for each in patterns):
            said = fields["License"].splitlines()[0]  # the last stanza that fits counts
    return tomllib.loads(toml.read_text())["package"].get("license", ""), said
