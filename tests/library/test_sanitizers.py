# SPDX-License-Identifier: GPL-2.0-or-later
"""The C tests, and QEMU's own test-hbitmap, under programs that look for faults.

Each checker of tests/sanitize/checkers.toml first shows that it is there: its name is in the
library, and it reports planted faults (misuse.c), most of them inside of the library. Valgrind
takes half an hour, the others minutes; `-k address` and so on chooses.
"""

import re
import shlex
import shutil
from pathlib import Path

import checkers
import pytest
import vendored
from qdb_tools import build, paths, venv
from qdb_tools.process import Words, output, run

VALGRIND = shlex.split((checkers.FOLDER / "valgrind.options").read_text(), comments=True)
each_checker = pytest.mark.parametrize("name", checkers.ALL)


def watched(reports: Path, command: Words) -> tuple[int, str, str]:
    """Runs programs that a checker watches: exit code, what they say, and what is reported."""
    shutil.rmtree(reports, ignore_errors=True)
    reports.mkdir()
    # Reports go to files, so that tests which read the stderr of a child that aborts see what they
    # would see without us, and none of a child is lost. A death by SIGABRT stays one.
    log = f"log_path={reports / 'report'}"
    asan = "detect_leaks=1:strict_string_checks=1:check_initialization_order=1:handle_abort=0"
    tsan = "exitcode=66:second_deadlock_stack=1:history_size=4"
    env = venv.environment() | {"UBSAN_OPTIONS": f"print_stacktrace=1:{log}"}
    env |= {"ASAN_OPTIONS": f"{asan}:{log}", "TSAN_OPTIONS": f"{tsan}:{log}"}
    code, said = output([*checkers.START, *command], env=env, timeout=4 * 60 * 60)
    found = []
    for file in sorted(reports.iterdir()):
        text = file.read_text(errors="replace")
        # Valgrind tells of each process at its end, also that there was nothing.
        summary = re.search(r"ERROR SUMMARY: \d+ errors from (\d+) contexts", text)
        contexts = int(summary[1]) if summary else -1
        if "Process terminating with default action of signal 6 " in text:
            # Who aborts frees nothing. All else that is wrong there counts.
            contexts -= len(re.findall(r"definitely lost in loss record", text))
        found += [f"{file.name}:\n{text}"] if contexts else []
    return code, said, "\n".join(found)


def meson_test(name: str, folder: Path, *test: str) -> tuple[int, str, str]:
    setup = ["--setup", name] if name == "valgrind" else []
    command = ["meson", "test", "-C", folder, "--no-rebuild", "--print-errorlogs", *setup, *test]
    watched_run = watched(folder / "reports", command)
    assert not setup or list((folder / "reports").iterdir()), "valgrind was not there"
    return watched_run


def with_planted_faults() -> Path:
    """A copy of the library that has more C functions."""
    copy = paths.cache("sanitize", "with-planted-faults")
    shutil.rmtree(copy)
    vendored.copy_source(copy)
    functions = (checkers.FOLDER / "planted.rs").read_text()
    names = "".join(f"{function} node\n" for function in re.findall(r"fn (\w+)", functions))
    for file, more in ("src/ffi/node.rs", functions), (f"include/{paths.SYMBOLS.name}", names):
        (copy / file).write_text((copy / file).read_text() + more)
    return copy


@each_checker
def test_planted_faults(name: str) -> None:
    """They are reported, and nothing else is."""
    source = with_planted_faults() if name == "checks" else paths.ROOT
    folder = checkers.made(name, "c-tests/misuse", source=source)
    code, said, report = meson_test(name, folder, "misuse")
    assert code == 0 and not report, said + report
    for fault, (wanted, functions) in checkers.ALL[name]["faults"].items():
        code, said, report = meson_test(name, folder, "misuse", "--test-args", fault)
        report = report or said
        assert code != 0 and wanted in report and re.search(functions, report), report[-4000:]


@each_checker
def test_c_tests(name: str) -> None:
    tests = checkers.ALL[name]["tests"]
    folder = checkers.made(name, *(f"c-tests/{test}" for test in tests if test.startswith("test-")))
    code, said, report = meson_test(name, folder, *tests)
    assert code == 0 and not report, said[-3000:] + report
    logs = [log.read_text() for log in (folder / "meson-logs").glob("testlog*.txt")]
    assert re.search(r"\d subtests passed", said) and "# SKIP" not in "".join(logs), said


def linked_with(name: str, qemu: build.Build) -> Path:
    """QEMU's test-hbitmap as its build links it, with the checker and the drop-in object for it."""
    folder = checkers.made(name, build.OBJECT)
    ninja = ["ninja", "-C", qemu.folder, "-t", "commands", "tests/unit/test-hbitmap"]
    text, qemus = run(ninja, env=venv.environment()), "tests/unit/test-hbitmap"
    text = text.replace(f"{qemus}.p/test-hbitmap.c.o", f"{folder}/test-hbitmap.o")
    text = text.replace(f" -o {qemus} ", f" -o {folder}/test-hbitmap ")
    text = re.sub(rf"\S*/{build.OBJECT}", f"{folder / build.OBJECT}", text)
    made = [line for line in text.splitlines() if f" -o {folder}/test-hbitmap" in line]
    kind = checkers.ALL[name]["b_sanitize"]
    flags = checkers.ALL[name]["c"] + ("" if kind == "none" else f" -fsanitize={kind}")
    assert len(made) == 2 and f"{folder / build.OBJECT} " in made[1], made
    for command in made:
        run(shlex.split(f"{command} {flags}"), cwd=qemu.folder)
    return folder / "test-hbitmap"


@pytest.mark.parametrize("name", ["address", "valgrind", "checks"])
def test_qemus_hbitmap(name: str, tmp_path: Path) -> None:
    """QEMU 10.0's, with its block layer and the drop-in object."""
    qemu = build.build("10.0", targets=["tests/unit/test-hbitmap"])
    valgrind = ["valgrind", *VALGRIND, qemu.program("tests/unit/test-hbitmap")]
    command = valgrind if name == "valgrind" else [linked_with(name, qemu)]
    code, said, report = watched(tmp_path / "reports", [*command, "-k"])
    assert code == 0 and not report, said[-3000:] + report
    assert len(re.findall(r"^ok \d+(?!.*# SKIP)", said, re.M)) == 40
