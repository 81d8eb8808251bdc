# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian packages of the library, built and tried.

A copy of the source with the crates that it needs (cargo vendor) is built by dpkg-buildpackage with
Debian's own cargo, rustc and meson, without a network; lintian looks at the result; the packages are
unpacked in a folder, and debian/tests run on what is there, as autopkgtest runs them on what is
installed. Installed is what the build needs, nothing else. The packages end up in the cache.

With --package-tests the C tests run in the build, as on Debian's machines (minutes). With
--install-packages they are also installed on this machine, tried there, and removed.
"""

import os
import re
import shutil
from pathlib import Path

import pytest
import vendored
from installed import SONAME, Copy
from qdb_tools import build, debian, log, paths
from qdb_tools.log import Failure
from qdb_tools.process import output, run, watch

TOOLS = "dpkg-dev debhelper lintian gcc g++ git pkg-config qemu-utils".split()
NAMES = ["libqemu-dirty-bitmap0", "libqemu-dirty-bitmap-dev"]
# A build on Debian's machines has nothing else either: not the cargo of rustup, for one.
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


class Packages:
    """The source with its crates, and what is built of it."""

    def __init__(self, tests: bool) -> None:
        self.folder = paths.cache() / "debian"
        self.profile = [] if tests else ["-Pnocheck"]
        options = "" if tests else "nocheck"
        self.env = {"PATH": PATH, "HOME": str(self.folder), "LC_ALL": "C.UTF-8"}
        self.env["DEB_BUILD_OPTIONS"] = options
        proxies = {n: v for n, v in os.environ.items() if n.lower().endswith("_proxy")}
        self.env |= proxies | {"TERM": os.environ.get("TERM", "dumb")}
        shutil.rmtree(self.folder, ignore_errors=True)
        cargo = (paths.ROOT / "Cargo.toml").read_text()
        version = re.findall(r"^version = \"(.+)\"$", cargo, re.M)[0]
        self.source = self.folder / f"qemu-dirty-bitmap-{version}"
        self.source.mkdir(parents=True)
        vendored.copy_source(self.source)
        shutil.copytree(self.source / "packaging" / "debian", self.source / "debian")
        self.crates = vendored.vendor(self.source)
        self.root = self.folder / "root"

    def get_needs(self) -> None:
        """Sees to it that the Build-Depends of debian/control are there."""
        code, said = output(["dpkg-checkbuilddeps", *self.profile], cwd=self.source, env=self.env)
        if code == 0:
            return
        install = ["apt-get", "build-dep", "-y", "--no-install-recommends", *self.profile, "./"]
        if os.geteuid() != 0:
            raise Failure(f"{said}Install them: cd {self.source} && sudo {' '.join(install)}")
        env = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        try:
            run(install, cwd=self.source, env=env)
        except Failure:
            # The package lists may be too old.
            run(["apt-get", "update"], env=env)
            run(install, cwd=self.source, env=env)

    def build(self) -> None:
        # Who may, takes the network away (root, but not in every container); cargo is told not to
        # use it all the same (debian/rules).
        offline = ["unshare", "--net"]
        offline = offline if output([*offline, "true"])[0] == 0 else []
        command = [*offline, "dpkg-buildpackage", "-us", "-uc", "-b", *self.profile]
        watch(command, self.folder / "build.log", "package", cwd=self.source, env=self.env)

    def file(self, name: str) -> Path:
        return next(self.folder.glob(f"{name}_*.deb"))

    def own_test(self, name: str, env: dict[str, str], work: Path) -> None:
        """One of debian/tests, which autopkgtest runs on what is installed."""
        run([self.source / "debian" / "tests" / name], env=env | {"AUTOPKGTEST_TMP": str(work)})


@pytest.fixture(scope="module")
def packages(pytestconfig: pytest.Config) -> Packages:
    debian.need(TOOLS, "building Debian packages")
    build.need_cargo()
    made = Packages(pytestconfig.getoption("package_tests"))
    made.get_needs()
    made.build()
    for name in NAMES:
        run(["dpkg", "-x", made.file(name), made.root])
    log.note(f"the packages are in {made.folder}")
    return made


@pytest.fixture(scope="module")
def libdir(packages: Packages) -> str:
    return f"lib/{run(['dpkg-architecture', '-qDEB_HOST_MULTIARCH'], env=packages.env).strip()}"


@pytest.fixture(scope="module")
def copy(packages: Packages, libdir: str) -> Copy:
    return Copy(packages.root, "/usr", libdir)


def test_licences(packages: Packages) -> None:
    """debian/copyright says of each crate what its authors say."""
    assert packages.crates
    assert vendored.wrong_licences(packages.source, packages.crates) == []


def test_lintian(packages: Packages) -> None:
    user = ["--allow-root"] if os.geteuid() == 0 else []
    changes = next(packages.folder.glob("*.changes"))
    run(["lintian", *user, "--fail-on", "error,warning", changes], env=packages.env)


def test_what_is_in_them(packages: Packages, libdir: str) -> None:
    owners: dict[str, str] = {}
    for name in NAMES:
        for line in run(["dpkg-deb", "-c", packages.file(name)]).splitlines():
            path = line.split(None, 5)[5].split(" -> ")[0]
            assert path.endswith("/") or owners.setdefault(path, name) == name, "in both"
    library = f"./usr/{libdir}/libqemu_dirty_bitmap"
    found = [owners.get(f"{library}.{end}") for end in ("so.0", "so", "a")]
    assert found == [NAMES[0], NAMES[1], NAMES[1]]
    assert [path for path in owners if path.endswith(".3.gz")], "there is no manual page"


def test_soname_and_version(copy: Copy) -> None:
    copy.is_versioned()


def test_library_does_not_say_where_it_was_built(packages: Packages, copy: Copy) -> None:
    library = (copy.libdir / SONAME).read_bytes()
    for place in (packages.folder, paths.ROOT, Path.home()):
        assert str(place).encode() not in library


@pytest.mark.parametrize("name", ["consumer", "example"])
def test_own_test(packages: Packages, copy: Copy, name: str, tmp_path: Path) -> None:
    packages.own_test(name, copy.running, tmp_path)


def test_installed(packages: Packages, tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """Really installed with --install-packages; without it dpkg only says that it could be."""
    files = [packages.file(name) for name in NAMES]
    env = {**packages.env, "DEBIAN_FRONTEND": "noninteractive"}
    if not pytestconfig.getoption("install_packages"):
        run(["dpkg", "--dry-run", "--force-not-root", "-i", *files], env=env)
        return
    run(["dpkg", "-i", *files], env=env)
    try:
        for name in ("consumer", "example"):
            (tmp_path / name).mkdir()
            packages.own_test(name, packages.env, tmp_path / name)
        run(["man", "-w", "hbitmap_set"], env=env)
    finally:
        run(["dpkg", "--purge", *reversed(NAMES)], env=env)
