# SPDX-License-Identifier: GPL-2.0-or-later
"""Threads work on the bitmaps of two nodes; what was written is what is found.

The program is c-tests/stress.c, built against the shared library; meson test runs it for two seconds
each, --stress-seconds for longer. A thread that makes no progress for QDB_STRESS_PATIENCE seconds
(60) is a deadlock. QDB_STRESS_LIBRARY=FILE puts another shared object in the library's place, to see
what becomes of a library that has a fault.
"""

import os
import re

import pytest
from qdb_tools import build
from qdb_tools.process import output


@pytest.mark.parametrize("bitmaps", [2, 8, 16, 50])
def test_stress(bitmaps: int, pytestconfig: pytest.Config) -> None:
    program = build.library("c-tests/test-stress") / "c-tests" / "test-stress"
    env = os.environ | {"QDB_STRESS_SECONDS": str(pytestconfig.getoption("stress_seconds"))}
    if "QDB_STRESS_LIBRARY" in env:
        env["LD_PRELOAD"] = env["QDB_STRESS_LIBRARY"]
    name = f"/stress/{bitmaps}-bitmaps"
    code, said = output([program, "--tap", "-p", name], env=env)
    assert code == 0 and f"ok 1 {name}" in said and "# SKIP" not in said, said[-4000:]
    print(re.findall(r"^# (\d+ bitmaps: .*|\w+: \d+ times)$", said, re.M))
