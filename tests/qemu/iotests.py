# SPDX-License-Identifier: GPL-2.0-or-later
"""QEMU's own iotests, unmodified, on a build."""

import os
import re
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from qdb_tools import paths
from qdb_tools.build import Build
from qdb_tools.process import output

# Bitmaps from end to end: what each change must pass.
CORE = """124 165 176 236 242 246 254 256 257 260 271 300
qemu-img-bitmaps migrate-bitmaps-test remove-bitmap-from-backing""".split()

# What the tests that touch bitmaps, or a job that runs on an HBitmap, have in their text.
TOUCHES = re.compile(
    r"bitmap|(drive|blockdev)[-_](backup|mirror)|block[-_]commit|copy-before-write|qemu-img commit",
    re.I,
)
# What they do not: a test that reaches a job through a function of iotests.py, or with an image of
# its own.
BESIDES = "040 041 129 219 iothreads-* mirror-*".split()

# Tests that want another image format than qcow2.
OTHER_FORMATS = {"parallels-read-bitmap": "parallels"}
RAW = "055 151 152 194".split()

# status and seconds, as ./check prints them
LINE = re.compile(
    r"^(?P<name>\S+)\s+(?:\x1b\[[\d;]*m)*(?P<status>pass|fail|not run)\s.*\](?P<rest>.*)$"
)


@dataclass
class Result:
    status: str
    about: str = ""


def all_of(tree: Path) -> list[str]:
    """Each iotest of a QEMU tree that touches bitmaps, or jobs that are built on them."""
    tests = tree / "tests" / "qemu-iotests"
    files = [f for f in tests.iterdir() if re.fullmatch(r"\d{3}", f.name)]
    endings = (".out", ".qcow2", ".raw")
    files += [f for f in (tests / "tests").iterdir() if not f.name.endswith(endings)]
    found = set()
    for file in files:
        known = file.name in CORE or any(Path(file.name).match(p) for p in BESIDES)
        if file.is_file() and (known or TOUCHES.search(file.read_text(errors="replace"))):
            found.add(file.name)
    return sorted(found)


def plan(tree: Path, everything: bool) -> dict[str, list[str]]:
    """The tests of each run of ./check, by image format."""
    names = all_of(tree) if everything else CORE
    runs = {"qcow2": [name for name in names if name not in OTHER_FORMATS]}
    if everything:
        runs["raw"] = RAW
        for name, image_format in OTHER_FORMATS.items():
            if name in names:
                runs[image_format] = [name]
    return runs


def once(build: Build, names: Sequence[str], image_format: str, jobs: int) -> dict[str, Result]:
    """Runs ./check; returns the result of each name. A test of which it says nothing failed."""
    with tempfile.TemporaryDirectory(prefix="qdb-") as sockets:  # whose paths may not be long
        work = paths.cache("iotests") / f"{build.label}-{image_format}-{jobs}"
        shutil.rmtree(work, ignore_errors=True)
        (work / "scratch").mkdir(parents=True)
        env = os.environ | {"TEST_DIR": str(work / "scratch"), "SOCK_DIR": sockets}
        env.pop("QEMU_IOTESTS_REGEN", None)
        command = [build.python, "./check", f"-{image_format}", "-j", jobs, *names]
        _, said = output(command, cwd=build.folder / "tests" / "qemu-iotests", env=env)
        (work / "check.log").write_text(said)
    results = {name: Result("fail", f"./check did not tell a result: {work}") for name in names}
    for line in said.replace("\r", "\n").splitlines():
        if (found := LINE.match(line)) and found["name"] in names:
            results[found["name"]] = Result(found["status"], " ".join(found["rest"].split()))
    return results


def check(build: Build, names: Sequence[str], image_format: str) -> dict[str, Result]:
    """As `once`; what failed is run once more, alone.

    Some of QEMU's tests race with their own servers on a busy machine. That it took two runs stays
    visible.
    """
    results = once(build, names, image_format, 2)
    for name in [name for name, result in results.items() if result.status == "fail"]:
        again = once(build, [name], image_format, 1)[name]
        if again.status == "pass":
            print(f"{name}: {again.about} (at the second run; the first: {results[name].about})")
            results[name] = again
    return results
