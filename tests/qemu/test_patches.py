# SPDX-License-Identifier: GPL-2.0-or-later
"""The patch series for QEMU 10.2 (qemu/patches/10.2).

A new git repository is made of Debian's source (or of QEMU_SRC), `git am` puts the series on it, and
QEMU's block tools and test-hbitmap are built with both values of the option; with --long after each
patch. All of it is made in the cache. `tools/generate --check qemu-patches` compares the series with
what it is made from.
"""

import hashlib
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from qdb_tools import build, debian, paths, source, symbols, venv
from qdb_tools.log import Failure
from qdb_tools.process import output, run, watch

VERSION = "10.2"
PATCHES = sorted((paths.ROOT / "qemu" / "patches" / VERSION).glob("*.patch"))
FLAGS = """--target-list= --disable-system --disable-user --without-default-features --enable-tools
--disable-install-blobs --disable-docs --disable-rust --enable-werror""".split()
PROGRAMS = """qemu-img qemu-io qemu-nbd storage-daemon/qemu-storage-daemon
tests/unit/test-hbitmap""".split()
C_OBJECTS = ["libqemuutil.a.p/util_hbitmap.c.o", "libblock.a.p/block_dirty-bitmap.c.o"]
HBITMAP_TESTS = 40
SIZE = 64 << 20


class Tree:
    """A git repository of QEMU's source, with the series on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
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
        self.folder, self.tree, self.rust = folder, tree, "--dirty-bitmap=rust" in flags
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
    link = tree.folder / "subprojects" / "qemu-dirty-bitmap"
    if not link.is_symlink():
        link.symlink_to(paths.ROOT)
    return tree


@pytest.fixture(scope="module")
def both(library: Tree) -> list[Build]:
    """[with QEMU's C, with the library]"""
    values = ("c", "rust")
    folder = paths.cache("patches")
    made = [Build(folder / value, library, f"--dirty-bitmap={value}") for value in values]
    for each in made:
        each.ninja()
    return made


@pytest.mark.parametrize("patch", PATCHES, ids=lambda patch: patch.name)
def test_style(tree: Tree, patch: Path) -> None:
    # Who sends the series signs it.
    run(["perl", "scripts/checkpatch.pl", "--no-signoff", patch], cwd=tree.folder)


def test_rust_is_refused_without_the_library(tree: Tree, tmp_path: Path) -> None:
    (tree.folder / "subprojects" / "qemu-dirty-bitmap").unlink(missing_ok=True)
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


def defined(file: Path) -> dict[str, str]:
    """The names that a file defines, with nm's letter."""
    rows = re.findall(r"^[0-9a-f]+ (\w) (\S+)$", run(["nm", "--defined-only", file]), re.M)
    return {name: letter for letter, name in rows}


@pytest.mark.parametrize("which", [0, 1], ids=["c", "rust"])
def test_whose_code(both: list[Build], which: int) -> None:
    """Each program has all functions of one implementation, and nothing of the other."""
    public, private = set(), set()  # of QEMU's two C files
    for name in C_OBJECTS:
        for symbol, letter in defined(both[0].folder / name).items():
            if letter == "T":
                public.add(symbol)
            elif letter == "t" and "." not in symbol:
                private.add(symbol)
    assert {"hbitmap_set", "bdrv_set_dirty"} <= public and symbols.PRIVATE & private
    for name in PROGRAMS:
        program = both[which].folder / name
        found = defined(program).keys()
        glue = {symbol for symbol in found if symbol.startswith("qdb_host_")}
        assert public <= found
        assert (not private & found) if which else private <= found
        assert bool(symbols.of_c(program)) != bool(which) == bool(glue)


@pytest.mark.parametrize("which", [0, 1], ids=["c", "rust"])
def test_hbitmap(both: list[Build], which: int) -> None:
    code, said = output([both[which].folder / "tests/unit/test-hbitmap", "--tap"])
    assert code == 0 and not re.search(r"^not ok|# SKIP", said, re.M), said
    assert len(re.findall(r"^ok ", said, re.M)) == HBITMAP_TESTS


def image(made: Build, folder: Path) -> str:
    """An image with bitmaps that were written to, merged and stored; returns its hash."""
    folder.mkdir()
    file, img, io = folder / "disk.qcow2", made.folder / "qemu-img", made.folder / "qemu-io"
    bitmap = [img, "bitmap"]
    run([img, "create", "-q", "-f", "qcow2", file, SIZE])
    run([*bitmap, "--add", "-g", "64k", file, "coarse"])
    run([io, "-c", "write -P 1 1M 3M", "-c", "write -P 2 33000000 512", file])
    run([*bitmap, "--add", "-g", "4k", file, "fine"])
    run([*bitmap, "--disable", file, "coarse"])
    run([io, "-c", "write -P 3 0 4k", "-c", "write -z 60M 4M", file])
    run([*bitmap, "--add", "--disable", "-g", "64k", file, "both"])
    run([*bitmap, "--merge", "coarse", "--merge", "fine", file, "both"])
    run([*bitmap, "--clear", file, "coarse"])
    info = json.loads(run([img, "info", "--output=json", file]))["format-specific"]["data"]
    assert {b["name"] for b in info["bitmaps"]} == {"coarse", "fine", "both"}
    return hashlib.sha256(file.read_bytes()).hexdigest()


def test_both_write_the_same_image(both: list[Build], tmp_path: Path) -> None:
    assert image(both[0], tmp_path / "c") == image(both[1], tmp_path / "rust")


def test_both_install_the_same_files(both: list[Build]) -> None:
    c, rust = ({*made.introspect("--installed").values()} for made in both)
    assert c and c == rust


def test_the_builds_left_nothing_in_the_tree(both: list[Build]) -> None:
    assert both[0].tree.changed() == ""


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
