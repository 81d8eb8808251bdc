# SPDX-License-Identifier: GPL-2.0-or-later
"""The library's locks, in every order in which the steps of its threads can come.

models/ compiles the library's own sources with loom behind its atomics, locks and UnsafeCells, and
plays scenes of two and three threads (models/src/scenes.rs). loom tells of deadlocks, data races,
and of reads that may see what they must not; the scenes of lost writes. Each fault of models/faults
must be found in a copy of the sources by the scene that is there for it.
"""

import os
import re
import shutil
from pathlib import Path

import pytest
from qdb_tools import build, debian, paths
from qdb_tools.process import output, run

MODELS = paths.ROOT / "models"
FAULTS = sorted((MODELS / "faults").glob("*.patch"))
ABOUT = re.compile(r"^Fault: .*\nScene: (.*)\nSays: (.*)$", re.M)


def play(*scene: str, source: Path = paths.ROOT / "src") -> tuple[int, str]:
    """Builds and plays; fails if it does not build."""
    build.need_cargo()
    target = os.environ.get("CARGO_TARGET_DIR") or str(paths.cache("models"))
    env = os.environ | {"CARGO_TARGET_DIR": target, "RUST_BACKTRACE": "0"}
    env["QDB_MODEL_SOURCE"] = str(source)
    run(["cargo", "build", "--locked", "--quiet"], env=env, cwd=MODELS)
    return output([f"{target}/debug/qemu-dirty-bitmap-models", *scene], env=env, timeout=3600)


def test_scenes() -> None:
    assert len(FAULTS) >= 30
    code, said = play()
    passed = re.findall(r"^pass  (\S+): ", said, re.M)
    # If it was cut off, it has not counted.
    assert code == 0 and f"models: {len(passed)} passed, 0 failed" in said and passed, said


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.stem)
def test_planted_fault_is_found(fault: Path) -> None:
    debian.need(["git"], "planting faults")
    # In one folder, so that only what changes is compiled again.
    copy = paths.cache("models-faults") / "src"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(paths.ROOT / "src", copy)
    # Outside of a repository, or git would look for the files in that.
    env = os.environ | {"GIT_CEILING_DIRECTORIES": str(copy.parent)}
    run(["git", "apply", fault], cwd=copy, env=env)
    ((scene, says),) = ABOUT.findall(fault.read_text())
    code, said = play(scene, source=copy)
    assert code != 0 and says in said, said[-3000:]
