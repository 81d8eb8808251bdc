# SPDX-License-Identifier: GPL-2.0-or-later
"""The trace events of the drop-in object are those of QEMU's C: hbitmap_set, hbitmap_reset.

Random calls on HBitmaps and dirty bitmaps of several granularities (tests/dropin/trace-log.c): the
same program, linked with QEMU's two C files and with the object, prints the same lines.
"""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from qdb_tools import build, paths
from qdb_tools.process import run

TESTS = paths.ROOT / "tests" / "dropin"
CALLS = 2000
# What a sequence must have in it, or it proves nothing: what only a merge or a truncate tells.
WANTED = {
    "a set for each area of a merge": r"^merge \d \d \d\nset ",
    "of a merge of dirty bitmaps": r"^merge dirty .*\nset ",
    "a reset of what is cut off": r"^truncate \d+\nreset ",
}


@pytest.fixture(scope="module")
def programs(
    oracle_with: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> list[Path]:
    oracle = oracle_with("-DORACLE_TRACES")
    folder = tmp_path_factory.mktemp("traces")
    stock, ours = folder / "on-c", folder / "on-library"
    flags = ["-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", "-Werror", f"-I{paths.INCLUDE}"]
    common = ["gcc", *flags, TESTS / "trace-log.c", TESTS / "traces.c"]
    shared = [oracle / "libqemu-dirty-bitmap-oracle.so", f"-Wl,-rpath,{oracle}"]
    run([*common, *shared, "-o", stock])
    system = ["-lpthread", "-lm", "-ldl", "-lgcc_s"]
    host = [TESTS / "host.c", f"-I{TESTS}/qemu"]
    run([*common, *host, build.drop_in_object(), "-o", ours, *system])
    return [stock, ours]


@pytest.mark.parametrize("seed", range(1, 21))
def test_same_events(programs: list[Path], seed: int) -> None:
    theirs, ours = (run([program, seed, CALLS]) for program in programs)
    for about, pattern in WANTED.items():
        assert re.search(pattern, theirs, re.M), f"no {about} in what QEMU's C tells"
    assert ours.splitlines() == theirs.splitlines()
