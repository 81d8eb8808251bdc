# SPDX-License-Identifier: GPL-2.0-or-later
"""This repository as somebody new meets it: on a Debian 12 that has only what README presumes.

debootstrap makes the system in the cache, a plain apt-get puts gcc and python3 into it, and rustup's
toolchain and a copy of this repository come along; then the commands that the documents print are
run in it, word for word. It takes hours, and needs root, for debootstrap and chroot. With --again in
the system of the last run.
"""

import os
import re
import shutil
from pathlib import Path

import pytest
import vendored
from qdb_tools import debian, log, paths
from qdb_tools.log import Failure
from qdb_tools.process import output, run, watch

SUITE = "bookworm"
# What README presumes. rustup's installer is fetched with certificates, so they are there as well.
PRESUMED = ["gcc", "python3", "ca-certificates"]
HOME = "root"
CLONE = f"{HOME}/qemu-dirty-bitmap"
BUNDLE = "etc/ssl/certificates-of-the-host.crt"
# A proxy, and whose word the clients take for it.
PROXIES = "http_proxy https_proxy ftp_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY".split()
TRUST = "SSL_CERT_FILE CURL_CA_BUNDLE PIP_CERT REQUESTS_CA_BUNDLE CARGO_HTTP_CAINFO".split()
LONGEST = 2 * 60 * 60  # seconds, for one step
MOUNT = 'mount -t proc proc "$0/proc" && mount --rbind /dev "$0/dev"'
CHROOT = 'exec chroot "$0" sh -c \'cd "$0" && exec "$@"\' "$@"'

# Each step: where somebody stands, the document, and how the commands begin that it prints for this
# (none: all of them). The examples first: what the README's two commands install must not help them.
STEPS = {
    "c": (".", "examples/c/README.md", ()),
    "rust": (".", "examples/README.md", ()),
    "demo": (".", "README.md", ("tools/demo",)),
    "test": (".", "README.md", ("tools/test",)),
    "qemu": (".", "qemu/README.md", ("tools/qemu-build", "tools/test tests/qemu")),
}


def printed(document: Path, beginnings: tuple[str, ...]) -> list[str]:
    """The commands in a document's blocks of code that begin so, without the remarks behind."""
    found, inside, runs, lines = [], False, False, iter(document.read_text().splitlines())
    for line in lines:
        if fence := re.match(r"```(\w*)$", line):
            inside, runs = not inside, fence[1] in ("", "sh", "bash", "shell")
        elif inside and runs and line.strip() and (not beginnings or line.startswith(beginnings)):
            while line.endswith("\\"):
                line = line[:-1] + next(lines).strip()
            found.append(re.sub(r"\s+#.*", "", line))
    for word in beginnings:
        assert any(line.startswith(word) for line in found), f"{document} prints no {word}"
    return found


class System:
    def __init__(self, root: Path) -> None:
        self.root = root

    def environment(self) -> dict[str, str]:
        """What a login has, and the way to the net."""
        path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        env = {"HOME": f"/{HOME}", "USER": "root", "LANG": "C.UTF-8", "TERM": "dumb"}
        env |= {"DEBIAN_FRONTEND": "noninteractive", "PATH": f"/{HOME}/.cargo/bin:{path}"}
        env |= {name: os.environ[name] for name in PROXIES if name in os.environ}
        return env | (dict.fromkeys(TRUST, f"/{BUNDLE}") if (self.root / BUNDLE).exists() else {})

    def inside(self, command: list[str], folder: str = "/") -> tuple[int, str]:
        """Runs a command in it. Mounts and processes of it are gone when it ends."""
        own = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
        words = [*own, "sh", "-c", f"{MOUNT} && {CHROOT}", self.root, folder, *command]
        return output(words, env=self.environment())

    def must(self, command: list[str]) -> None:
        code, said = self.inside(command)
        if code != 0:
            raise Failure(f"{command}: {said[-3000:]}")

    def make(self) -> None:
        if self.root.exists():
            # Nothing is mounted in it (see inside); and if it were, this would stop there.
            run(["rm", "-rf", "--one-file-system", self.root])
        archives = self.root.with_name("archives")
        archives.mkdir(parents=True, exist_ok=True)
        log.step(f"a new Debian {SUITE} in {self.root}")
        bootstrap = ["debootstrap", "--variant=minbase", f"--cache-dir={archives}", SUITE]
        log_file = self.root.with_name("debootstrap.log")
        watch([*bootstrap, self.root, debian.mirror()], log_file, "debootstrap")
        shutil.copy("/etc/resolv.conf", self.root / "etc/resolv.conf")
        if trusted := os.environ.get("SSL_CERT_FILE"):
            (self.root / BUNDLE).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(trusted, self.root / BUNDLE)
        # Whoever types apt-get answers its question with yes. How to get to the mirror, and whether
        # it lags, the host's apt knows.
        settings = ['APT::Get::Assume-Yes "true";']
        known = r"^Acquire::(?:https?|ftp|Check-Valid-Until)\b.*;$"
        settings += re.findall(known, run(["apt-config", "dump"]), re.M)
        file = self.root / "etc/apt/apt.conf.d/settings"
        file.write_text("\n".join(settings) + "\n")
        self.must(["apt-get", "update"])
        self.must(["apt-get", "install", *PRESUMED])
        self.toolchain()

    def toolchain(self) -> None:
        """The Rust that rustup has put onto this machine, at the same place in the new one."""
        sysroot = Path(run(["rustc", "--print", "sysroot"], cwd=paths.ROOT).strip()).resolve()
        cargo = Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo")
        rustups = sysroot.parent.name == "toolchains" and (cargo / "bin" / "rustup").exists()
        assert rustups, f"the rustc here ({sysroot}) is not one of rustup's"
        home = self.root / HOME
        toolchain = home / ".rustup" / "toolchains" / sysroot.name
        for origin, copy in ((cargo / "bin", home / ".cargo" / "bin"), (sysroot, toolchain)):
            # The books (share/doc) are half of it and run nothing.
            shutil.copytree(origin, copy, symlinks=True, ignore=shutil.ignore_patterns("doc"))
        self.must(["rustup", "default", sysroot.name])


@pytest.fixture(scope="module")
def system(pytestconfig: pytest.Config) -> System:
    assert os.geteuid() == 0, "debootstrap and chroot need root"
    debian.need(["debootstrap", "debian-archive-keyring", "git"], "a new Debian system")
    made = System(paths.cache("new-machine") / "root")
    if not pytestconfig.getoption("again"):
        made.make()
    shutil.rmtree(made.root / CLONE, ignore_errors=True)
    run(["git", "clone", "--quiet", paths.ROOT, made.root / CLONE])
    # What is not committed yet comes along.
    vendored.copy_source(made.root / CLONE)
    return made


@pytest.mark.parametrize("step", STEPS)
def test_step(system: System, step: str) -> None:
    """The commands of one step in one shell, as somebody types them."""
    folder, document, beginnings = STEPS[step]
    lines = [f"cd /{CLONE}/{folder}", *printed(system.root / CLONE / document, beginnings)]
    script = "set -ex\n" + "\n".join(lines) + "\n"
    code, said = system.inside(["timeout", str(LONGEST), "bash", "-c", script], f"/{CLONE}")
    assert code == 0, said[-4000:]
