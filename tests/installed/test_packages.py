# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian packages of the library, built and tried (packaging/README.md says how).

With --package-tests the C tests run in the build, as on Debian's machines (minutes). With
--install-packages autopkgtest also installs them on this machine and tries them there; then they
are removed.
"""

import os
import shutil
from pathlib import Path

import pytest
import vendored
from installed import ARCHIVE, EXAMPLE_NEEDS, SONAME, Copy
from pytest import FixtureRequest as Request
from qdb_tools import build, debian, log, paths
from qdb_tools.process import output, run, watch

TOOLS = "dpkg-dev debhelper lintian gcc g++ git pkg-config qemu-utils".split() + EXAMPLE_NEEDS
NAMES = ["libqemu-dirty-bitmap0", "libqemu-dirty-bitmap-dev"]
Env = dict[str, str]


@pytest.fixture(scope="module")
def env(pytestconfig: pytest.Config) -> Env:
    debian.need(TOOLS, "building Debian packages")
    build.need_cargo()
    # A build on Debian's machines has nothing else either: not the cargo of rustup, for one.
    env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(paths.cache("debian"))}
    env |= {"LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive", "TERM": "dumb"}
    tests = [] if pytestconfig.getoption("package_tests") else ["nocheck"]
    env |= dict.fromkeys(("DEB_BUILD_OPTIONS", "DEB_BUILD_PROFILES"), " ".join(tests))
    return env | debian.proxies()


@pytest.fixture(scope="module")
def source(env: Env) -> Path:
    """A copy of the source, with the crates that it needs."""
    shutil.rmtree(paths.cache("debian"))
    source = paths.cache("debian", "qemu-dirty-bitmap")
    vendored.copy_source(source)
    shutil.copytree(source / "packaging" / "debian", source / "debian")
    vendored.vendor(source)
    return source


@pytest.fixture(scope="module")
def packages(source: Path, env: Env) -> list[Path]:
    # dpkg-buildpackage says what is missing to whoever is not root.
    if os.geteuid() == 0 and output(["dpkg-checkbuilddeps"], cwd=source, env=env)[0] != 0:
        run(["apt-get", "update"], env=env)
        run("apt-get build-dep -y --no-install-recommends ./".split(), cwd=source, env=env)
    # Who may, takes the network away (root, but not in every container); cargo is told not to use
    # it all the same (debian/rules).
    offline = ["unshare", "--net"] if output(["unshare", "--net", "true"])[0] == 0 else []
    command = [*offline, "dpkg-buildpackage", "-us", "-uc", "-b"]
    watch(command, source.with_name("build.log"), "package", cwd=source, env=env)
    log.note(f"the packages are in {source.parent}")
    return [next(source.parent.glob(f"{name}_*.deb")) for name in NAMES]


@pytest.fixture(scope="module")
def copy(packages: list[Path]) -> Copy:
    """What is in the packages, in a folder."""
    root = packages[0].with_name("root")
    for package in packages:
        run(["dpkg", "-x", package, root])
    return Copy(root, "/usr", f"lib/{run(['dpkg-architecture', '-qDEB_HOST_MULTIARCH']).strip()}")


def test_licences(source: Path) -> None:
    """debian/copyright says of each crate what its authors say."""
    crates = list((source / "vendor").iterdir())
    said = {crate.name: vendored.licences(source, crate) for crate in crates}
    assert said and {name for name, both in said.items() if not vendored.is_licence(*both)} == set()


def test_lintian(packages: list[Path], env: Env) -> None:
    user = ["--allow-root"] if os.geteuid() == 0 else []
    changes = packages[0].parent.glob("*.changes")
    run(["lintian", *user, "--fail-on", "error,warning", *changes], env=env)


def test_what_is_in_them(packages: list[Path], copy: Copy) -> None:
    listed = [set(run(["dpkg", "--contents", file]).split()) for file in packages]
    runtime, dev = [{path for path in words if path.startswith("./")} for words in listed]
    assert not [path for path in runtime & dev if not path.endswith("/")], "in both"
    libdir = f"./{copy.libdir.relative_to(copy.root)}"
    assert f"{libdir}/{SONAME}" in runtime
    assert {f"{libdir}/{ARCHIVE}", f"{libdir}/libqemu_dirty_bitmap.so"} <= dev
    assert [path for path in dev if path.endswith(".3.gz")], "there is no manual page"


def test_library(source: Path, copy: Copy) -> None:
    """It has its names, and does not say where it was built."""
    copy.check_names()
    library = (copy.libdir / SONAME).read_bytes()
    for place in (source.parent, paths.ROOT, Path.home()):
        assert str(place).encode() not in library


@pytest.mark.parametrize("name", ["consumer", "example"])
def test_own_test(source: Path, copy: Copy, name: str, tmp_path: Path) -> None:
    """One of debian/tests, as autopkgtest runs it on what is installed."""
    env = copy.running | {"AUTOPKGTEST_TMP": str(tmp_path)}
    run([source / "debian" / "tests" / name], env=env)


def test_installed(packages: list[Path], source: Path, env: Env, request: Request) -> None:
    """Really installed with --install-packages; without it dpkg only says that it could be."""
    if not request.config.getoption("install_packages"):
        run(["dpkg", "--dry-run", "--force-not-root", "-i", *packages], env=env)
        return
    debian.need(["autopkgtest"], "trying what is installed")
    try:
        test = ["autopkgtest", f"--env=PATH={env['PATH']}", *packages, f"{source}/"]
        run([*test, "--", "null"], env=env)
        run(["man", "-w", "hbitmap_set"], env=env)
    finally:
        run(["dpkg", "--purge", *reversed(NAMES)], env=env)
