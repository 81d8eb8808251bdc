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

from qdb_tools import log, paths
from qdb_tools.log import Failure
from qdb_tools.process import output, run

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
# apt's own user may not be able to enter the cache folder.
CONFIGURATION = """\
Dir::Etc::sourcelist "{0}/sources.list";
Dir::Etc::sourceparts "{0}/none";
Dir::Etc::preferencesparts "{0}/none";
Dir::State "{0}";
Dir::State::status "{0}/status";
Dir::Cache "{0}";
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
    install = ["apt-get", "install", "--no-install-recommends", *missing]
    if os.geteuid() != 0:
        command = f"sudo {' '.join(install)}"
        raise Failure(f"{what_for} needs packages that are not installed:\n    {command}")
    # Another apt may be at work.
    install += ["-y", "-o", "DPkg::Lock::Timeout=600"]
    log.step(f"installing {' '.join(missing)} ({what_for})")
    env = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    if output(install, env=env)[0] != 0:
        # A fresh machine has no package lists yet, an old one has lists that are too old.
        run(["apt-get", "update"], env=env)
        run(install, env=env)


def mirror() -> str:
    """The Debian mirror among the archives of this machine's own apt."""
    if chosen := os.environ.get("QDB_DEBIAN_MIRROR"):
        return chosen
    ask = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Origin: Debian", "Label: Debian"]
    if not (found := run(ask, stderr=subprocess.DEVNULL)) and os.geteuid() == 0:
        # A fresh machine has no package lists yet, and they say whose an archive is.
        run(["apt-get", "update"])
        found = run(ask, stderr=subprocess.DEVNULL)
    if not found:
        missing = "apt knows no Debian archive: let it update, set QDB_DEBIAN_MIRROR to the address"
        raise Failure(f"{missing} of one, or QEMU_SRC to the folder of a QEMU source tree")
    return found.split()[0].rstrip("/")


def proxies() -> dict[str, str]:
    """The variables that tell the way to the net."""
    return {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}


def private_apt(suite: str, *architectures: str) -> Path:
    """The configuration of an apt with one suite, and nothing of its own outside of the cache: its
    source packages, or the binary packages of some architectures."""
    folder = paths.cache("apt", "-".join([suite, *architectures]))
    for name in "lists/partial", "archives/partial", "none":
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "status").touch()
    kind = "deb" if architectures else "deb-src"
    (folder / "sources.list").write_text(f"{kind} [signed-by={KEYRING}] {mirror()} {suite} main\n")
    known = "".join(f'APT::Architectures:: "{name}";\n' for name in architectures)
    configuration = folder / "apt.conf"
    configuration.write_text(CONFIGURATION.format(folder) + known)
    run(["apt-get", "-c", configuration, "update"])
    return configuration


def unpacked(folder: Path, architecture: str, packages: Sequence[str]) -> None:
    """Fills a folder with what is in packages of Debian 12, for amd64 and another architecture.

    Nothing is installed. NAME:ARCHITECTURE=VERSION, or only a part of it.
    """
    wanted = " ".join(packages)
    with paths.lock(folder.name), paths.fresh(folder, folder / "wanted", wanted) as needed:
        if needed:
            log.step(f"fetching Debian's packages {wanted}")
            apt = private_apt("bookworm", "amd64", architecture)
            run(["apt-get", "-c", apt, "download", *packages], cwd=folder)
            for package in folder.glob("*.deb"):
                run(["dpkg-deb", "-x", package, folder])
                package.unlink()
