# SPDX-License-Identifier: GPL-2.0-or-later
"""QEMU's own tests, unmodified, on a build: iotests and the unit tests of the block layer."""
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from . import places, say

# Bitmaps from end to end: what each change must pass.
CORE = """124 165 176 236 242 246 254 256 257 260 271 300
qemu-img-bitmaps migrate-bitmaps-test remove-bitmap-from-backing""".split()

# What the tests that touch bitmaps, or a job that runs on an HBitmap, have in their text.
TOUCHES = re.compile(
    r"bitmap|(drive|blockdev)[-_](backup|mirror)|block[-_]commit|copy-before-write|qemu-img commit", re.I
)
# What they do not: a test that reaches a job through a function of iotests.py, or with an
# image of its own.
BESIDES = "040 041 129 219 iothreads-* mirror-*".split()

# Tests that want another image format than qcow2.
OTHER_FORMATS = {"parallels-read-bitmap": "parallels"}
RAW = "055 151 152 194".split()

# status and seconds, as ./check prints them
LINE = re.compile(r"^(?P<name>\S+)\s+(?:\x1b\[[\d;]*m)*(?P<status>pass|fail|not run)\s.*\](?P<rest>.*)$")


@dataclass
class Result:
    status: str
    about: str = ""

    @property
    def passed(self) -> bool:
        return self.status == "pass"


def file_of(tests: Path, name: str) -> Path:
    return tests / name if name.isdigit() else tests / "tests" / name


def all_of(tree: Path):
    """Each iotest of a QEMU tree that touches bitmaps, or jobs that are built on them."""
    tests = tree / "tests" / "qemu-iotests"
    candidates = [f for f in tests.iterdir() if re.fullmatch(r"\d{3}", f.name)]
    candidates += [f for f in (tests / "tests").iterdir() if not f.name.endswith((".out", ".qcow2", ".raw"))]
    found = [
        f.name for f in candidates
        if f.is_file() and (any(Path(f.name).match(p) for p in BESIDES) or TOUCHES.search(f.read_text(errors="replace")))
    ]
    return sorted(set(found) | {name for name in CORE if file_of(tests, name).exists()})


def check(build, names, jobs: int, image_format: str = "qcow2", run: str = "first"):
    """Runs ./check; returns the result of each name. A test of which it says nothing failed."""
    if not names:
        return {}
    work = places.cache() / "iotests" / f"{build.label}-{image_format}-{run}"
    shutil.rmtree(work, ignore_errors=True)
    (work / "scratch").mkdir(parents=True)
    log = work / "check.log"
    # The path of a socket may not be long, the cache folder's may.
    with tempfile.TemporaryDirectory(prefix="qdb-") as sockets:
        env = dict(os.environ, TEST_DIR=str(work / "scratch"), SOCK_DIR=sockets)
        env.pop("QEMU_IOTESTS_REGEN", None)
        command = [build.python, "./check", f"-{image_format}", "-j", str(jobs), *names]
        with log.open("w") as file:
            subprocess.run(
                [str(word) for word in command], cwd=build.folder / "tests" / "qemu-iotests", env=env,
                stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, check=False,
            )
    results = {}
    for line in log.read_text(errors="replace").replace("\r", "\n").splitlines():
        found = LINE.match(line)
        if found and found["name"] in names:
            results[found["name"]] = Result(found["status"], " ".join(found["rest"].split()))
    for name in names:
        results.setdefault(name, Result("fail", "./check did not tell a result"))
    if not all(result.passed for result in results.values()):
        say.note(f"what ./check said is in {log}")
    return results


def check_patiently(build, names, jobs: int, image_format: str):
    """As check; what failed is run once more, alone. Some of QEMU's tests race with their own
    servers on a busy machine. That it took two runs stays visible."""
    results = check(build, names, jobs, image_format)
    for name in [name for name, result in results.items() if result.status == "fail"]:
        say.note(f"{name} failed: once more, alone")
        again = check(build, [name], 1, image_format, f"again-{name}")[name]
        if again.passed:
            results[name] = Result("pass", f"{again.about} (at the second run; the first: {results[name].about})")
    return results


def unit_test(build, name: str, timeout: int = 300):
    """Runs a glib test program; returns (passed, all, output)."""
    program = build.program(f"tests/unit/{name}")
    env = dict(os.environ, G_TEST_SRCDIR=str(program.parent), G_TEST_BUILDDIR=str(program.parent))
    try:
        done = subprocess.run(
            [program, "--tap", "-k"], env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            errors="replace", timeout=timeout, check=False,
        )
        output, code = done.stdout + done.stderr, done.returncode
    except subprocess.TimeoutExpired:
        output, code = f"no end after {timeout} s", -1
    good = re.findall(r"^ok \d+(?!.*# SKIP)", output, re.M)
    plan = re.search(r"^1\.\.(\d+)$", output, re.M)
    total = int(plan[1]) if plan else 0
    if code != 0 and len(good) == total:
        total += 1
    return len(good), total, output
