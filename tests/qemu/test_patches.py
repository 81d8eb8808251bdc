# SPDX-License-Identifier: GPL-2.0-or-later
"""The patch series for QEMU 10.2 (qemu/patches/10.2).

A new git repository is made of Debian's source (or of QEMU_SRC), `git am` puts the series on it,
and QEMU's block tools and test-hbitmap are built with both values of the option; with --long after
each patch. All of it is made in the cache. `tools/generate --check qemu-patches` compares the
series with what it is made from.
"""

import json
import os
import re
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
PROGRAMS = """qemu-img qemu-io qemu-nbd storage-daemon/qemu-storage-daemon
tests/unit/test-hbitmap""".split()
C_OBJECTS = ["libqemuutil.a.p/util_hbitmap.c.o", "libblock.a.p/block_dirty-bitmap.c.o"]


class Tree:
    """A git repository of QEMU's source, with the series on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.subproject = folder / "subprojects" / "qemu-dirty-bitmap"
        shutil.rmtree(folder, ignore_errors=True)
        origin = source.get(VERSION)
        shutil.copytree(origin, folder, symlinks=True, ignore=shutil.ignore_patterns(".git"))
        self.git("init", "--quiet", "--initial-branch=main")
        self.git("-c", "core.compression=0", "add", "--all", "--force")
        self.git("commit", "--quiet", "--message", f"QEMU {VERSION}")
        self.git("am", "--quiet", *PATCHES)
        assert self.changed() == "", "git am left something over"

    def git(self, *words: object) -> str:
        env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        env |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        for role in ("AUTHOR", "COMMITTER"):
            env |= {f"GIT_{role}_NAME": "test", f"GIT_{role}_EMAIL": "test@example.org"}
        return run(["git", "-C", self.folder, *words], env=env).strip()

    def changed(self) -> str:
        return self.git("status", "--porcelain")


class Build:
    """A build folder of the tree, configured from nothing."""

    def __init__(self, folder: Path, tree: Tree, *flags: str) -> None:
        self.folder = folder
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        configure = [tree.folder / "configure", *FLAGS, *flags]
        log = folder / "configure.log"
        watch(configure, log, "configure", cwd=folder, env=venv.environment())

    def ninja(self) -> None:
        command = ["ninja", "-C", self.folder, *PROGRAMS]
        watch(command, self.folder / "ninja.log", self.folder.name, env=venv.environment())

    def introspect(self, what: str) -> Any:
        # meson of the build's own environment: another one may not read the build folder.
        meson = self.folder / "pyvenv/bin/meson"
        return json.loads(run([meson, "introspect", what], cwd=self.folder))


@pytest.fixture(scope="module")
def tree() -> Tree:
    debian.need([*build.PACKAGES, "git", "perl"], "building QEMU with the patch series")
    assert PATCHES
    return Tree(paths.cache("patches") / "qemu")


@pytest.fixture(scope="module")
def library(tree: Tree) -> Tree:
    """The same, with the library where docs/devel/dirty-bitmap-rust.rst of the series puts it."""
    if not tree.subproject.is_symlink():
        tree.subproject.symlink_to(paths.ROOT)
    return tree


@pytest.fixture(scope="module")
def both(library: Tree) -> dict[str, Build]:
    """{"c": with QEMU's C, "rust": with the library}"""
    folder = paths.cache("patches")
    made = {name: Build(folder / name, library, f"--dirty-bitmap={name}") for name in ("c", "rust")}
    for each in made.values():
        each.ninja()
    return made


@pytest.mark.parametrize("patch", PATCHES, ids=lambda patch: patch.name)
def test_style(tree: Tree, patch: Path) -> None:
    # Who sends the series signs it.
    run(["perl", "scripts/checkpatch.pl", "--no-signoff", patch], cwd=tree.folder)


def test_rust_is_refused_without_the_library(tree: Tree, tmp_path: Path) -> None:
    tree.subproject.unlink(missing_ok=True)
    with pytest.raises(Failure, match="qemu-dirty-bitmap"):
        Build(tmp_path / "rust", tree, "--dirty-bitmap=rust")


def test_default_is_c(tree: Tree, tmp_path: Path) -> None:
    plain = Build(tmp_path / "default", tree)
    options = plain.introspect("--buildoptions")
    assert [o["value"] for o in options if o["name"] == "dirty_bitmap"] == ["c"]
    # QEMU's own rule writes the list of configure's options anew if meson_options.txt is newer.
    listed = tree.folder / "scripts/meson-buildoptions.sh"
    (tree.folder / "meson_options.txt").touch()
    run(["make", "-C", plain.folder, "update-buildoptions"], env=venv.environment())
    assert listed.stat().st_mtime >= (tree.folder / "meson_options.txt").stat().st_mtime
    assert tree.changed() == ""


def defined(file: Path) -> set[tuple[str, str]]:
    """The names that a file defines, after nm's letter."""
    return set(re.findall(r"^[0-9a-f]+ (\w) (\S+)$", run(["nm", "--defined-only", file]), re.M))


@pytest.mark.parametrize("which", ["c", "rust"])
def test_whose_code(both: dict[str, Build], which: str) -> None:
    """Each program has all functions of one implementation, and nothing of the other."""
    of_c = set().union(*(defined(both["c"].folder / name) for name in C_OBJECTS))
    public = {name for letter, name in of_c if letter == "T"}
    private = {name for letter, name in of_c if letter == "t" and "." not in name}
    assert {"hbitmap_set", "bdrv_set_dirty"} <= public and symbols.PRIVATE & private
    for program in (both[which].folder / name for name in PROGRAMS):
        found = {name for _, name in defined(program)}
        assert public <= found
        assert private & found == (private if which == "c" else set())
        assert bool(symbols.of_c(program)) == (which == "c")
        assert any(name.startswith("qdb_host_") for name in found) == (which == "rust")


@pytest.mark.parametrize("which", ["c", "rust"])
def test_hbitmap(both: dict[str, Build], which: str) -> None:
    assert iotests.unit_tests(both[which].folder / "tests/unit/test-hbitmap") == HBITMAP_TESTS


def test_both_write_the_same_image(both: dict[str, Build], tmp_path: Path) -> None:
    images = [image(made.folder, tmp_path / name) for name, made in both.items()]
    assert images[0] == images[1]


def test_both_install_the_same_files(both: dict[str, Build]) -> None:
    c, rust = ({*made.introspect("--installed").values()} for made in both.values())
    assert c and c == rust


def test_the_builds_left_nothing_in_the_tree(both: dict[str, Build], tree: Tree) -> None:
    assert tree.changed() == ""


def test_after_each_patch(library: Tree, pytestconfig: pytest.Config, tmp_path: Path) -> None:
    """Without --long only that there is a commit for each patch; the last is built above."""
    commits = library.git("rev-list", "--reverse", f"HEAD~{len(PATCHES)}..HEAD").split()
    assert len(commits) == len(PATCHES)
    for commit in commits if pytestconfig.getoption("long") else []:
        library.git("checkout", "--quiet", commit)
        # The first patch comes before the option.
        has_option = "dirty_bitmap" in (library.folder / "meson_options.txt").read_text()
        for flags in [["--dirty-bitmap=c"], ["--dirty-bitmap=rust"]] if has_option else [[]]:
            Build(tmp_path / "each", library, *flags).ninja()
    library.git("checkout", "--quiet", commits[-1])
