# SPDX-License-Identifier: GPL-2.0-or-later
"""qemu/dropin on copies of QEMU source trees.

Back and forth, again, over hand-made changes, and killed at each of its steps: in the end the tree
is always the one that it was, byte for byte. Then with changes to what the library has to fit
(variations.toml).
"""

import json
import multiprocessing
import os
import re
import runpy
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest
from qdb_tools import venv
from qdb_tools.paths import DROPIN
from qdb_tools.process import output, run

# All that dropin may look at or change. (A whole tree takes a minute, and tells no more.)
PARTS = "VERSION block include/block include/qemu qapi/block-core.json util".split()
ADDED = "block/qemu-dirty-bitmap"
HBITMAP_C = "util/hbitmap.c"
MISSING = {
    HBITMAP_C: f"{HBITMAP_C} is missing",
    "qapi/block-core.json": "block-core.json is missing",
    "util/meson.build": "no util/meson.build in it",
}
CALL = "void f(HBitmap *hb) { hbitmap_truncate(hb, 1); }"
# What is in a new file, and which functions it is said to call.
CALLERS: dict[str, tuple[str, list[str]]] = {
    "block/a.c": (CALL, ["hbitmap_truncate"]),
    "d.c.inc": (CALL, ["hbitmap_truncate"]),
    "e.h": (f"static inline {CALL}", ["hbitmap_truncate"]),
    "block/loop.c": (
        "FOR_EACH_DIRTY_BITMAP(bs, bitmap) { }",
        ["bdrv_dirty_bitmap_first", "bdrv_dirty_bitmap_next"],
    ),
    "f.c": ("/* hbitmap_truncate() */ int a = hb->hbitmap_truncate(1), hbitmap_truncate;", []),
    "g.h": ("void hbitmap_truncate(HBitmap *hb, uint64_t size);", []),
    ".pc/h.c": (CALL, []),
    "here/build.ninja": ("", []),
    "here/block/i.c": (CALL, []),
}
CHANGES = {"os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.chmod", "shutil.copyfile"}
KILLED = 99
VARIATIONS = tomllib.loads(Path(__file__).with_name("variations.toml").read_text())


def snapshot(tree: Path) -> dict[Path, tuple[int, bytes]]:
    """Mode and content of each file; QEMU has no links there."""
    files = tree.rglob("*")
    return {f: (f.lstat().st_mode, f.read_bytes() if f.is_file() else b"") for f in files}


def dropin_until(change: int, command: list[str]) -> None:
    """Runs dropin in this process, which ends at that change to the tree."""
    left, tree = change, command[1]

    def watch(event: str, args: tuple[Any, ...]) -> None:
        nonlocal left
        opened = event == "open" and str(args[0]).startswith(tree) and str(args[1])[:1] in "wxa"
        left -= opened or event in CHANGES
        if left == 0:
            os._exit(KILLED)

    sys.argv = ["dropin", *command]
    sys.addaudithook(watch)
    runpy.run_path(str(DROPIN), run_name="__main__")


class Trial:
    """The parts of a tree, and an object that looks like the library's."""

    def __init__(self, origin: Path, work: Path) -> None:
        self.tree, self.work = work / "tree", work
        self.tree.mkdir()
        run(["cp", "-a", "--parents", *PARTS, self.tree], cwd=origin)
        self.object = self.compile("one")
        self.before = snapshot(self.tree)

    def compile(self, name: str) -> Path:
        text = f"void qdb_host_lock(void *); void hbitmap_alloc(void) {{ qdb_host_lock({name}); }}"
        made = self.work / f"{name}.o"
        run(["gcc", "-x", "c", "-c", "-", "-o", made], input=f"extern int *{name}; {text}")
        return made

    def words(self, command: str, *more: object) -> list[str]:
        given = [] if command == "revert" else ["--object", self.object]
        return [command, *map(str, [self.tree, *given, *more])]

    def dropin(self, command: str, *more: object) -> tuple[int, str]:
        return output([sys.executable, "-B", DROPIN, *self.words(command, *more)])

    def good(self, command: str, *more: object) -> str:
        return run([sys.executable, "-B", DROPIN, *self.words(command, *more)])

    def refused(self, because: str, command: str, *more: object) -> None:
        before = snapshot(self.tree)
        code, said = self.dropin(command, *more)
        assert code == 1 and because in said and "Traceback" not in said, said
        assert snapshot(self.tree) == before, "a refused command changed the tree"

    def revert(self) -> None:
        self.good("revert")
        assert snapshot(self.tree) == self.before

    @contextmanager
    def edit(self, file: str, old: str, new: str, times: int = 1) -> Iterator[None]:
        """While the block runs, `new` stands where `old` stood first (empty: at the end)."""
        path = self.tree / file
        content, mode = path.read_text(), path.stat().st_mode
        assert old in content, f"{file} has no {old!r}: this test has to change"
        path.write_text(content.replace(old, new, times) if old else content + new)
        yield
        path.write_text(content)
        path.chmod(mode)


@pytest.fixture
def trial(tree: Path, tmp_path: Path) -> Iterator[Trial]:
    made = Trial(tree, tmp_path.resolve())
    yield made
    assert snapshot(made.tree) == made.before


@pytest.fixture
def says(request: pytest.FixtureRequest, trial: Trial) -> Iterator[str]:
    """What dropin says of a tree that has this change."""
    change = request.param
    edit = (change["file"], change["old"], change["new"], -1 if change.get("all") else 1)
    with trial.edit(*edit):
        yield change["says"]


def test_back_and_forth(trial: Trial) -> None:
    for _ in range(2):
        assert "nothing to change" in trial.good("revert")
        told = trial.good("apply")
        assert "The library fits" in told and "reads as in one of those" in told
        assert "nothing to change" in trial.good("apply")
        assert "files('hbitmap.c')" not in (trial.tree / "util/meson.build").read_text()
        assert "  'dirty-bitmap.c'," not in (trial.tree / "block/meson.build").read_text()
        with trial.edit("util/trace-events", "hbitmap_set(void *hb,", "hbitmap_set(int hb,"):
            trial.refused("trace event hbitmap_set", "apply")
        trial.revert()


def test_new_object(trial: Trial) -> None:
    trial.good("apply")
    copy, second = trial.tree / ADDED / "qemu-dirty-bitmap.o", trial.compile("two")
    assert "qemu-dirty-bitmap.o" in trial.good("apply", "--object", second)
    assert copy.read_bytes() == second.read_bytes()
    copy.unlink()
    trial.good("apply", "--object", second)
    assert copy.read_bytes() == second.read_bytes()
    trial.refused("not a relocatable", "apply", "--object", DROPIN)
    trial.refused("Build it first", "apply", "--object", trial.work / "none.o")
    trial.revert()


@pytest.mark.parametrize("command", ["apply", "revert"])
def test_changes_by_hand(trial: Trial, command: str) -> None:
    trial.good("apply")
    for file in ("util/meson.build", "block/meson.build", f"{ADDED}/host.c"):
        with trial.edit(file, "", "\n"):
            trial.refused("changed by hand", command)
    mine, state = trial.tree / ADDED / "mine.c", trial.tree / ".qemu-dirty-bitmap/state.json"
    mine.write_text("\n")
    trial.refused("not the drop-in's", command)
    mine.unlink()
    state.rename(trial.work / "state")
    trial.refused("no .qemu-dirty-bitmap/state.json", command)
    edited = json.loads((trial.work / "state").read_text())["edited"]
    types = [{"edited": [], "added": {}}, {"edited": dict.fromkeys(edited, 1), "added": {}}]
    types += [{"edited": edited, "added": {"host.c": None}}, {"edited": {}, "added": {}}]
    for damaged in ("{", "[]", "{}", *map(json.dumps, types)):
        state.write_text(damaged)
        trial.refused("no .qemu-dirty-bitmap/state.json", command)
    (trial.work / "state").rename(state)
    trial.revert()


@pytest.mark.parametrize("step", ["applying", "applied", "reverting"])
def test_applied_by_an_older_kit(trial: Trial, step: str) -> None:
    """Its notes had the tree's version and a step, which decided what was allowed."""
    trial.good("apply")
    state = trial.tree / ".qemu-dirty-bitmap/state.json"
    notes = json.loads(state.read_text())
    state.write_text(json.dumps({"version": "10.0.13", "step": step} | notes))
    assert "nothing to change" in trial.good("apply")
    trial.revert()


def test_what_the_system_refuses(trial: Trial) -> None:
    in_the_way = trial.tree / ".qemu-dirty-bitmap.new"
    in_the_way.write_text("")
    trial.refused("Not a directory", "apply")
    in_the_way.unlink()


def test_no_trees(trial: Trial) -> None:
    code, said = output([sys.executable, "-B", DROPIN, "apply", trial.work])
    assert code == 1 and "not a QEMU source tree" in said and "Traceback" not in said
    for option in (["--accept-changes"], ["--object", trial.object]):
        code, said = trial.dropin("revert", *option)
        assert code == 2 and "revert takes no option" in said
    with trial.edit("block/meson.build", "  'dirty-bitmap.c',\n", ""):
        trial.refused("exactly once", "apply")
    with trial.edit("VERSION", ".", "-"):
        trial.refused("no version of QEMU", "apply")
    for missing, says in MISSING.items():
        (trial.tree / missing).rename(trial.work / "missing")
        trial.refused(says, "apply")
        (trial.work / "missing").rename(trial.tree / missing)


def test_versions_in_between(trial: Trial) -> None:
    """The wrappers that went to a script in 8.0 are seen, whatever VERSION says."""
    version = (trial.tree / "VERSION").read_text()
    old = version.startswith("7.")
    with trial.edit("VERSION", version, "7.1.0\n" if old else "9.1.0\n"):
        assert "The library fits" in trial.good("apply")
        trial.good("revert")
    with trial.edit("VERSION", version, "9.1.0\n" if old else "7.1.0\n"):
        who = "library" if old else "tree"
        trial.refused(f"bdrv_co_can_store_new_dirty_bitmap(): the {who} has it", "apply")


@pytest.mark.parametrize("says", VARIATIONS["misfit"], indirect=True, ids=itemgetter("says"))
def test_misfit(trial: Trial, says: str) -> None:
    trial.refused(says, "apply")
    trial.refused(says, "apply", "--accept-changes")


@pytest.mark.parametrize("says", VARIATIONS["body"], indirect=True, ids=itemgetter("says"))
def test_changed_body(trial: Trial, says: str) -> None:
    trial.refused(says, "apply")
    trial.refused("--accept-changes if that does not matter", "apply")
    assert says in trial.good("apply", "--accept-changes")
    # What was accepted once is not asked for again, what comes later is.
    assert "nothing to change" in trial.good("apply")
    with trial.edit(HBITMAP_C, "\n    return hb->granularity < 58;", "\n    return true;"):
        trial.refused("hbitmap_is_serializable reads differently", "apply")
    trial.good("revert")


@pytest.mark.parametrize("says", VARIATIONS["trifle"], indirect=True, ids=itemgetter("says"))
def test_trifle(trial: Trial, says: str) -> None:
    assert says in trial.good("apply")
    trial.good("revert")


def test_new_callers(trial: Trial) -> None:
    """They are told, and nothing is refused for them. The glue is none of them."""
    for _ in range(2):
        assert "Calls of" not in trial.good("apply")
    trial.revert()
    for file, (text, _) in CALLERS.items():
        (trial.tree / file).parent.mkdir(parents=True, exist_ok=True)
        (trial.tree / file).write_text(text)
    (trial.tree / "block/.#a.c").symlink_to("nowhere")
    trial.before = snapshot(trial.tree)
    told = re.findall(r"  - (\S+ calls .*)", trial.good("apply"))
    wanted = [f"{file} calls {name}()" for file, (_, names) in CALLERS.items() for name in names]
    assert sorted(told) == sorted(wanted)
    trial.revert()


@pytest.mark.parametrize("again", [True, False])
@pytest.mark.parametrize("command", ["apply", "revert"])
def test_killed_at_each_step(trial: Trial, command: str, again: bool) -> None:
    """An apply after that ends the work, a revert always leads back."""
    step, code = 0, KILLED
    while code == KILLED:
        step += 1
        if command == "revert":
            trial.good("apply")
        work = (step, trial.words(command))
        child = multiprocessing.get_context("fork").Process(target=dropin_until, args=work)
        child.start()
        child.join()
        code = child.exitcode or 0
        assert code in (0, KILLED)
        if again:
            trial.good("apply")
            assert "nothing to change" in trial.good("apply")
        trial.revert()
    assert step > 18, "the kills did not reach the steps"


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
    lines = "[host_machine]\nsystem = '{0}'\ncpu_family = '{1}'\ncpu = '{1}'\nendian = '{2}'\n"
    (tmp_path / "cross").write_text(lines.format(*host.split(", ")))
    command = ["meson", "setup", "--cross-file", "cross", "build"]
    code, said = output(command, env=venv.environment(), cwd=tmp_path)
    assert code != 0 and HOSTS[host] in said
