# SPDX-License-Identifier: GPL-2.0-or-later
"""The library installed as a packager and as a user would, and programs built on that copy alone.

Into a DESTDIR, and into another prefix with another libdir and includedir. On each copy, through
pkg-config: a small program as C and as C++, linked with the shared library, with the archive, and
all static; the example examples/c, by one line and by meson, with its tests. Then the example with
the library as a meson subproject, also by Debian's own meson where LLVM's plugin for binutils is
installed. The build is kept in the cache.
"""

import json
import re
import shutil
from pathlib import Path

import pytest
from installed import EXAMPLE, EXAMPLE_NEEDS, LANGUAGES, WAYS, Copy
from qdb_tools import debian, paths, venv
from qdb_tools.process import run, watch

# llvm brings LLVM's plugin for ar, nm and ld, whatever its version is called there.
PACKAGES = "gcc g++ binutils ninja-build pkg-config qemu-utils meson llvm".split()
PACKAGES += EXAMPLE_NEEDS
PLUGINS = Path("/usr/lib/bfd-plugins")


@pytest.fixture(scope="module")
def env() -> dict[str, str]:
    debian.need(PACKAGES, "the test of the installation")
    return venv.environment()


@pytest.fixture(scope="module")
def build(env: dict[str, str]) -> Path:
    """A build of the library whose places can be changed: nothing is compiled again."""
    folder = paths.cache("test-install") / "build"
    # Two copies of this repository may share a cache.
    about = folder / "meson-info" / "meson-info.json"
    there = json.loads(about.read_text()) if about.is_file() else {"directories": {"source": ""}}
    if there["directories"]["source"] != str(paths.ROOT):
        shutil.rmtree(folder, ignore_errors=True)
        run(["meson", "setup", folder, paths.ROOT, "-Ddropin=false", "-Dtests=false"], env=env)
    return folder


class Installed(Copy):
    """An installed copy, and what it should consist of."""

    def __init__(self, under: Path, root: Path, prefix: str, libdir: str, include: str) -> None:
        super().__init__(root, prefix, libdir)
        self.under, self.prefix, self.include = under, root / prefix.lstrip("/"), include


@pytest.fixture(scope="module", params=["DESTDIR", "prefix"])
def place(
    request: pytest.FixtureRequest,
    build: Path,
    env: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Installed:
    under = tmp_path_factory.mktemp(request.param)
    if request.param == "DESTDIR":
        made = Installed(under, under, "/opt/dirty", "lib", "include")
        prefix, env = "/opt/dirty", env | {"DESTDIR": str(under)}
    else:
        made, prefix = Installed(under, Path("/"), str(under), "lib64/dirty", "headers"), str(under)
    libdir = made.libdir.relative_to(made.prefix)
    options = [f"-Dprefix={prefix}", f"-Dlibdir={libdir}", f"-Dincludedir={made.include}"]
    run(["meson", "configure", build, *options], env=env)
    log = paths.cache() / "test-install.log"
    watch(["ninja", "-C", build], log, "library", env=env)
    run(["meson", "install", "-C", build, "--no-rebuild"], env=env)
    return made


def test_files(place: Installed) -> None:
    """The files that are installed, and no others."""
    names = [f"libqemu_dirty_bitmap.{end}" for end in ("a", "so", "so.0", f"so.{place.version()}")]
    wanted = {place.libdir / name for name in [*names, "pkgconfig/qemu_dirty_bitmap.pc"]}
    wanted.add(place.prefix / place.include / "qemu_dirty_bitmap.h")
    found = {path for path in place.under.rglob("*") if not path.is_dir()}
    pages = {path for path in found if path.suffix == ".3"}
    assert found - pages == wanted
    assert place.prefix / "share/man/man3/hbitmap_set.3" in pages


def test_soname_and_version(place: Installed) -> None:
    place.is_versioned()


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("how", WAYS)
def test_consumer(place: Installed, language: str, how: str, tmp_path: Path) -> None:
    place.consumer(language, how, tmp_path)


def test_beside_another_rust_library(place: Installed, tmp_path: Path) -> None:
    place.beside_rust(tmp_path)


def test_example_by_one_line(place: Installed, tmp_path: Path) -> None:
    place.example_by_hand(tmp_path)


def test_example_by_meson(place: Installed, env: dict[str, str], tmp_path: Path) -> None:
    """The example as a project of its own, which finds the library through pkg-config alone."""
    own = {**place.env, "PATH": env["PATH"]}
    run(["meson", "setup", "--wrap-mode=nofallback", tmp_path, EXAMPLE], env=own)
    run(["meson", "compile", "-C", tmp_path], env=own)
    place.example_test(tmp_path / "nbdkit-dirty-plugin.so")


@pytest.mark.parametrize("meson", ["meson", "/usr/bin/meson"])
def test_subproject(meson: str, env: dict[str, str], tmp_path: Path) -> None:
    """The example with the library's source in its subprojects/, and none installed.

    A debug build, as meson's default is. Debian's meson, as its developers have it, beside LLVM's
    plugin, which looks for bitcode in each object.
    """
    assert list(PLUGINS.glob("LLVMgold*.so")), "LLVM's plugin is missing: this would prove nothing"
    project, folder = tmp_path / "project", tmp_path / "build"
    shutil.copytree(EXAMPLE, project)
    (project / "subprojects").mkdir()
    (project / "subprojects" / "qemu-dirty-bitmap").symlink_to(paths.ROOT)
    env = {**env, "PKG_CONFIG_LIBDIR": str(folder)}
    run([meson, "setup", folder, project], env=env)
    run([meson, "compile", "-C", folder], env=env)
    # The project's own tests: those of the library are not asked for.
    told = run([meson, "test", "-C", folder, "--no-rebuild", "nbdkit-dirty-plugin"], env=env)
    assert re.search(r"^Ok: +1 *$", told, re.M), told
    assert "$ORIGIN/subprojects/qemu-dirty-bitmap" in run(
        ["readelf", "-d", folder / "nbdkit-dirty-plugin.so"]
    )
