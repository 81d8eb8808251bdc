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


def buildoptions(tree: Path, folder: Path, options: Path) -> str:
    """configure's options, made by QEMU's script as `make update-buildoptions` does."""
    folder.mkdir()
    shutil.copy(tree / "meson.build", folder)
    shutil.copy(options, folder)
    # meson looks for options in the two files only; what it says of missing folders is no matter.
    command = ["meson", "introspect", "--buildoptions", "meson.build"]
    _, listed = output(command, cwd=folder, env=venv.environment(), stderr=subprocess.DEVNULL)
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
            if number == 1:
                for file in GLUE_FILES:
                    text = glue.file(paths.ROOT / "qemu" / "glue", VERSION, file)
                    files[f"{FOLDER}/{file}"] = text
            elif number == 2:
                options = folder / "meson_options.txt"
                files[BUILDOPTIONS] = buildoptions(tree, Path(name, "options"), options)
            commit(folder, (SOURCE / f"message-{number}").read_text(), files)
        form = ["--zero-commit", "--full-index", "--no-signature", "--diff-algorithm=myers"]
        out = f"--output-directory={series}"
        git(folder, "format-patch", "--quiet", *form, out, f"-{len(NEW)}")
        made: Files = dict.fromkeys(SERIES.iterdir())  # none of the old ones may stay
        made |= {SERIES / path.name: path.read_text() for path in series.iterdir()}
        return made | {SERIES / "cover-letter.txt": (SOURCE / "cover-letter").read_text()}
