# SPDX-License-Identifier: GPL-2.0-or-later
"""The patch series for QEMU 10.2 (qemu/patches/10.2).

A new git repository is made of Debian's source (or of QEMU_SRC), `git am` puts the series on it,
and QEMU's block tools and test-hbitmap are built with both values of the option; with --long after
each patch. All of it is made in the cache. `tools/generate --check qemu-patches` compares the
series with what it is made from.
"""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import iotests
import pytest
from image_steps import image
from iotests import HBITMAP_TESTS
from qdb_tools import build, debian, paths, source, symbols, venv
from qdb_tools.log import Failure
from qdb_tools.process import run, watch

VERSION = "10.2"
PATCHES = sorted((paths.ROOT / "qemu" / "patches" / VERSION).glob("*.patch"))
FLAGS = """--target-list= --disable-system --disable-user --without-default-features --enable-tools
--disable-install-blobs --disable-docs --disable-rust --enable-werror""".split()
PROGRAMS = [*build.TOOLS, "tests/unit/test-hbitmap"]
SUBPROJECT = "subprojects/qemu-dirty-bitmap"
CHANGED = ("status", "--porcelain")
C_OBJECTS = ["libqemuutil.a.p/util_hbitmap.c.o", "libblock.a.p/block_dirty-bitmap.c.o"]


# git as it is anywhere, whatever the user has configured.
GIT = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "PATH": os.environ["PATH"]}


def git(tree: Path, *words: object) -> str:
    who = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    return run(["git", "-C", tree, *who, *words], env=GIT).strip()


def configure(folder: Path, tree: Path, *flags: str) -> Path:
    """A build folder of the tree, configured from nothing."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    command = [tree / "configure", *FLAGS, *flags]
    watch(command, folder / "configure.log", "configure", cwd=folder, env=venv.environment())
    return folder


def build_in(folder: Path) -> None:
    command = ["ninja", "-C", folder, *PROGRAMS]
    watch(command, folder / "ninja.log", folder.name, env=venv.environment())


def introspect(folder: Path, what: str) -> Any:
    # meson of the build's own environment: another one may not read the build folder.
    return json.loads(run([folder / "pyvenv/bin/meson", "introspect", what], cwd=folder))


@pytest.fixture(scope="module")
def tree() -> Path:
    """A git repository of QEMU's source, with the series on it."""
    debian.need([*build.PACKAGES, "git", "perl"], "building QEMU with the patch series")
    assert PATCHES
    folder = paths.cache("patches") / "qemu"
    shutil.rmtree(folder, ignore_errors=True)
    origin = source.get(VERSION)
    shutil.copytree(origin, folder, symlinks=True, ignore=shutil.ignore_patterns(".git"))
    git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "-c", "core.compression=0", "add", "--all", "--force")
    git(folder, "commit", "--quiet", "--message", f"QEMU {VERSION}")
    git(folder, "am", "--quiet", *PATCHES)
    assert git(folder, *CHANGED) == "", "git am left something over"
    return folder


@pytest.fixture(scope="module")
def library(tree: Path) -> Path:
    """The same, with the library where docs/devel/dirty-bitmap-rust.rst of the series puts it."""
    if not (tree / SUBPROJECT).is_symlink():
        (tree / SUBPROJECT).symlink_to(paths.ROOT)
    return tree


@pytest.fixture(scope="module")
def both(library: Path) -> dict[str, Path]:
    """{"c": the build with QEMU's C, "rust": the one with the library}"""
    folder = paths.cache("patches")
    made = {n: configure(folder / n, library, f"--dirty-bitmap={n}") for n in ("c", "rust")}
    for each in made.values():
        build_in(each)
    return made


@pytest.mark.parametrize("patch", PATCHES, ids=lambda patch: patch.name)
def test_style(tree: Path, patch: Path) -> None:
    # Who sends the series signs it.
    run(["perl", "scripts/checkpatch.pl", "--no-signoff", patch], cwd=tree)


def test_rust_is_refused_without_the_library(tree: Path, tmp_path: Path) -> None:
    (tree / SUBPROJECT).unlink(missing_ok=True)
    with pytest.raises(Failure, match="qemu-dirty-bitmap"):
        configure(tmp_path / "rust", tree, "--dirty-bitmap=rust")


def test_default_is_c(tree: Path, tmp_path: Path) -> None:
    plain = configure(tmp_path / "default", tree)
    options = introspect(plain, "--buildoptions")
    assert [o["value"] for o in options if o["name"] == "dirty_bitmap"] == ["c"]
    # QEMU's own rule writes the list of configure's options anew if meson_options.txt is newer.
    listed = tree / "scripts/meson-buildoptions.sh"
    (tree / "meson_options.txt").touch()
    run(["make", "-C", plain, "update-buildoptions"], env=venv.environment())
    assert listed.stat().st_mtime >= (tree / "meson_options.txt").stat().st_mtime
    assert git(tree, *CHANGED) == ""


@pytest.mark.parametrize("which", ["c", "rust"])
def test_whose_code(both: dict[str, Path], which: str) -> None:
    """Each program has all functions of one implementation, and nothing of the other."""
    public = symbols.defined(*(both["c"] / name for name in C_OBJECTS))
    assert {"hbitmap_set", "bdrv_set_dirty"} <= public
    for program in (both[which] / name for name in PROGRAMS):
        assert public <= symbols.defined(program)
        assert bool(symbols.of_c(program)) == (which == "c")
        assert symbols.has_library(program) == (which == "rust")


@pytest.mark.parametrize("which", ["c", "rust"])
def test_hbitmap(both: dict[str, Path], which: str) -> None:
    assert iotests.unit_tests(both[which] / "tests/unit/test-hbitmap") == HBITMAP_TESTS


def test_both_write_the_same_image(both: dict[str, Path], tmp_path: Path) -> None:
    images = [image(made, tmp_path / name) for name, made in both.items()]
    assert images[0] == images[1]


def test_both_install_the_same_files(both: dict[str, Path]) -> None:
    c, rust = ({*introspect(made, "--installed").values()} for made in both.values())
    assert c and c == rust


def test_the_builds_left_nothing_in_the_tree(both: dict[str, Path], tree: Path) -> None:
    assert git(tree, *CHANGED) == ""


def test_after_each_patch(library: Path, pytestconfig: pytest.Config, tmp_path: Path) -> None:
    """Without --long only that there is a commit for each patch; the last is built above."""
    commits = git(library, "rev-list", "--reverse", f"HEAD~{len(PATCHES)}..HEAD").split()
    assert len(commits) == len(PATCHES)
    for commit in commits if pytestconfig.getoption("long") else []:
        git(library, "checkout", "--quiet", commit)
        # The first patch comes before the option.
        has_option = "dirty_bitmap" in (library / "meson_options.txt").read_text()
        for flags in [["--dirty-bitmap=c"], ["--dirty-bitmap=rust"]] if has_option else [[]]:
            build_in(configure(tmp_path / "each", library, *flags))
    git(library, "checkout", "--quiet", commits[-1])
