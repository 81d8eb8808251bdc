# SPDX-License-Identifier: GPL-2.0-or-later
"""The patch series for QEMU 10.2 in qemu/patches/10.2.

It is never edited by hand: the glue in it is that of qemu/glue with the parts for other QEMU
versions taken out; messages, other new files and the changes to QEMU's own files are in
qemu/patches/source. scripts/meson-buildoptions.sh is made by QEMU's own script. QEMU's source is
Debian's 10.2 (QEMU_SRC=FOLDER: yours).
"""

import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

from fit.glue import Glue
from qdb_tools import paths, source, venv
from qdb_tools.process import output, run

from generators import Files

VERSION = "10.2"
SOURCE = paths.ROOT / "qemu" / "patches" / "source"
SERIES = paths.ROOT / "qemu" / "patches" / VERSION
FOLDER = "block/qemu-dirty-bitmap"
GLUE_FILES = ["driver.c", "host.c", "host.h", "layout.c", "trace.c"]
BUILDOPTIONS = "scripts/meson-buildoptions.sh"
NEW = {1: [f"{FOLDER}/meson.build"], 2: [], 3: ["docs/devel/dirty-bitmap-rust.rst"]}

# What is common to all patches. Who sends the series puts a name and a Signed-off-by there (git am
# --signoff).
AUTHOR = "qemu-dirty-bitmap developers"
DATE = "2026-11-24T00:00:00+0000"


class Repository:
    """A git repository with the files of QEMU that the series touches, and only these."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.git("init", "--quiet", "--initial-branch=main", folder)

    def git(self, *words: object) -> str:
        # Nothing of the user's settings may show in the patches.
        env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        env |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "TZ": "UTC"}
        for role in ("AUTHOR", "COMMITTER"):
            env |= {f"GIT_{role}_NAME": AUTHOR, f"GIT_{role}_EMAIL": "", f"GIT_{role}_DATE": DATE}
        return run(["git", "-C", self.folder, *words], env=env)

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def commit(self, message: str) -> None:
        self.git("add", "--all", "--force")
        self.git("commit", "--quiet", "--message", message)


def buildoptions(tree: Path, scratch: Path, options: str) -> str:
    """configure's options, made by QEMU's script as `make update-buildoptions` does."""
    folder = scratch / "options"
    folder.mkdir()
    shutil.copy(tree / "meson.build", folder)
    (folder / "meson_options.txt").write_text(options)
    # meson looks for options in the two files only; what it says of missing folders is no matter.
    command = ["meson", "introspect", "--buildoptions", "meson.build"]
    _, listed = output(command, cwd=folder, env=venv.environment(), stderr=None)
    return run([sys.executable, tree / "scripts/meson-buildoptions.py"], input=listed)


def make() -> Files:
    tree = source.get(VERSION)
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        glue = Glue(paths.ROOT / "qemu" / "glue", VERSION)
        repository = Repository(scratch / "repository")
        diffs = {number: SOURCE / f"changes-{number}.diff" for number in NEW}
        touched = {BUILDOPTIONS}
        for diff in diffs.values():
            touched |= set(re.findall(r"^--- a/(\S+)$", diff.read_text(), re.M))
        for file in sorted(touched):
            repository.write(file, (tree / file).read_text())
        repository.commit(f"QEMU {VERSION}")
        for number, diff in diffs.items():
            repository.git("apply", diff)
            for file in GLUE_FILES if number == 1 else []:
                repository.write(f"{FOLDER}/{file}", glue.file(file))
            for file in NEW[number]:
                repository.write(file, (SOURCE / file).read_text())
            if number == 2:
                options = (repository.folder / "meson_options.txt").read_text()
                repository.write(BUILDOPTIONS, buildoptions(tree, scratch, options))
            repository.commit((SOURCE / f"message-{number}").read_text())
        form = ["--zero-commit", "--full-index", "--no-signature", "--diff-algorithm=myers"]
        out = f"--output-directory={scratch / 'series'}"
        repository.git("format-patch", "--quiet", *form, out, f"-{len(NEW)}")
        made: Files = dict.fromkeys(SERIES.iterdir())  # none of the old ones may stay
        made |= {SERIES / path.name: path.read_text() for path in (scratch / "series").iterdir()}
        return made | {SERIES / "cover-letter.txt": (SOURCE / "cover-letter").read_text()}
