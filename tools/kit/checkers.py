# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs that watch other programs: how to build for them, how to start, and where they say what they found."""
import os
import re
import shutil
import subprocess
from pathlib import Path

from . import places, say

# What valgrind calls an error that is none in our code; each entry there has its reason.
SUPPRESSIONS = Path(__file__).with_name("valgrind.supp")


class Checker:
    """Nothing but the compiler's own checks; the base of the others."""

    name = "checks"
    about = "debug assertions, overflow checks and std's checks of unsafe preconditions in the optimised library"
    rust_flags = ""
    cargo_profile = {"CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS": "true", "CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS": "true"}
    c_flags = []
    packages = []
    # Which programs of c-tests/; None: all.
    programs = None
    # Test cases of a program that cannot run under it. Each has its reason.
    out_of_reach = {}
    # (fault of tests/sanitize/misuse.c, what the report has to say, functions of which it has to name one). Faults that are found in
    # the library itself show that its code is watched.
    faults = [
        ("planted-overflow", "attempt to add with overflow", "node.rs"),
        ("planted-assertion", "assertion failed: number != 1", "node.rs"),
        ("planted-index", "unsafe precondition(s) violated", "get_unchecked"),
    ]
    # No call of C's makes the library overflow or break an assertion of its own, so functions that do are added to a copy of it.
    planted = "tests/sanitize/planted.rs"
    timeout = 1800

    def __init__(self, folder: Path):
        self.folder = folder
        self.reports = folder / "reports"

    def environment(self):
        return {}

    def command(self, program, label: str):
        return [program]

    def begin(self) -> None:
        shutil.rmtree(self.reports, ignore_errors=True)
        self.reports.mkdir(parents=True)

    def findings(self) -> str:
        """What was reported since `begin`: nothing, if all is well."""
        return "".join(file.read_text(errors="replace") for file in sorted(self.reports.iterdir()))

    def more_objects(self):
        """What is linked besides."""
        return []

    def really_there(self, archive: Path) -> str:
        """Looks into the archive for the checks."""
        # Plain release code refers to neither: there is nothing in it that panics so.
        wanted = ("panic_const_add_overflow", "panic_const_sub_overflow")
        found = [name for name in wanted if undefined_or_defined(archive, name)]
        if len(found) < len(wanted):
            raise say.Failure(f"{archive}: no overflow checks in it")
        return "overflow checks are in the archive"


def undefined_or_defined(archive: Path, name: str) -> int:
    symbols = subprocess.run(["nm", archive], capture_output=True, text=True, check=False).stdout
    return len(re.findall(rf"^.*{re.escape(name)}.*$", symbols, re.M))


class Sanitizer(Checker):
    """A run-time library of the compilers'."""

    planted = None

    init = ""

    def really_there(self, archive: Path) -> str:
        if not undefined_or_defined(archive, self.init):
            raise say.Failure(f"{archive}: no {self.init} in it")
        return f"{self.init} is in the archive"


class Address(Sanitizer):
    name = "address"
    about = "AddressSanitizer and LeakSanitizer in the library; these and UndefinedBehaviorSanitizer in the tests"
    rust_flags = "-Zsanitizer=address -Cforce-frame-pointers=yes"
    cargo_profile = {}
    c_flags = ["-g", "-fno-omit-frame-pointer", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    init = "__asan_init"
    faults = [
        ("use-after-free", "heap-use-after-free", "hbitmap_get|HBitmap"),
        ("overflow", "heap-buffer-overflow", "serialize_part|HBitmap"),
        ("leak", "detected memory leaks", "hbitmap_alloc"),
        ("signed-overflow", "signed integer overflow", "signed_overflow"),
    ]

    def environment(self):
        log = self.reports / "report"
        # Reports go to files, so that tests which read the stderr of a child that aborts see what they would see without us, and
        # none of a child is lost. A death by SIGABRT stays one.
        return {
            "ASAN_OPTIONS": f"detect_leaks=1:strict_string_checks=1:check_initialization_order=1:handle_abort=0:log_path={log}",
            "UBSAN_OPTIONS": f"print_stacktrace=1:log_path={log}",
        }


class Thread(Sanitizer):
    name = "thread"
    about = "ThreadSanitizer in the library and in the tests that have threads"
    cargo_profile = {}
    c_flags = ["-g", "-fno-omit-frame-pointer", "-fsanitize=thread"]
    packages = ["util-linux"]
    programs = ["test-threads", "test-stress"]
    init = "__tsan_init"
    faults = [("race", "data race", "hbitmap_set|HBitmap")]

    def environment(self):
        return {"TSAN_OPTIONS": f"exitcode=66:second_deadlock_stack=1:history_size=4:log_path={self.reports / 'report'}"}

    @property
    def rust_flags(self):
        flags = "-Zsanitizer=thread -Cforce-frame-pointers=yes"
        # std comes compiled without it, which newer compilers refuse although it changes no ABI. What std inlines into the library
        # (atomics, Arc) is watched.
        if "unsafe-allow-abi-mismatch" in say.run(["rustc", "-C", "help"]).stdout:
            flags += " -Cunsafe-allow-abi-mismatch=sanitizer"
        return flags

    def more_objects(self):
        output = self.folder / "thread.o"
        source = places.ROOT / "tests" / "sanitize" / "thread.c"
        # Not for the checker itself: these functions are part of it. -fno-builtin: they call C's, whatever the size.
        say.run(["gcc", "-std=gnu11", "-O2", "-g", "-Wall", "-Wextra", "-Werror", "-fno-builtin", "-c", source, "-o", output])
        return [output]

    def command(self, program, label: str):
        # gcc 12's run-time library does not know the address layout of newer kernels with many random bits.
        return ["setarch", "--addr-no-randomize", program]


class Valgrind(Checker):
    name = "valgrind"
    about = "valgrind memcheck, with the release library as it is shipped"
    cargo_profile = {}
    c_flags = ["-g"]
    packages = ["valgrind", "libc6-dbg"]
    planted = None
    faults = [
        ("use-after-free", "Invalid read", "hbitmap_get|HBitmap"),
        ("overflow", "Invalid write", "serialize_part|HBitmap"),
        ("leak", "definitely lost", "hbitmap_alloc"),
        ("uninitialised", "depends on uninitialised value", "deserialize|HBitmap"),
    ]
    timeout = 7200

    def environment(self):
        # Threads take turns in valgrind, so one that waits for others waits long.
        return {"G_SLICE": "always-malloc", "G_DEBUG": "gc-friendly", "QDB_STRESS_PATIENCE": "1200", "QDB_STRESS_SECONDS": "1"}

    def command(self, program, label: str):
        return [
            "valgrind", "--tool=memcheck", "--leak-check=full", "--error-exitcode=99", "--trace-children=yes", "--fair-sched=yes",
            # "Possibly lost" is no error: C knows a bitmap by an address in the middle of its block (behind the reference count), and in
            # a process that aborts on purpose bitmaps live to the end. What nothing points to any more is an error there, too.
            "--errors-for-leak-kinds=definite",
            f"--suppressions={SUPPRESSIONS}", f"--log-file={self.reports}/{label}.%p", program,
        ]

    def findings(self) -> str:
        """Every process has to say at its end that there was nothing, also one that aborted: its exit code says nothing."""
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
        if not logs:
            found.append("valgrind has not written anything")
        return "\n".join(found)

    def really_there(self, archive: Path) -> str:
        return say.run(["valgrind", "--version"]).stdout.strip()


ALL = [Address, Valgrind, Thread, Checker]


def run(checker: Checker, command, timeout=None):
    """Runs a program that may fail: its exit code and output."""
    try:
        done = subprocess.run(
            [str(word) for word in command], env=dict(os.environ, **checker.environment()), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False,
            timeout=timeout or checker.timeout,
        )
    except subprocess.TimeoutExpired:
        raise say.Failure(f"no end after {timeout or checker.timeout} s") from None
    return done.returncode, done.stdout
