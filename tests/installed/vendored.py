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

# Names of licences in Cargo.toml (SPDX) and in debian/copyright.
SHORT_NAMES = {"MIT": "Expat"}


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
    with (folder / ".cargo" / "config.toml").open("w") as config:
        command = ["cargo", "vendor", "--locked", "vendor"]
        subprocess.run(command, cwd=folder, stdout=config, check=True)


def offers(expression: str, licence: str) -> bool:
    """Whether a crate's SPDX expression lets its licence be what debian/copyright says."""
    parts = [re.split(r" OR |/", part.strip(" ()")) for part in expression.split(" AND ")]
    names = [[SHORT_NAMES.get(name.strip(), name.strip()) for name in part] for part in parts]
    said = licence.split(" and ")
    return len(said) == len(names) and all(name in part for name, part in zip(said, names))


def wrong_licences(folder: Path, crates: list[Path]) -> list[str]:
    """The crates of which debian/copyright does not say what their authors say."""
    stanzas = re.split(r"\n\s*\n", (folder / "debian" / "copyright").read_text())
    known = [fields for fields in map(email.message_from_string, stanzas) if fields["Files"]]
    wrong = []
    for crate in crates:
        licence = tomllib.loads((crate / "Cargo.toml").read_text())["package"].get("license", "")
        name = (crate / "Cargo.toml").relative_to(folder).as_posix()
        for fields in known:
            if any(fnmatch.fnmatchcase(name, pattern) for pattern in fields["Files"].split()):
                said = fields["License"].splitlines()[0]  # the last stanza that fits counts
        if not offers(licence, said):
            wrong.append(f"{name}: {licence}, and debian/copyright says {said}")
    return wrong
