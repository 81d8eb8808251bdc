# SPDX-License-Identifier: GPL-2.0-or-later
"""What a guest's write costs in QEMU's block layer: benches/qemu/guest-write.c with real builds.

The program is compiled and linked with the very commands that made one of QEMU's own unit tests,
so it has the build's node, mutex, RCU, coroutines and I/O threads.
"""

import re
import tempfile
from pathlib import Path

from qdb_tools import log, paths, venv
from qdb_tools.build import Build
from qdb_tools.process import run

SOURCE = paths.ROOT / "benches" / "qemu" / "guest-write.c"
TEST = "tests/unit/test-block-iothread"  # it is linked with the block layer and I/O threads
RUNS = 3
LIMIT = 900  # seconds

WHAT = {"record": "bitmaps' part of a write", "write": "whole write"}
BLOCKS = {
    "hot": "4,096 hot blocks",
    "first": "random blocks, first write",
    "again": "random blocks, written before",
}
KINDS = [f"record-{blocks}-{n}" for blocks in BLOCKS for n in (1, 4, 16, 50)]
KINDS += [f"write-hot-{n}" for n in (0, 1, 16, 50)]
ROWS = [f"{kind}-{threads}t" for kind in KINDS for threads in (1, 2)]


def link(build: Build, folder: Path) -> Path:
    """The program, linked with this build."""
    program = folder / build.label
    commands = run(["ninja", "-t", "commands", TEST], cwd=build.folder, env=venv.environment())
    made = [line for line in commands.splitlines() if "/test-block-iothread.c" in line]
    for line in made[0], made[-1]:
        line = re.sub(r"(?<=\s)\S*/test-block-iothread\.c\.o(?=\s|$)", f"{program}.o", line)
        line = re.sub(r"(?<=\s)\S*/test-block-iothread\.c(?=\s|$)", str(SOURCE), line)
        line = re.sub(rf"(?<=\s){TEST}(?=\s|$)", str(program), line)
        run(["sh", "-c", line], cwd=build.folder)
    return program


def name(row: str) -> str:
    what, blocks, bitmaps, threads = row.split("-")
    who = "1 thread" if threads == "1t" else f"{threads[:-1]} I/O threads"
    plural = "" if bitmaps == "1" else "s"
    return f"{WHAT[what]}, {BLOCKS[blocks]}, {bitmaps} bitmap{plural}, {who}"


def measure(builds: list[Build], rounds: int) -> list[tuple[str, list[list[float]]]]:
    """(name, [seconds of stock, seconds of the drop-in] of each round) of each row, in turn."""
    found = {name(row): [[0.0, 0.0] for _ in range(rounds)] for row in ROWS}
    with tempfile.TemporaryDirectory(prefix="qdb-") as folder:
        programs = [link(build, Path(folder)) for build in builds]
        for number in range(rounds):
            log.step(f"a guest's write, round {number + 1} of {rounds}")
            for side in (0, 1) if number % 2 else (1, 0):
                said = run(["timeout", LIMIT, programs[side], RUNS, *ROWS])
                for row, took in map(str.split, said.splitlines()):
                    found[name(row)][number][side] = float(took) * 1e-9
    return list(found.items())
