# SPDX-License-Identifier: GPL-2.0-or-later
"""An installed copy of the library, as a program of somebody else sees it: through pkg-config."""

import os
import re
import shlex
import sys
from pathlib import Path

from qdb_tools import paths
from qdb_tools.process import output, run

CONSUMER = paths.ROOT / "packaging" / "debian" / "tests" / "consumer.c"
EXAMPLE = paths.ROOT / "examples" / "c"
SONAME, NODE = "libqemu_dirty_bitmap.so.0", "QEMU_DIRTY_BITMAP_0"
LANGUAGES = {"C": ["gcc", "-x", "c"], "C++": ["g++", "-x", "c++"]}
WAYS = ["shared", "archive", "all static"]
STRICT = ["-Wall", "-Wextra", "-Werror"]
BUILD_TOOLS = paths.ROOT / "tools" / "build"


class Copy:
    """What is under `root`, installed for `prefix` and `libdir`; `root` is / or what DESTDIR was."""

    def __init__(self, root: Path, prefix: str, libdir: str) -> None:
        self.root = root
        self.libdir = root / (Path(prefix) / libdir).relative_to("/")
        without = ("PKG_CONFIG", "LD_", "CPATH", "LIBRARY_PATH")
        self.env = {n: value for n, value in os.environ.items() if not n.startswith(without)}
        # LIBDIR and not PATH: what else is on this machine is not seen.
        self.env["PKG_CONFIG_LIBDIR"] = str(self.libdir / "pkgconfig")
        if root != Path("/"):
            # In a folder /usr is a place as any other, of which the compiler has to be told.
            self.env["PKG_CONFIG_SYSROOT_DIR"] = str(root)
            self.env |= dict.fromkeys(
                ["PKG_CONFIG_ALLOW_SYSTEM_CFLAGS", "PKG_CONFIG_ALLOW_SYSTEM_LIBS"], "1"
            )
        self.running = {**self.env, "LD_LIBRARY_PATH": str(self.libdir)}

    def pkg_config(self, *words: str) -> list[str]:
        return shlex.split(run(["pkg-config", *words, "qemu_dirty_bitmap"], env=self.env))

    def version(self) -> str:
        return self.pkg_config("--modversion")[0]

    def linking(self, how: str) -> list[str]:
        """The words that link a program in one of the three ways."""
        if how == "shared":
            return self.pkg_config("--libs")
        static = self.pkg_config("--static", "--libs")
        if how == "all static":
            return ["-static", *static]
        # The archive, and the system's own libraries shared.
        archive = "-l:libqemu_dirty_bitmap.a"
        return [archive if word == "-lqemu_dirty_bitmap" else word for word in static]

    def consumer(self, language: str, how: str, folder: Path, *others: object) -> None:
        """Compiles, links (with what else is said) and runs the small program."""
        program = folder / f"consumer-{language}-{how.replace(' ', '-')}"
        compiler = [*LANGUAGES[language], *STRICT, *self.pkg_config("--cflags"), CONSUMER]
        linking = ["-x", "none", "-o", program, *others, *self.linking(how)]
        run([*compiler, *linking], env=self.env, cwd=folder)
        needed = run(["readelf", "-dV", program])
        assert (SONAME in needed) == (NODE in needed) == (how == "shared"), needed
        told = run([program, self.version()], env=self.running)
        assert told.strip() == "consumer: all as expected"

    def beside_rust(self, folder: Path) -> None:
        """The archive in a program that has another Rust library, with its own copy of std."""
        other = folder / "libother.a"
        flags = ["--edition", "2021", "--crate-type", "staticlib", "-C", "panic=abort"]
        run(["rustc", *flags, "-o", other, paths.ROOT / "tests/dropin/other.rs"], cwd=folder)
        self.consumer("C", "archive", folder, "-Wl,-u,other_digits", other)

    def is_versioned(self) -> None:
        """SONAME, the version node, and in it all the names of the list and nothing else."""
        program = [sys.executable, "-B", BUILD_TOOLS / "check_symbols.py", "--nm", "nm"]
        library = ["--readelf", "readelf", "--symbols", paths.SYMBOLS, "--soname", SONAME]
        shared = ["--shared", self.libdir / SONAME, "--node", NODE]
        run([*program, *library, *shared, "--archive", self.libdir / "libqemu_dirty_bitmap.a"])

    def example_by_hand(self, folder: Path) -> None:
        """The example compiled by one line, as somebody without meson would."""
        program = folder / "nbd-track"
        flags = ["-std=gnu11", "-D_GNU_SOURCE", "-O2", *STRICT, *self.pkg_config("--cflags")]
        sources = sorted(EXAMPLE.glob("*.c"))
        run(["gcc", *flags, *sources, "-o", program, *self.pkg_config("--libs")], env=self.env)
        self.example_test(program)

    def example_test(self, program: Path) -> None:
        command = [sys.executable, "-B", EXAMPLE / "test_nbd_track.py", program]
        command += ["--qemu-io", "qemu-io"]
        code, said = output(command, env=self.running, timeout=600)
        assert code == 0, said[-4000:]
        assert re.search(r"^nbd-track: (\d+) passed, 0 failed$", said, re.M), said
