# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's packages: what must be installed, and source packages by a private apt.

The machine's own apt configuration is read (for the mirror and the proxy) and never
written: the private apt has its own sources, lists and caches in the cache folder.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from qdb_tools import log
from qdb_tools.log import Failure
from qdb_tools.process import run

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
RELEASES = {
    "bullseye",
    "bookworm",
    "trixie",
    "forky",
    "sid",
    "oldstable",
    "stable",
    "testing",
    "unstable",
}


def need(packages: Sequence[str], what_for: str) -> None:
    """Sees to it that Debian packages are installed; asks the user if it can't be done here."""
    if not shutil.which("dpkg-query"):
        raise Failure(f"{what_for} needs Debian (12 or later): there is no dpkg-query here")
    listed = subprocess.run(
        ["dpkg-query", "-W", "-f", "${binary:Package} ${db:Status-Status}\n", *packages],
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    there = {
        line.split()[0].split(":")[0] for line in listed.splitlines() if line.endswith(" installed")
    }
    missing = [package for package in packages if package not in there]
    if not missing:
        return
    if os.geteuid() != 0:
        raise Failure(
            f"{what_for} needs packages that are not installed. Install them:\n"
            f"    sudo apt-get install --no-install-recommends {' '.join(missing)}"
        )
    log.step(f"installing {' '.join(missing)} ({what_for})")
    env = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    # Another apt may be at work.
    apt = ["apt-get", "-o", "DPkg::Lock::Timeout=600"]
    install = [*apt, "install", "-y", "--no-install-recommends", *missing]
    try:
        run(install, env=env)
    except Failure:
        # A fresh machine has no package lists yet, an old one has lists that are too old.
        run(["apt-get", "update"], env=env)
        run(install, env=env)


def one_line_entries(text: str) -> Iterator[tuple[str, str]]:
    """(uri, suite) of each `deb` line of a sources.list."""
    for line in text.splitlines():
        words = re.sub(r"\[[^]]*\]", " ", line.split("#")[0]).split()
        if len(words) >= 3 and words[0] in ("deb", "deb-src"):
            yield words[1], words[2]


def deb822_entries(text: str) -> Iterator[tuple[str, str]]:
    """(uri, suite) of each enabled stanza of a .sources file."""
    for stanza in re.split(r"\n\s*\n", text):
        fields, key = {}, None
        for line in stanza.splitlines():
            if line.startswith("#"):
                continue
            if line[:1].isspace() and key:
                fields[key] += " " + line.strip()
            elif ":" in line:
                key, value = line.split(":", 1)
                key = key.strip().lower()
                fields[key] = value.strip()
        if fields.get("enabled", "yes").lower() in ("no", "false", "0"):
            continue
        for uri in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                yield uri, suite


def mirror(etc: Path = Path("/etc/apt")) -> str:
    """The Debian mirror that this machine's own apt uses."""
    if os.environ.get("QDB_DEBIAN_MIRROR"):
        return os.environ["QDB_DEBIAN_MIRROR"]
    files = [etc / "sources.list"]
    if (etc / "sources.list.d").is_dir():
        files += sorted((etc / "sources.list.d").iterdir())
    for file in files:
        if not file.is_file() or file.suffix not in (".list", ".sources"):
            continue
        text = file.read_text(errors="replace")
        for uri, suite in (deb822_entries if file.suffix == ".sources" else one_line_entries)(text):
            # Other archives have suites of the same name; only Debian's ends in /debian.
            if suite in RELEASES and uri.rstrip("/").endswith("/debian"):
                return uri
    raise Failure(
        f"no Debian archive among the apt sources in {etc}: set QDB_DEBIAN_MIRROR to the address of one, "
        "or QEMU_SRC to the folder of a QEMU source tree that you have"
    )


class PrivateApt:
    """apt with one suite, and nothing of its own outside `folder`: its source packages, or the
    binary packages of some architectures."""

    def __init__(self, folder: Path, suite: str, architectures: Sequence[str] = ()) -> None:
        self.folder, self.suite = folder / suite, suite
        kind = "deb" if architectures else "deb-src"
        for name in ("lists/partial", "archives/partial", "none"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        (self.folder / "status").touch()
        (self.folder / "sources.list").write_text(
            f"{kind} [signed-by={KEYRING}] {mirror()} {suite} main\n"
        )
        (self.folder / "apt.conf").write_text(f"""\
Dir::Etc::sourcelist "{self.folder}/sources.list";
Dir::Etc::sourceparts "{self.folder}/none";
Dir::Etc::preferencesparts "{self.folder}/none";
Dir::State "{self.folder}";
Dir::State::status "{self.folder}/status";
Dir::State::lists "{self.folder}/lists";
Dir::Cache "{self.folder}";
Dir::Cache::archives "{self.folder}/archives";
Acquire::Languages "none";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
""")
        if architectures:
            with (self.folder / "apt.conf").open("a") as conf:
                listed = " ".join(f'"{name}";' for name in architectures)
                conf.write(
                    f'APT::Architecture "{architectures[0]}";\nAPT::Architectures {{ {listed} }};\n'
                )
        if os.geteuid() == 0:
            # apt's own user may not be able to enter the cache folder.
            with (self.folder / "apt.conf").open("a") as conf:
                conf.write('APT::Sandbox::User "root";\n')

    def run(self, program: str, *words: str, **options: Any) -> str:
        return run([program, "-c", self.folder / "apt.conf", *words], **options)

    def versions(self, package: str) -> list[str]:
        """The versions of a source package in the suite, newest first."""
        self.run("apt-get", "update")
        found = re.findall(
            r"^Version: (\S+)$",
            self.run("apt-cache", "showsrc", "--only-source", package),
            re.MULTILINE,
        )
        newest: list[str] = []
        for version in dict.fromkeys(found):
            place = 0
            while (
                place < len(newest)
                and subprocess.run(
                    ["dpkg", "--compare-versions", newest[place], "gt", version], check=False
                ).returncode
                == 0
            ):
                place += 1
            newest.insert(place, version)
        return newest

    def download(self, package: str, version: str, folder: Path) -> Path:
        """Downloads a source package, checked by apt; returns its .dsc."""
        self.run(
            "apt-get",
            "source",
            "--download-only",
            "--only-source",
            f"{package}={version}",
            cwd=folder,
        )
        return next(folder.glob(f"{package}_*.dsc"))

    def unpack(self, package: str, version: str, folder: Path) -> None:
        """Downloads a binary package (NAME or NAME:ARCHITECTURE), checked by apt, and unpacks it into `folder`."""
        work = self.folder / "none" / package.replace(":", "-")
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        self.run("apt-get", "download", f"{package}={version}" if version else package, cwd=work)
        run(["dpkg-deb", "-x", next(work.glob("*.deb")), folder])
        shutil.rmtree(work)
