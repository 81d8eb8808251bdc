# SPDX-License-Identifier: GPL-2.0-or-later
"""One C program, linked with QEMU's two C files and with the library, both watched by the same sanitizer."""
import os
import re
import subprocess
from pathlib import Path

from . import checkers, places, say, source

LIBRARIES = ["-lpthread", "-ldl", "-lm", "-lgcc_s"]
SOURCES = places.ROOT / "tools" / "evidence.d"
LIMIT = 120  # seconds


def sanitized_archive(checker) -> Path:
    """The library, compiled for the checker; tools/sanitize builds the same in the same place."""
    triple = re.search(r"^host: (\S+)", say.run(["rustc", "-vV"]).stdout, re.M)[1]
    target = places.cache() / "sanitize" / checker.name / "target"
    env = dict(os.environ, **checker.cargo_profile, RUSTC_BOOTSTRAP="1", RUSTFLAGS=checker.rust_flags, CARGO_TARGET_DIR=str(target))
    say.run(["cargo", "rustc", "--locked", "--release", "--lib", "--crate-type", "staticlib", "--target", triple,
             "--", "--cfg", "qdb_c_names"], env=env, cwd=places.ROOT)
    return target / triple / "release" / "libqemu_dirty_bitmap.a"


class Pair:
    """The two programs that `source_name` makes."""

    def __init__(self, checker, source_name: str, options):
        self.checker, self.options = checker, options
        folder = places.cache() / "evidence" / checker.name
        folder.mkdir(parents=True, exist_ok=True)
        checker.folder = folder
        say.step(f"{source_name} on QEMU's C and on the library, with {checker.c_flags[-1]}")
        sanitizer = f"-fsanitize={checker.name}"
        say.run([places.ROOT / "oracle" / "build", source.get(places.DEFAULT), folder], env=dict(os.environ, ORACLE_CFLAGS=sanitizer))
        compile_it = ["gcc", "-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", "-Werror", sanitizer, "-fno-omit-frame-pointer",
                      f"-I{places.ROOT / 'include'}", SOURCES / source_name]
        self.stock, self.ours = folder / "on-c", folder / "on-library"
        say.run([*compile_it, folder / "libqemu-dirty-bitmap-oracle.so", f"-Wl,-rpath,{folder}", "-o", self.stock, "-lpthread"])
        say.run([*compile_it, sanitized_archive(checker), *checker.more_objects(), "-o", self.ours, *LIBRARIES])

    def run(self, program: Path, case: str) -> str:
        """What a case says on stdout and stderr, and how it ends."""
        env = {**os.environ, **self.options}
        command = ["timeout", str(LIMIT), *self.checker.command(program, case), case]
        done = subprocess.run(
            [str(word) for word in command], env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False,
        )
        return f"{done.stdout}{done.stderr}ended with {done.returncode}\n"

    def both(self, case: str):
        return self.run(self.stock, case), self.run(self.ours, case)


def faults() -> Pair:
    # Deaths shall look as they do without it: a SIGSEGV of C's is the fault itself.
    return Pair(checkers.Address(places.cache()), "faults.c", {"ASAN_OPTIONS": "detect_leaks=0:handle_abort=0"})


def races() -> Pair:
    # The real deadlock shall be seen, not a warning of it.
    return Pair(checkers.Thread(places.cache()), "races.c", {"TSAN_OPTIONS": "halt_on_error=1:detect_deadlocks=0:exitcode=66"})
