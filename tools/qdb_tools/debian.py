# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's packages: what must be installed, and source packages by a private apt.

The machine's own apt configuration is read (for the mirror and the proxy) and never
written: the private apt has its own sources, lists and caches in the cache folder.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qdb_tools import log
from qdb_tools.log import Failure
from qdb_tools.process import output, run

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
RELEASES = "bullseye bookworm trixie forky sid oldstable stable testing unstable".split()
# apt's own user may not be able to enter the cache folder.
CONFIGURATION = """\
Dir::Etc::sourcelist "{0}/sources.list";
Dir::Etc::sourceparts "{0}/none";
Dir::Etc::preferencesparts "{0}/none";
Dir::State "{0}";
Dir::State::status "{0}/status";
Dir::State::lists "{0}/lists";
Dir::Cache "{0}";
Dir::Cache::archives "{0}/archives";
Acquire::Languages "none";
APT::Sandbox::User "root";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
"""


def need(packages: Sequence[str], what_for: str) -> None:
    """Sees to it that Debian packages are installed; asks the user if it can't be done here."""
    if not shutil.which("dpkg-query"):
        raise Failure(f"{what_for} needs Debian (12 or later): there is no dpkg-query here")
    query = ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", *packages]
    there = re.findall(r"^(\S+) installed$", output(query)[1], re.M)
    missing = [package for package in packages if package not in there]
    if not missing:
        return
    # Another apt may be at work.
    apt = ["apt-get", "-o", "DPkg::Lock::Timeout=600"]
    install = [*apt, "install", "-y", "--no-install-recommends", *missing]
    if os.geteuid() != 0:
        command = f"sudo apt-get install --no-install-recommends {' '.join(missing)}"
        raise Failure(f"{what_for} needs packages that are not installed:\n    {command}")
    log.step(f"installing {' '.join(missing)} ({what_for})")
    env = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    if output(install, env=env)[0] != 0:
        # A fresh machine has no package lists yet, an old one has lists that are too old.
        run(["apt-get", "update"], env=env)
        run(install, env=env)


def mirror(etc: Path = Path("/etc/apt")) -> str:
    """The Debian mirror that this machine's own apt uses."""
    if os.environ.get("QDB_DEBIAN_MIRROR"):
        return os.environ["QDB_DEBIAN_MIRROR"]
    # What apt would fetch, whether it has any lists yet or not.
    command = ["apt-get", "update", "--print-uris", "-o", "Debug::NoLocking=true"]
    _, listed = output([*command, "-o", f"Dir::Etc={etc}"], stderr=subprocess.DEVNULL)
    for uri, suite in re.findall(r"^'(\S+)/dists/(\S+)/InRelease'", listed, re.M):
        # Other archives have suites of the same name; only Debian's ends in /debian.
        if suite in RELEASES and uri.endswith("/debian"):
            return str(uri)
    raise Failure(
        f"no Debian archive among the apt sources in {etc}: set QDB_DEBIAN_MIRROR to the address "
        "of one, or QEMU_SRC to the folder of a QEMU source tree that you have"
    )


class PrivateApt:
    """apt with one suite, and nothing of its own outside `folder`: its source packages, or the
    binary packages of some architectures."""

    def __init__(self, folder: Path, suite: str, architectures: Sequence[str] = ()) -> None:
        self.folder = folder / suite
        for name in ("lists/partial", "archives/partial", "none"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        (self.folder / "status").touch()
        kind = "deb" if architectures else "deb-src"
        source = f"{kind} [signed-by={KEYRING}] {mirror()} {suite} main\n"
        (self.folder / "sources.list").write_text(source)
        known = "".join(f'APT::Architectures:: "{name}";\n' for name in architectures)
        (self.folder / "apt.conf").write_text(CONFIGURATION.format(self.folder) + known)

    def run(self, program: str, *words: str, **options: Any) -> str:
        return run([program, "-c", self.folder / "apt.conf", *words], **options)

    def unpack(self, package: str, version: str, folder: Path) -> None:
        """Downloads a binary package (NAME or NAME:ARCHITECTURE), checked by apt, and unpacks it
        into `folder`."""
        work = self.folder / "none" / package.replace(":", "-")
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        self.run("apt-get", "download", f"{package}={version}" if version else package, cwd=work)
        run(["dpkg-deb", "-x", next(work.glob("*.deb")), folder])
        shutil.rmtree(work)
