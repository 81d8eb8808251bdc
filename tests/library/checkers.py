# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs that watch others.

How to build for them, how to start, where they say what they found.
"""

import os
import re
import shutil
from pathlib import Path
from typing import ClassVar

from qdb_tools import paths
from qdb_tools.log import Failure
from qdb_tools.process import Words, output, run

LIBRARIES = ["-lpthread", "-ldl", "-lm", "-lgcc_s"]


class Checker:
    """Nothing but the compiler's own checks; the base of the others.

    Debug assertions, overflow checks and std's checks of unsafe preconditions in the optimised
    library.
    """

    name = "checks"
    profile: ClassVar[dict[str, str]] = {
        "CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS": "true",
        "CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS": "true",
    }
    c_flags: ClassVar[list[str]] = []
    packages: ClassVar[list[str]] = []
    programs: ClassVar[list[str]] = []  # of c-tests/; none: all
    # What the archive must have in it, or the checks are not there: plain release code refers to
    # neither of these two.
    wanted: tuple[str, ...] = ("panic_const_add_overflow", "panic_const_sub_overflow")
    # (fault of tests/sanitize/misuse.c, what the report has to say, functions of which it has to
    # name one). Faults that are found in the library itself show that its code is watched.
    faults: ClassVar[list[tuple[str, str, str]]] = [
        ("planted-overflow", "attempt to add with overflow", "node.rs"),
        ("planted-assertion", "assertion failed: number != 1", "node.rs"),
        ("planted-index", "unsafe precondition(s) violated", "get_unchecked"),
    ]
    # No call of C's makes the library overflow or break an assertion of its own, so functions that
    # do are added to a copy of it.
    planted = "tests/sanitize/planted.rs"
    timeout = 1800

    def __init__(self, folder: Path) -> None:
        self.folder, self.reports = folder, folder / "reports"

    @property
    def rust_flags(self) -> str:
        return ""

    def environment(self) -> dict[str, str]:
        return {}

    def command(self, program: Path, label: str) -> list[object]:
        return [program]

    def more_objects(self) -> list[Path]:
        return []

    def findings(self) -> str:
        """What was reported in this run: nothing, if all is well."""
        return "".join(file.read_text(errors="replace") for file in sorted(self.reports.iterdir()))

    def run(self, program: Path, label: str, *arguments: str) -> tuple[int, str]:
        """Runs a program that may fail, with no reports of earlier runs."""
        shutil.rmtree(self.reports, ignore_errors=True)
        self.reports.mkdir(parents=True)
        env = os.environ | self.environment()
        command: Words = [*self.command(program, label), *arguments]
        return output(command, env=env, timeout=self.timeout)


class Address(Checker):
    """AddressSanitizer and LeakSanitizer in library and tests, UndefinedBehaviorSanitizer in
    tests."""

    name = "address"
    profile: ClassVar[dict[str, str]] = {}
    c_flags: ClassVar[list[str]] = [
        "-g",
        "-fno-omit-frame-pointer",
        "-fsanitize=address,undefined",
        "-fno-sanitize-recover=all",
    ]
    wanted = ("__asan_init",)
    faults: ClassVar[list[tuple[str, str, str]]] = [
        ("use-after-free", "heap-use-after-free", "hbitmap_get|HBitmap"),
        ("overflow", "heap-buffer-overflow", "serialize_part|HBitmap"),
        ("leak", "detected memory leaks", "hbitmap_alloc"),
        ("signed-overflow", "signed integer overflow", "signed_overflow"),
    ]
    planted = ""

    @property
    def rust_flags(self) -> str:
        return "-Zsanitizer=address -Cforce-frame-pointers=yes"

    def environment(self) -> dict[str, str]:
        # Reports go to files, so that tests which read the stderr of a child that aborts see what
        # they would see without us, and none of a child is lost. A death by SIGABRT stays one.
        log = f"log_path={self.reports / 'report'}"
        checks = "strict_string_checks=1:check_initialization_order=1"
        return {
            "ASAN_OPTIONS": f"detect_leaks=1:{checks}:handle_abort=0:{log}",
            "UBSAN_OPTIONS": f"print_stacktrace=1:{log}",
        }


class Thread(Checker):
    """ThreadSanitizer in the library and in the tests that have threads."""

    name = "thread"
    profile: ClassVar[dict[str, str]] = {}
    c_flags: ClassVar[list[str]] = ["-g", "-fno-omit-frame-pointer", "-fsanitize=thread"]
    packages: ClassVar[list[str]] = ["util-linux"]
    programs: ClassVar[list[str]] = ["test-threads", "test-stress"]
    wanted = ("__tsan_init",)
    faults: ClassVar[list[tuple[str, str, str]]] = [("race", "data race", "hbitmap_set|HBitmap")]
    planted = ""

    @property
    def rust_flags(self) -> str:
        flags = "-Zsanitizer=thread -Cforce-frame-pointers=yes"
        # std comes compiled without it, which newer compilers refuse although it changes no ABI.
        # What std inlines into the library (atomics, Arc) is watched.
        if "unsafe-allow-abi-mismatch" in run(["rustc", "-C", "help"]):
            flags += " -Cunsafe-allow-abi-mismatch=sanitizer"
        return flags

    def environment(self) -> dict[str, str]:
        options = "exitcode=66:second_deadlock_stack=1:history_size=4"
        return {"TSAN_OPTIONS": f"{options}:log_path={self.reports / 'report'}"}

    def more_objects(self) -> list[Path]:
        made = self.folder / "thread.o"
        source = paths.ROOT / "tests" / "sanitize" / "thread.c"
        # Not for the checker itself: these functions are part of it. -fno-builtin: they call C's,
        # whatever the size.
        flags = ["-std=gnu11", "-O2", "-g", "-Wall", "-Wextra", "-Werror", "-fno-builtin"]
        run(["gcc", *flags, f"-I{paths.INCLUDE}", "-c", source, "-o", made])
        return [made]

    def command(self, program: Path, label: str) -> list[object]:
        # gcc 12's run-time library does not know the address layout of newer kernels with many
        # random bits.
        return ["setarch", "--addr-no-randomize", program]


class Valgrind(Checker):
    """valgrind memcheck, with the release library as it is shipped."""

    name = "valgrind"
    profile: ClassVar[dict[str, str]] = {}
    c_flags: ClassVar[list[str]] = ["-g"]
    packages: ClassVar[list[str]] = ["valgrind", "libc6-dbg"]
    wanted = ()
    faults: ClassVar[list[tuple[str, str, str]]] = [
        ("use-after-free", "Invalid read", "hbitmap_get|HBitmap"),
        ("overflow", "Invalid write", "serialize_part|HBitmap"),
        ("leak", "definitely lost", "hbitmap_alloc"),
        ("uninitialised", "depends on uninitialised value", "deserialize|HBitmap"),
    ]
    planted = ""
    timeout = 7200

    def environment(self) -> dict[str, str]:
        # Threads take turns in valgrind, so one that waits for others waits long.
        patience = {"QDB_STRESS_PATIENCE": "1200", "QDB_STRESS_SECONDS": "1"}
        return {"G_SLICE": "always-malloc", "G_DEBUG": "gc-friendly"} | patience

    def command(self, program: Path, label: str) -> list[object]:
        return [
            "valgrind",
            "--tool=memcheck",
            "--leak-check=full",
            "--error-exitcode=99",
            "--trace-children=yes",
            "--fair-sched=yes",
            # "Possibly lost" is no error: C knows a bitmap by an address in the middle of its block
            # (behind the reference count), and in a process that aborts on purpose bitmaps live to
            # the end. What nothing points to any more is an error there, too.
            "--errors-for-leak-kinds=definite",
            f"--log-file={self.reports}/{label}.%p",
            program,
        ]

    def findings(self) -> str:
        """Each process says at its end that there was nothing; an exit code says nothing."""
        found = []
        logs = sorted(self.reports.iterdir())
        for file in logs:
            text = file.read_text(errors="replace")
            summary = re.search(r"ERROR SUMMARY: \d+ errors from (\d+) contexts", text)
            contexts = int(summary[1]) if summary else -1
            if re.search(r"Process terminating with default action of signal 6 ", text):
                # Who aborts frees nothing. All else that is wrong there counts.
                contexts -= len(re.findall(r"definitely lost in loss record", text))
            if contexts != 0:
                found.append(f"{file.name}:\n{text[-6000:]}")
        return "\n".join(found) if logs else "valgrind has not written anything"


ALL = [Address, Valgrind, Thread, Checker]


def archive(checker: Checker, host: str = "standalone", root: Path = paths.ROOT) -> Path:
    """The library as a static archive, built for the checker."""
    found = re.search(r"^host: (\S+)", run(["rustc", "-vV"]), re.M)
    assert found
    target = paths.cache("sanitize", checker.name) / "target"
    env = os.environ | checker.profile | {"RUSTC_BOOTSTRAP": "1"}
    env |= {"RUSTFLAGS": checker.rust_flags, "CARGO_TARGET_DIR": str(target)}
    # With --target, what runs while cargo builds is not built for the checker.
    command = ["cargo", "rustc", "--locked", "--release", "--lib", "--crate-type", "staticlib"]
    cfg = ["--", "--cfg", "qdb_c_names"] + (["--cfg", 'qdb_host="qemu"'] if host == "qemu" else [])
    kept = checker.folder / f"{host}-{root.name}.a"
    with paths.lock(f"sanitize-{checker.name}"):
        # cargo tells trees apart by nothing but the times of their files, so it would take the
        # library of another one, planted faults included, for this one's.
        clean = ["cargo", "clean", "--release", "--package", "qemu-dirty-bitmap"]
        run([*clean, "--target", found[1]], env=env, cwd=root)
        run([*command, "--target", found[1], *cfg], env=env, cwd=root)
        shutil.copy(target / found[1] / "release" / "libqemu_dirty_bitmap.a", kept)
    names = output(["nm", kept], stderr=None)[1]
    if missing := [name for name in checker.wanted if name not in names]:
        raise Failure(f"{kept}: no {' and no '.join(missing)} in it, so nothing would be checked")
    return kept
