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
FLAGS = "-std=gnu11 -O1 -g -Wall -Wextra -Werror".split()
CALLS = 2000
# What a sequence must have in it, or it proves nothing: what only a merge or a truncate tells.
WANTED = {
    "a set for each area of a merge": r"^merge \d \d \d\nset ",
    "of a merge of dirty bitmaps": r"^merge dirty .*\nset ",
    "a reset of what is cut off": r"^truncate \d+\nreset ",
}


@pytest.fixture(scope="module")
def programs(
    oracle_with: Callable[[str], list[object]], tmp_path_factory: pytest.TempPathFactory
) -> list[Path]:
    made = tmp_path_factory.mktemp("traces")
    common = ["gcc", *FLAGS, f"-I{paths.INCLUDE}", TESTS / "trace-log.c", TESTS / "traces.c"]
    run([*common, *oracle_with("-DORACLE_TRACES"), "-o", made / "on-c"])
    host = [f"-I{TESTS}/qemu", TESTS / "host.c", build.drop_in_object()]
    run([*common, *host, *"-lpthread -lm -ldl -lgcc_s".split(), "-o", made / "on-library"])
    return [made / "on-c", made / "on-library"]


@pytest.mark.parametrize("seed", range(1, 21))
def test_same_events(programs: list[Path], seed: int) -> None:
    theirs, ours = (run([program, seed, CALLS]) for program in programs)
    for about, pattern in WANTED.items():
        assert re.search(pattern, theirs, re.M), f"no {about} in what QEMU's C tells"
    assert ours.splitlines() == theirs.splitlines()
