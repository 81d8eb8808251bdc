# SPDX-License-Identifier: GPL-2.0-or-later
"""C files compiled as QEMU compiles its own block/dirty-bitmap.c, in a build folder of stock QEMU."""
import json
import os
import re
import shlex
import subprocess
from pathlib import Path

from . import qemu, say

# Before 8.0 QEMU's static libraries had another suffix.
SUFFIX = {"7.2": "fa"}


def objects_of(version: str):
    """ninja's names of the objects of util/hbitmap.c and block/dirty-bitmap.c."""
    return ["libqemuutil.a.p/util_hbitmap.c.o", f"libblock.{SUFFIX.get(version, 'a')}.p/block_dirty-bitmap.c.o"]


class Stock:
    """Stock QEMU of a version, with the two objects built, and no more than they need."""

    def __init__(self, version: str, work: Path):
        self.version = version
        names = objects_of(version)
        self.folder = qemu.build(version, stock=True, targets=names).folder
        self.objects = [self.folder / name for name in names]
        self.work = work / version
        self.work.mkdir(parents=True)
        entries = json.loads((self.folder / "compile_commands.json").read_text())
        command = next(entry["command"] for entry in entries if entry["output"] == names[1])
        self.flags = [word for word in shlex.split(re.sub(r" -M[QF] \S+| -MD| -o \S+| -c \S+", "", command))]

    def compile(self, source: Path, output: Path, *flags):
        """Returns the compiler's errors, or "" if there were none. A warning is an error."""
        command = [*self.flags, "-Werror", *flags, "-c", str(source), "-o", str(output)]
        done = subprocess.run(
            command, cwd=self.folder, env=dict(os.environ, LC_ALL="C"), capture_output=True, text=True, check=False,
        )
        if done.returncode == 0:
            return ""
        return done.stderr or f"the compiler ended with {done.returncode}"

    def errors(self, name: str, text: str, *flags) -> str:
        """As compile, for a C file of this text."""
        source = self.work / f"{name}.c"
        source.write_text("/* SPDX-License-Identifier: GPL-2.0-or-later */\n" + text)
        return self.compile(source, self.work / f"{name}.o", *flags)


def must(errors: str) -> None:
    if errors:
        raise say.Failure(errors[-4000:])


def defined(*objects: Path):
    """The names that object files define for others."""
    found = set()
    for file in objects:
        listed = say.run(["nm", "-g", "--defined-only", "--format=posix", file]).stdout
        found |= {line.split()[0] for line in listed.splitlines() if line.strip()}
    return found
