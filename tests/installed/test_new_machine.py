# SPDX-License-Identifier: GPL-2.0-or-later
"""This repository as somebody new meets it: on a Debian 12 that has only what README presumes.

The commands that the documents print are run in it, word for word. It takes hours, and needs root,
for debootstrap and chroot.
"""

import os
import re
import shutil
from pathlib import Path

import pytest
import vendored
from markdown_it import MarkdownIt
from qdb_tools import debian, paths
from qdb_tools.process import run, watch

CLONE = "root/qemu-dirty-bitmap"
BUNDLE = "etc/ssl/certificates-of-the-host.crt"
# How the clients are told whose word to take for a proxy.
TRUST = "SSL_CERT_FILE CURL_CA_BUNDLE PIP_CERT REQUESTS_CA_BUNDLE CARGO_HTTP_CAINFO".split()
LONGEST = 2 * 60 * 60  # seconds, for one step
# $0 is the system, $1 a folder in it. Mounts and processes are gone when the command ends.
UNSHARE = "unshare --mount --pid --fork --kill-child sh -c".split()
CHROOT = """mount -t proc proc "$0/proc" && mount --rbind /dev "$0/dev" &&
    exec chroot "$0" sh -c 'cd "$0" && exec "$@"' "$@" """

# Each step: the document, and how the commands begin that it prints for this (none: all of them).
# The examples first: what the README's two commands install must not help them.
STEPS = {
    "c": ("examples/c/README.md", ()),
    "rust": ("examples/README.md", ()),
    "demo": ("README.md", ("tools/demo",)),
    "test": ("README.md", ("tools/test",)),
    "qemu": ("qemu/README.md", ("tools/qemu-build", "tools/test tests/qemu")),
}


def printed(document: Path, beginnings: tuple[str, ...]) -> list[str]:
    """The commands in a document's blocks of code that begin so, without remarks."""
    blocks = [token for token in MarkdownIt().parse(document.read_text()) if token.type == "fence"]
    code = "".join(b.content for b in blocks if b.info in ("", "sh", "bash", "shell"))
    lines = [re.sub(r"\s+#.*", "", line) for line in re.sub(r"\\\n\s*", "", code).splitlines()]
    for word in beginnings:
        assert any(line.startswith(word) for line in lines), f"{document} prints no {word}"
    return [line for line in lines if line.strip() and line.startswith(beginnings or "")]


def inside(system: Path, command: str, folder: str = "/") -> None:
    """Runs a command in it, with what a login has, and the way to the net."""
    path = "/root/.cargo/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    env = {"HOME": "/root", "USER": "root", "LANG": "C.UTF-8", "TERM": "dumb", "PATH": path}
    env |= debian.proxies()
    env |= dict.fromkeys(TRUST, f"/{BUNDLE}") if (system / BUNDLE).exists() else {}
    env["DEBIAN_FRONTEND"] = "noninteractive"
    limit = ["timeout", LONGEST, "bash", "-c"]
    run([*UNSHARE, CHROOT, system, folder, *limit, command], env=env)


@pytest.fixture(scope="module")
def system() -> Path:
    assert os.geteuid() == 0, "debootstrap and chroot need root"
    debian.need(["debootstrap", "debian-archive-keyring", "git"], "a new Debian system")
    system, archives = paths.cache("new-machine") / "root", paths.cache("new-machine", "archives")
    # Nothing is mounted in it (see inside); and if it were, this would stop there.
    run(["rm", "-rf", "--one-file-system", system])
    bootstrap = ["debootstrap", "--variant=minbase", f"--cache-dir={archives}", "bookworm"]
    log = system.with_name("debootstrap.log")
    watch([*bootstrap, system, debian.mirror()], log, "debootstrap")
    shutil.copy("/etc/resolv.conf", system / "etc/resolv.conf")
    if trusted := os.environ.get("SSL_CERT_FILE"):
        (system / BUNDLE).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(trusted, system / BUNDLE)
    # Whoever types apt-get answers its question with yes. How to get to the mirror, and whether it
    # lags, the host's apt knows.
    known = r"^Acquire::(?:https?|ftp|Check-Valid-Until)\b.*;\n"
    settings = re.findall(known, run(["apt-config", "dump"]), re.M)
    settings.append('APT::Get::Assume-Yes "true";\n')
    (system / "etc/apt/apt.conf.d/settings").write_text("".join(settings))
    # What README presumes, and what rustup's installer is fetched with.
    inside(system, "apt-get update && apt-get install gcc python3 ca-certificates")
    # The Rust that rustup has put onto this machine, at the same place in the new one.
    toolchain = Path(run(["rustc", "--print", "sysroot"], cwd=paths.ROOT).strip()).resolve()
    programs = Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo") / "bin"
    rustups = toolchain.parent.name == "toolchains" and (programs / "rustup").exists()
    assert rustups, f"the rustc here ({toolchain}) is not one of rustup's"
    # The books (share/doc) are half of it and run nothing.
    books, home = shutil.ignore_patterns("doc"), system / "root"
    shutil.copytree(programs, home / ".cargo/bin", symlinks=True)
    there = home / ".rustup/toolchains" / toolchain.name
    shutil.copytree(toolchain, there, symlinks=True, ignore=books)
    inside(system, f"rustup default {toolchain.name}")
    run(["git", "clone", "--quiet", paths.ROOT, system / CLONE])
    # What is not committed yet comes along.
    vendored.copy_source(system / CLONE)
    return system


@pytest.mark.parametrize("step", STEPS)
def test_step(system: Path, step: str) -> None:
    """The commands of one step in one shell, as somebody types them."""
    document, beginnings = STEPS[step]
    commands = printed(system / CLONE / document, beginnings)
    inside(system, "\n".join(["set -ex", *commands]), f"/{CLONE}")
