# SPDX-License-Identifier: GPL-2.0-or-later
"""QEMU's own tests, unmodified, on a build: unit tests, and iotests."""

import os
import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from qdb_tools import paths
from qdb_tools.build import Build
from qdb_tools.process import output

HBITMAP_TESTS = 40  # in tests/unit/test-hbitmap
# Bitmaps from end to end: what each change must pass.
CORE = """124 165 176 236 242 246 254 256 257 260 271 300
qemu-img-bitmaps migrate-bitmaps-test remove-bitmap-from-backing""".split()
# What the tests that touch bitmaps, or a job that runs on an HBitmap, have in their text.
TOUCHES = re.compile(
    r"bitmap|(drive|blockdev)[-_](backup|mirror)|block[-_]commit|copy-before-write|qemu-img commit",
    re.I,
)
# Which do not: they reach a job through a function of iotests.py, or with an image of their own.
BESIDES = "040 041 129 219 iothreads-* mirror-*".split()
OTHER_FORMAT = "parallels-read-bitmap"  # wants -parallels
RAW = "055 151 152 194".split()
# status and seconds, as ./check prints them
LINE = re.compile(
    r"^(?P<name>\S+)\s+(?:\x1b\[[\d;]*m)*(?P<status>pass|fail|not run)\s.*\](?P<rest>.*)$"
)


class Result(NamedTuple):
    status: str
    about: str = ""


def unit_tests(program: Path, emulator: Sequence[str] = ()) -> int:
    """How many tests of a program pass; none may fail or be skipped."""
    folders = dict.fromkeys(("G_TEST_SRCDIR", "G_TEST_BUILDDIR"), str(program.parent))
    command = [*emulator, program, "--tap", "-k"]
    code, said = output(command, env=os.environ | folders, timeout=600)
    good = len(re.findall(r"^ok \d+(?!.*# SKIP)", said, re.M))
    assert code == 0 and re.findall(r"^1\.\.(\d+)$", said, re.M) == [str(good)], said[-3000:]
    return good


def plan(tree: Path, everything: bool) -> dict[str, list[str]]:
    """The iotests of each run of ./check, by image format; with `everything`, each one that
    touches bitmaps, or jobs that are built on them."""
    if not everything:
        return {"qcow2": CORE}
    folder = tree / "tests" / "qemu-iotests"
    files = [file for file in folder.iterdir() if re.fullmatch(r"\d{3}", file.name)]
    files += [f for f in (folder / "tests").iterdir() if f.suffix not in (".out", ".qcow2", ".raw")]
    names = {file.name for file in files if file.is_file() and touches(file)}
    special = {"parallels": [OTHER_FORMAT]} if OTHER_FORMAT in names else {}
    return {"qcow2": sorted(names - {OTHER_FORMAT}), "raw": RAW, **special}


def touches(file: Path) -> bool:
    known = file.name in CORE or any(file.match(pattern) for pattern in BESIDES)
    return known or bool(TOUCHES.search(file.read_text(errors="replace")))


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
