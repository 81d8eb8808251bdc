# SPDX-License-Identifier: GPL-2.0-or-later
"""qemu/dropin on copies of QEMU source trees.

Back and forth, again, over hand-made changes, and killed at each of its steps: in the end the tree
is always the one that it was, byte for byte. Then with changes to what the library has to fit
(variations.toml).
"""

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from qdb_tools import venv
from qdb_tools.paths import DROPIN
from qdb_tools.process import output, run

# All that dropin may look at or change. (A whole tree takes a minute, and tells no more.)
PARTS = ("VERSION", "block", "include/block", "include/qemu", "qapi/block-core.json", "util")

# Runs dropin, and ends the process at its n-th change to the tree.
KILL = """
import os, sys
left, root, sys.argv = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
CHANGES = {"os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.chmod", "shutil.copyfile"}
def watch(event, args):
    global left
    opened = event == "open" and str(args[0]).startswith(root) and str(args[1])[:1] in "wxa"
    if opened or event in CHANGES:
        left -= 1
        if left == 0:
            os._exit(99)
sys.addaudithook(watch)
sys.path.insert(0, os.path.dirname(sys.argv[0]))
names = {"__name__": "__main__", "__file__": sys.argv[0]}
exec(compile(open(sys.argv[0]).read(), sys.argv[0], "exec"), names)
"""

HBITMAP_C, HBITMAP_H = "util/hbitmap.c", "include/qemu/hbitmap.h"
DIRTY_C, DIRTY_H = "block/dirty-bitmap.c", "include/block/dirty-bitmap.h"
ADDED = "block/qemu-dirty-bitmap"
VARIATIONS = tomllib.loads(Path(__file__).with_name("variations.toml").read_text())


def snapshot(tree: Path) -> dict[Path, tuple[int, str]]:
    found = {}
    for path in tree.rglob("*"):
        link = os.fsencode(os.readlink(path)) if path.is_symlink() else b""
        content = link or (path.read_bytes() if path.is_file() else b"")
        found[path] = path.lstat().st_mode, hashlib.sha256(content).hexdigest()
    return found


class Trial:
    """The parts of a tree, and an object that looks like the library's."""

    def __init__(self, origin: Path, work: Path) -> None:
        self.tree, self.work = work / "tree", work
        for part in PARTS:
            (self.tree / part).parent.mkdir(parents=True, exist_ok=True)
            copy: Any = shutil.copytree if (origin / part).is_dir() else shutil.copy2
            copy(origin / part, self.tree / part)
        self.object = self.compile("one", 1)
        self.before = snapshot(self.tree)

    def compile(self, name: str, number: int) -> Path:
        text = f"void qdb_host_lock(void *); int number = {number};\n"
        text += "void hbitmap_alloc(void) { qdb_host_lock(0); }\n"
        run(["gcc", "-x", "c", "-c", "-", "-o", self.work / f"{name}.o"], input=text)
        return self.work / f"{name}.o"

    def dropin(
        self, command: str, *more: object, tree: Path | None = None, start: tuple[str, ...] = ()
    ) -> subprocess.CompletedProcess[str]:
        if command == "apply" and "--object" not in more:
            more = ("--object", self.object, *more)
        words = [sys.executable, "-B", *start, DROPIN, command, tree or self.tree, *more]
        return subprocess.run([*map(str, words)], capture_output=True, text=True, check=False)

    def good(self, command: str, *more: object) -> str:
        done = self.dropin(command, *more)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def refused(self, because: str, command: str, *more: object, tree: Path | None = None) -> None:
        before = snapshot(self.tree)
        done = self.dropin(command, *more, tree=tree)
        assert done.returncode == 1 and because in done.stderr, done
        assert "Traceback" not in done.stderr, done
        assert snapshot(self.tree) == before, "a refused command changed the tree"

    def revert(self) -> None:
        self.good("revert")
        assert snapshot(self.tree) == self.before

    @contextlib.contextmanager
    def edit(self, file: str, old: str, new: str, everywhere: bool = False) -> Iterator[None]:
        """While the block runs, `new` stands where `old` stood first (empty: at the end)."""
        path = self.tree / file
        content, mode = path.read_text(), path.stat().st_mode
        assert old in content, f"{file} has no {old!r}: this test has to change"
        changed = content.replace(old, new, -1 if everywhere else 1) if old else content + new
        path.write_text(changed)
        yield
        path.write_text(content)
        path.chmod(mode)

    def vary(self, variation: dict[str, Any]) -> contextlib.AbstractContextManager[None]:
        everywhere = variation.get("all", False)
        return self.edit(variation["file"], variation["old"], variation["new"], everywhere)


@pytest.fixture
def trial(tree: Path, tmp_path: Path) -> Iterator[Trial]:
    made = Trial(tree, tmp_path.resolve())
    yield made
    assert snapshot(made.tree) == made.before


def test_back_and_forth(trial: Trial) -> None:
    for _ in range(2):
        assert "nothing to change" in trial.good("revert")
        told = trial.good("apply")
        assert "The library fits" in told and "reads as in one of those" in told
        assert "nothing to change" in trial.good("apply")
        assert "files('hbitmap.c')" not in (trial.tree / "util/meson.build").read_text()
        assert "  'dirty-bitmap.c'," not in (trial.tree / "block/meson.build").read_text()
        trial.revert()


def test_new_object(trial: Trial) -> None:
    trial.good("apply")
    copy = trial.tree / ADDED / "qemu-dirty-bitmap.o"
    second = trial.compile("two", 2)
    assert "qemu-dirty-bitmap.o" in trial.good("apply", "--object", second)
    assert copy.read_bytes() == second.read_bytes()
    copy.unlink()
    trial.good("apply", "--object", second)
    assert copy.read_bytes() == second.read_bytes()
    trial.refused("not a relocatable", "apply", "--object", DROPIN)
    trial.refused("Build it first", "apply", "--object", trial.work / "none.o")
    trial.revert()


@pytest.mark.parametrize("file", [HBITMAP_C, HBITMAP_H, DIRTY_C, DIRTY_H])
def test_an_empty_line_is_no_difference(trial: Trial, file: str) -> None:
    with trial.edit(file, "", "\n"):
        assert "The library fits" in trial.good("apply")
        trial.good("revert")


@pytest.mark.parametrize("command", ["apply", "revert"])
def test_changes_by_hand(trial: Trial, command: str) -> None:
    trial.good("apply")
    for file in ("util/meson.build", "block/meson.build", f"{ADDED}/host.c"):
        with trial.edit(file, "", "\n"):
            trial.refused("changed by hand", command)
    mine = trial.tree / ADDED / "mine.c"
    mine.write_text("\n")
    trial.refused("not the drop-in's", command)
    mine.unlink()
    state = trial.tree / ".qemu-dirty-bitmap/state.json"
    state.rename(trial.work / "state")
    trial.refused("no .qemu-dirty-bitmap/state.json", command)
    (trial.work / "state").rename(state)
    trial.revert()


def test_no_trees(trial: Trial) -> None:
    trial.refused("not a QEMU source tree", "apply", tree=trial.work)
    with trial.edit("VERSION", ".", "-"):
        trial.refused("no version of QEMU", "apply")
    with trial.edit("block/meson.build", "  'dirty-bitmap.c',\n", ""):
        trial.refused("exactly once", "apply")
    for missing in (HBITMAP_C, "qapi/block-core.json"):
        (trial.tree / missing).rename(trial.work / "missing")
        trial.refused(f"{missing} is missing", "apply")
        (trial.work / "missing").rename(trial.tree / missing)


def test_versions_in_between(trial: Trial) -> None:
    """The wrappers that went to a script in 8.0 are seen, whatever VERSION says."""
    file = trial.tree / "VERSION"
    version = file.read_text()
    old = version.startswith("7.")
    file.write_text("7.1.0\n" if old else "9.1.0\n")
    assert "The library fits" in trial.good("apply")
    trial.good("revert")
    file.write_text("9.1.0\n" if old else "7.1.0\n")
    who = "library" if old else "tree"
    trial.refused(f"bdrv_co_can_store_new_dirty_bitmap(): the {who} has it", "apply")
    file.write_text(version)


@pytest.mark.parametrize("variation", VARIATIONS["misfit"], ids=lambda v: v["says"])
def test_misfit(trial: Trial, variation: dict[str, Any]) -> None:
    with trial.vary(variation):
        trial.refused(variation["says"], "apply")
        trial.refused(variation["says"], "apply", "--accept-changes")


@pytest.mark.parametrize("variation", VARIATIONS["body"], ids=lambda v: v["says"])
def test_changed_body(trial: Trial, variation: dict[str, Any]) -> None:
    with trial.vary(variation):
        trial.refused(variation["says"], "apply")
        trial.refused("--accept-changes if that does not matter", "apply")
        assert variation["says"] in trial.good("apply", "--accept-changes")
        # What was accepted once is not asked for again, what comes later is.
        assert "nothing to change" in trial.good("apply")
        there = "\n    return hb->granularity < 58;"
        with trial.edit(HBITMAP_C, there, there.replace("58", "57")):
            trial.refused("hbitmap_is_serializable reads differently", "apply")
        trial.good("revert")


@pytest.mark.parametrize("variation", VARIATIONS["trifle"], ids=lambda v: v["says"])
def test_trifle(trial: Trial, variation: dict[str, Any]) -> None:
    with trial.vary(variation):
        assert variation["says"] in trial.good("apply")
        trial.good("revert")


@pytest.mark.parametrize("again", [True, False])
@pytest.mark.parametrize("command", ["apply", "revert"])
def test_killed_at_each_step(trial: Trial, command: str, again: bool) -> None:
    """An apply after that ends the work, a revert always leads back."""
    steps, code = 0, 99
    while code == 99:
        steps += 1
        if command == "revert":
            trial.good("apply")
        code = trial.dropin(command, start=("-c", KILL, str(steps), str(trial.tree))).returncode
        assert code in (0, 99)
        if again:
            trial.good("apply")
        trial.revert()
    assert steps > 18, "the kills did not reach the steps"


IS_FOR_62 = "qemu-dirty-bitmap.o is for ELF machine 62 little, and this QEMU is for "
HOSTS = {
    "windows, x86_64, little": "is for Linux ELF hosts, and this QEMU is for windows",
    "darwin, x86_64, little": "is for Linux ELF hosts, and this QEMU is for darwin",
    "linux, s390x, big": f"{IS_FOR_62}s390x (big-endian)",
    "linux, riscv64, little": f"{IS_FOR_62}riscv64",
    # No compiler is there: so far, and no further, it comes with the right host.
    "linux, x86_64, little": 'Unknown variable "block_ss"',
}


@pytest.mark.parametrize("host", HOSTS)
def test_glue_refuses_other_hosts(host: str, tmp_path: Path) -> None:
    """The glue's meson.build, in a project of nothing else."""
    glue = (DROPIN.parent / "glue/meson.build").read_text()
    (tmp_path / "meson.build").write_text("project('test')\n" + glue)
    # All that is looked at is the start of the ELF header: 64 bits, little-endian, machine 62.
    elf = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x01\x00\x3e\x00"
    (tmp_path / "qemu-dirty-bitmap.o").write_bytes(elf)
    system, family, endian = host.split(", ")
    (tmp_path / "cross").write_text(
        f"[host_machine]\nsystem = '{system}'\ncpu_family = '{family}'\ncpu = '{family}'\n"
        f"endian = '{endian}'\n"
    )
    command = ["meson", "setup", "--cross-file", "cross", "build"]
    code, said = output(command, env=venv.environment(), cwd=tmp_path)
    assert code != 0 and HOSTS[host] in said
