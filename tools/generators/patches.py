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
import subprocess
import sys
import tempfile
from pathlib import Path

from fit import glue
from qdb_tools import paths, source, venv
from qdb_tools.process import output, run

from generators import Files

VERSION = "10.2"
GLUE = paths.ROOT / "qemu" / "glue"
SOURCE = paths.ROOT / "qemu" / "patches" / "source"
SERIES = paths.ROOT / "qemu" / "patches" / VERSION
FOLDER = "block/qemu-dirty-bitmap"
GLUE_FILES = ["driver.c", "host.c", "host.h", "layout.c", "trace.c"]
BUILDOPTIONS = "scripts/meson-buildoptions.sh"
# Each patch, and the new files of it in SOURCE.
NEW = {1: [f"{FOLDER}/meson.build"], 2: [], 3: ["docs/devel/dirty-bitmap-rust.rst"]}

# What is common to all patches. Who sends the series puts a name and a Signed-off-by there (git am
# --signoff).
AUTHOR = "qemu-dirty-bitmap developers"
DATE = "2026-11-24T00:00:00+0000"


def git(folder: Path, *words: object) -> str:
    # Nothing of the user's settings may show in the patches.
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    env |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "TZ": "UTC"}
    for role in ("AUTHOR", "COMMITTER"):
        env |= {f"GIT_{role}_NAME": AUTHOR, f"GIT_{role}_EMAIL": "", f"GIT_{role}_DATE": DATE}
    return run(["git", "-C", folder, *words], env=env)


def commit(folder: Path, message: str, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    git(folder, "add", "--all", "--force")
    git(folder, "commit", "--quiet", "--message", message)


def buildoptions(tree: Path, options: str) -> str:
    """configure's options, made by QEMU's script as `make update-buildoptions` does."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(tree / "meson.build", folder)
        Path(folder, "meson_options.txt").write_text(options)
        # meson looks for options in the two files only; it says of missing folders on stderr.
        command = ["meson", "introspect", "--buildoptions", "meson.build"]
        quiet = {"env": venv.environment(), "stderr": subprocess.DEVNULL}
        listed = output(command, cwd=folder, **quiet)[1]
    return run([sys.executable, tree / "scripts/meson-buildoptions.py"], input=listed)


def make() -> Files:
    tree = source.get(VERSION)
    diffs = {number: SOURCE / f"changes-{number}.diff" for number in NEW}
    changed = [re.findall(r"^--- a/(\S+)$", diff.read_text(), re.M) for diff in diffs.values()]
    touched = {BUILDOPTIONS}.union(*changed)
    with tempfile.TemporaryDirectory() as name:
        # A repository with the files of QEMU that the series touches, and only these.
        folder, series = Path(name, "repository"), Path(name, "series")
        folder.mkdir()
        git(folder, "init", "--quiet", "--initial-branch=main")
        commit(folder, f"QEMU {VERSION}", {file: (tree / file).read_text() for file in touched})
        for number, diff in diffs.items():
            git(folder, "apply", diff)
            files = {file: (SOURCE / file).read_text() for file in NEW[number]}
            for file in GLUE_FILES if number == 1 else ():
                files[f"{FOLDER}/{file}"] = glue.file(GLUE, VERSION, file)
            if number == 2:
                options = (folder / "meson_options.txt").read_text()
                files[BUILDOPTIONS] = buildoptions(tree, options)
            commit(folder, (SOURCE / f"message-{number}").read_text(), files)
        form = "--quiet --zero-commit --full-index --no-signature --diff-algorithm=myers".split()
        git(folder, "format-patch", *form, f"--output-directory={series}", f"-{len(NEW)}")
        made: Files = dict.fromkeys(SERIES.iterdir())  # none of the old ones may stay
        made |= {SERIES / path.name: path.read_text() for path in series.iterdir()}
        return made | {SERIES / "cover-letter.txt": (SOURCE / "cover-letter").read_text()}
