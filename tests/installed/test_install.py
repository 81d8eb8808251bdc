# SPDX-License-Identifier: GPL-2.0-or-later
"""The library installed as a packager and as a user would, and programs built on that copy alone.

On each copy, through pkg-config: a small program, and examples/c with its tests. Then the example
with the library as a meson subproject.
"""

import re
import shutil
from pathlib import Path

import pytest
from installed import ARCHIVE, EXAMPLE_NEEDS, NODE, SONAME, Copy
from pytest import FixtureRequest as Request
from pytest import TempPathFactory
from qdb_tools import build, debian, paths, venv
from qdb_tools.process import run

# llvm brings LLVM's plugin for ar, nm and ld, whatever its version is called there.
PACKAGES = "gcc g++ binutils ninja-build pkg-config qemu-utils meson llvm util-linux".split()
PACKAGES += EXAMPLE_NEEDS
EXAMPLE = paths.ROOT / "examples" / "c"
PLUGIN = "nbdkit-dirty-plugin.so"


@pytest.fixture(scope="module")
def env() -> dict[str, str]:
    debian.need(PACKAGES, "the test of the installation")
    return venv.environment()


@pytest.fixture(scope="module", params=["DESTDIR", "prefix"])
def place(request: Request, env: dict[str, str], tmp_path_factory: TempPathFactory) -> Copy:
    """An installed copy, of a build whose places can be changed: nothing is compiled again."""
    options, where = ["-Ddropin=false", "-Dtests=false"], paths.cache("test-install") / "build"
    build.library(folder=where, options=options)
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "DESTDIR":
        env = env | {"DESTDIR": str(folder)}
        root, prefix, libdir, include = folder, "/opt/dirty", "lib", "include"
    else:
        root, prefix, libdir, include = Path("/"), str(folder), "lib64/dirty", "headers"
    places = [f"-Dprefix={prefix}", f"-Dlibdir={libdir}", f"-Dincludedir={include}"]
    run(["meson", "configure", where, *places], env=env)
    run(["meson", "install", "-C", where], env=env)
    return Copy(root, prefix, libdir, include)


def test_files(place: Copy) -> None:
    """The files that are installed, and no others; the names in them."""
    names = [ARCHIVE, SONAME, "libqemu_dirty_bitmap.so", f"libqemu_dirty_bitmap.so.{place.version}"]
    wanted = {place.libdir / name for name in [*names, "pkgconfig/qemu_dirty_bitmap.pc"]}
    wanted.add(place.include / "qemu_dirty_bitmap.h")
    top = place.prefix if place.root == Path("/") else place.root
    found = {path for path in top.rglob("*") if not path.is_dir()}
    pages = {path for path in found if path.suffix == ".3"}
    assert found - pages == wanted
    assert place.prefix / "share/man/man3/hbitmap_set.3" in pages
    place.check_names()


def consume(place: Copy, compiler: str, how: str, folder: Path, *others: object) -> None:
    """Compiles, links (with what else is said) and runs the small program."""
    linking = place.pkg_config("--libs" if how == "shared" else "--static --libs")
    if how == "archive":
        # The archive, and the system's own libraries shared.
        linking[linking.index("-lqemu_dirty_bitmap")] = f"-l:{ARCHIVE}"
    if how == "all static":
        linking.append("-static")
    source = paths.ROOT / "packaging" / "debian" / "tests" / "consumer.c"
    flags = [*place.pkg_config("--cflags"), *"-Wall -Wextra -Werror -o consumer".split(), source]
    words = [*compiler.split(), *flags, "-x", "none", *others, *linking]
    run(words, env=place.env, cwd=folder)
    needed = run(["readelf", "-dV", folder / "consumer"])
    assert (SONAME in needed) == (NODE in needed) == (how == "shared"), needed
    said = run([folder / "consumer", place.version], env=place.running)
    assert said.strip() == "consumer: all as expected"


@pytest.mark.parametrize("compiler", ["gcc -x c", "g++ -x c++"])
@pytest.mark.parametrize("how", ["shared", "archive", "all static"])
def test_consumer(place: Copy, compiler: str, how: str, tmp_path: Path) -> None:
    consume(place, compiler, how, tmp_path)


def test_beside_another_rust_library(place: Copy, tmp_path: Path) -> None:
    """The archive in a program that has another Rust library, with its own copy of std."""
    flags = "--edition 2024 --crate-type staticlib -C panic=abort -o libother.a".split()
    run(["rustc", *flags, paths.ROOT / "tests/dropin/other.rs"], cwd=tmp_path)
    consume(place, "gcc", "archive", tmp_path, "-Wl,-u,other_digits", "libother.a")


@pytest.mark.parametrize("how", ["one line", "meson"])
def test_example(place: Copy, how: str, env: dict[str, str], tmp_path: Path) -> None:
    """The example's own test, with Debian's Python, which has libnbd.

    It compiles as somebody without meson would, with pkg-config's words; or the example is a
    project of its own, which finds the library through pkg-config alone.
    """
    running = place.running
    if how == "meson":
        own = {**place.env, "PATH": env["PATH"]}
        run(["meson", "setup", "--wrap-mode=nofallback", tmp_path, EXAMPLE], env=own)
        run(["meson", "compile", "-C", tmp_path], env=own)
        running = {**running, "PLUGIN": str(tmp_path / PLUGIN)}
    python = "/usr/bin/python3 -B -m pytest -q -p no:cacheprovider".split()
    said = run([*python, EXAMPLE / "test_plugin.py"], env=running, timeout=600)
    assert re.search(r"^(\d+) passed in ", said, re.M), said


@pytest.mark.parametrize("meson", ["meson", "/usr/bin/meson"])
def test_subproject(meson: str, env: dict[str, str], tmp_path: Path) -> None:
    """The example with the library's source in its subprojects/, and none installed.

    A debug build, as meson's default is. Debian's meson, as its developers have it, beside LLVM's
    plugin, which looks for bitcode in each object.
    """
    plugins = Path("/usr/lib/bfd-plugins").glob("LLVMgold*.so")
    assert list(plugins), "LLVM's plugin is missing: this would prove nothing"
    project, folder, env = tmp_path / "project", tmp_path / "build", {**env}
    env["PKG_CONFIG_LIBDIR"] = str(folder)
    shutil.copytree(EXAMPLE, project)
    (project / "subprojects").mkdir()
    (project / "subprojects" / "qemu-dirty-bitmap").symlink_to(paths.ROOT)
    run([meson, "setup", folder, project], env=env)
    run([meson, "compile", "-C", folder], env=env)
    # The project's own tests: those of the library are not asked for.
    said = run([meson, "test", "-C", folder, "--no-rebuild", "nbdkit-dirty-plugin"], env=env)
    assert re.search(r"^Ok: +1 *$", said, re.M), said
    assert "$ORIGIN/subprojects/qemu-dirty-bitmap" in run(["readelf", "-d", folder / PLUGIN])
