# SPDX-License-Identifier: GPL-2.0-or-later
"""The C tests, and QEMU's own test-hbitmap, under programs that look for faults (checkers.py).

Each checker first shows that it is there: its name is in the library, and it reports faults that are
planted (tests/sanitize/misuse.c), most of them inside of the library. Tests that abort on purpose do
so in processes of their own, whose reports are read as well. All of c-tests/ runs but what has an
allocator of its own. QEMU's test-hbitmap is QEMU 10.0's file, linked with its block layer and the
drop-in object. Any rustc will do: RUSTC_BOOTSTRAP=1 opens -Zsanitizer.

Valgrind takes half an hour, the others minutes; `-k address` and so on chooses.
"""

import os
import re
import shlex
import shutil
import sys
from pathlib import Path

import c_programs
import checkers
import pytest
from checkers import Checker
from qdb_tools import build, debian, paths, venv
from qdb_tools.process import run

HBITMAP_TESTS = 40
MISUSE = paths.ROOT / "tests" / "sanitize" / "misuse.c"
NAMES = [kind.name for kind in checkers.ALL]
PAIRS = [
    (kind.name, program)
    for kind in checkers.ALL
    for program in kind.programs or c_programs.programs()
]
made: dict[str, tuple[Checker, Path]] = {}


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sanitizers")


def checked(name: str, folder: Path) -> tuple[Checker, Path]:
    """A checker, and the library for it."""
    if name not in made:
        kind = checkers.ALL[NAMES.index(name)]
        debian.need(["gcc", "binutils", "pkg-config", "libglib2.0-dev", *kind.packages], name)
        (folder / name).mkdir()
        checker = kind(folder / name)
        made[name] = checker, checkers.archive(checker)
    return made[name]


def with_planted_faults(checker: Checker) -> Path:
    """A copy of the library that has more C functions."""
    copy = checker.folder / "copy"
    shutil.copytree(paths.ROOT / "src", copy / "src")
    for name in ("Cargo.toml", "Cargo.lock"):
        shutil.copy(paths.ROOT / name, copy / name)
    with (copy / "src" / "ffi" / "node.rs").open("a") as file:
        file.write((paths.ROOT / checker.planted).read_text())
    return checkers.archive(checker, root=copy)


@pytest.mark.parametrize("name", NAMES)
def test_planted_faults(name: str, folder: Path) -> None:
    """They are reported, and nothing else is."""
    checker, library = checked(name, folder)
    define = ["-DPLANTED"] if checker.planted else []
    library = with_planted_faults(checker) if checker.planted else library
    program = checker.folder / "misuse"
    flags = ["-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", *checker.c_flags]
    libraries = [library, *checker.more_objects(), "-o", program, *checkers.LIBRARIES]
    run(["gcc", *define, *flags, f"-I{paths.INCLUDE}", MISUSE, *libraries])
    code, said = checker.run(program, "none", "none")
    assert code == 0 and not checker.findings(), said + checker.findings()
    for fault, wanted, functions in checker.faults:
        code, said = checker.run(program, fault, fault)
        report = checker.findings() or said
        assert code != 0 and wanted in report and re.search(functions, report), report[-4000:]


def watched(checker: Checker, program: Path, label: str, *arguments: str) -> int:
    """Runs a test program: its tests pass, and nothing was reported. Returns how many passed."""
    tap = c_programs.Tap(*checker.run(program, label, "--tap", *arguments))
    assert checker.findings() == "", tap.said[-2000:]
    return tap.passed()


@pytest.mark.parametrize("name, program", PAIRS)
def test_c_program(name: str, program: str, folder: Path) -> None:
    checker, library = checked(name, folder)
    glib = run(["pkg-config", "--cflags", "--libs", "glib-2.0"]).split()
    compiler = ["gcc", "-g", *checker.c_flags]
    libraries = [library, *checker.more_objects(), *glib]
    c_programs.build(compiler, program, libraries, checker.folder / program)
    watched(checker, checker.folder / program, program)


def linked_with(checker: Checker, qemu: build.Build, dropin: Path) -> Path:
    """QEMU's test-hbitmap as its build links it, with another drop-in object and a checker."""
    ninja = ["ninja", "-C", qemu.folder, "-t", "commands", "tests/unit/test-hbitmap"]
    lines = run(ninja, env=venv.environment()).splitlines()
    commands = [shlex.split(line) for line in lines if "test-hbitmap" in line]
    compiling = next(w for w in commands if "-c" in w and w[-1].endswith("test-hbitmap.c"))
    linking = next(w for w in commands if w[w.index("-o") + 1] == "tests/unit/test-hbitmap")
    test, program = checker.folder / "qemu-test-hbitmap.o", checker.folder / "qemu-test-hbitmap"
    compiling[compiling.index("-o") + 1] = str(test)
    for option in ("-MF", "-MQ"):
        compiling[compiling.index(option) + 1] = f"{test}.d"
    linking[linking.index("-o") + 1] = str(program)
    new = {"test-hbitmap.c.o": str(test), "qemu-dirty-bitmap.o": str(dropin)}
    names = [os.path.basename(word) for word in linking]
    assert sorted(set(names) & new.keys()) == sorted(new), shlex.join(linking)
    linking = [new.get(name, word) for name, word in zip(names, linking)]
    for command in (compiling, linking):
        run([*command, *checker.c_flags], cwd=qemu.folder)
    return program


@pytest.mark.parametrize("name", ["address", "valgrind", "checks"])
def test_qemus_hbitmap(name: str, folder: Path) -> None:
    checker, _ = checked(name, folder)
    qemu = build.build("10.0", targets=["tests/unit/test-hbitmap"])
    program = qemu.program("tests/unit/test-hbitmap")
    if name != "valgrind":
        dropin = checker.folder / "qemu-dirty-bitmap.o"
        tools = ["--ld", "ld", "--objcopy", "objcopy", "--readelf", "readelf"]
        script = [sys.executable, paths.ROOT / "tools" / "build" / "dropin.py", *tools]
        archive = checkers.archive(checker, "qemu")
        run([*script, "--symbols", paths.SYMBOLS, "--output", dropin, archive])
        program = linked_with(checker, qemu, dropin)
    assert watched(checker, program, "qemu", "-k") == HBITMAP_TESTS
