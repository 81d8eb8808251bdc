# SPDX-License-Identifier: GPL-2.0-or-later
"""An installed copy of the library, seen as a program of somebody else sees it: through pkg-config alone."""
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from . import places, say

CONSUMER = places.ROOT / "packaging" / "debian" / "tests" / "consumer.c"
EXAMPLE = places.ROOT / "examples" / "c"
SYMBOLS = places.ROOT / "include" / "qemu_dirty_bitmap.symbols"
SONAME, NODE = "libqemu_dirty_bitmap.so.0", "QEMU_DIRTY_BITMAP_0"
LANGUAGES = {"C": ["gcc", "-x", "c"], "C++": ["g++", "-x", "c++"]}
STRICT = ["-Wall", "-Wextra", "-Werror"]


class Copy:
    """What is under `root`, installed for `prefix` and `libdir`; `root` is / or what DESTDIR was."""

    def __init__(self, root: Path, prefix: str, libdir: str):
        self.root = root
        self.libdir = root / (Path(prefix) / libdir).relative_to("/")
        self.env = {name: value for name, value in os.environ.items() if not name.startswith(("PKG_CONFIG", "LD_", "CPATH", "LIBRARY_PATH"))}
        # LIBDIR and not PATH: what else is on this machine is not seen.
        self.env["PKG_CONFIG_LIBDIR"] = str(self.libdir / "pkgconfig")
        if root != Path("/"):
            # In a folder /usr is a place as any other, of which the compiler has to be told.
            self.env.update(PKG_CONFIG_SYSROOT_DIR=str(root), PKG_CONFIG_ALLOW_SYSTEM_CFLAGS="1", PKG_CONFIG_ALLOW_SYSTEM_LIBS="1")
        self.running = dict(self.env, LD_LIBRARY_PATH=str(self.libdir))

    def pkg_config(self, *words):
        return shlex.split(say.run(["pkg-config", *words, "qemu_dirty_bitmap"], env=self.env).stdout)

    def version(self) -> str:
        return self.pkg_config("--modversion")[0]

    def linking(self, how: str):
        """The words that link a program in one of the three ways."""
        if how == "shared":
            return self.pkg_config("--libs")
        static = self.pkg_config("--static", "--libs")
        if how == "all static":
            return ["-static", *static]
        # The archive, and the system's own libraries shared.
        return ["-l:libqemu_dirty_bitmap.a" if word == "-lqemu_dirty_bitmap" else word for word in static]

    def consumer(self, language: str, how: str, folder: Path, *others) -> str:
        """Compiles, links (with what else is said) and runs the small program."""
        program = folder / f"consumer-{language}-{how.replace(' ', '-')}"
        say.run([*LANGUAGES[language], *STRICT, *self.pkg_config("--cflags"), CONSUMER, "-x", "none", "-o", program,
                 *others, *self.linking(how)], env=self.env, cwd=folder)
        needed = say.run(["readelf", "-dV", program]).stdout
        if (SONAME in needed) != (how == "shared") or (NODE in needed) != (how == "shared"):
            raise say.Failure(f"{program.name}: needs {SONAME} with {NODE}, or should and does not:\n{needed}")
        told = say.run([program, self.version()], env=self.running).stdout.strip()
        if told != "consumer: all as expected":
            raise say.Failure(f"{program.name} says: {told}")
        return ""

    def beside_rust(self, folder: Path) -> str:
        """The archive in a program that has another Rust library, with its own copy of what comes with Rust."""
        other = folder / "libother.a"
        say.run(["rustc", "--edition", "2024", "--crate-type", "staticlib", "-C", "panic=abort", "-o", other,
                 places.ROOT / "tests/dropin/other.rs"], cwd=folder)
        return self.consumer("C", "archive", folder, "-Wl,-u,other_digits", other)

    def is_versioned(self) -> str:
        """SONAME, the version node, and in it all the names of the list and nothing else."""
        told = say.run([sys.executable, "-B", places.ROOT / "tools/build/check_symbols.py", "--nm", "nm", "--readelf", "readelf",
                        "--symbols", SYMBOLS, "--shared", self.libdir / SONAME, "--soname", SONAME, "--node", NODE,
                        "--archive", self.libdir / "libqemu_dirty_bitmap.a"]).stdout
        return f"{', '.join(told.splitlines())}"

    def example_by_hand(self, folder: Path) -> str:
        """The example compiled by one line, as somebody without meson would."""
        plugin = folder / "nbdkit-dirty-plugin.so"
        say.run(["gcc", "-std=gnu11", "-D_GNU_SOURCE", "-O2", "-fPIC", "-shared", *STRICT, *self.pkg_config("--cflags"),
                 *sorted(EXAMPLE.glob("*.c")), "-o", plugin, *self.pkg_config("--libs")], env=self.env)
        return self.example_test(plugin)

    def example_test(self, plugin: Path) -> str:
        done = subprocess.run(
            ["/usr/bin/python3", "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", EXAMPLE / "test_plugin.py"],
            env={**self.running, "PLUGIN": str(plugin)}, capture_output=True, text=True, check=False, timeout=600,
        )
        counted = re.search(r"^(\d+) passed in ", done.stdout, re.M)
        if done.returncode != 0 or not counted:
            raise say.Failure(done.stderr[-4000:] + done.stdout)
        return f"{counted[1]} tests"
