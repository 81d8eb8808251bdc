# SPDX-License-Identifier: GPL-2.0-or-later
"""Where things are: this repository, the cache, and the QEMU versions that are known."""
import contextlib
import fcntl
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DROPIN = ROOT / "qemu" / "dropin"

# Each version and the Debian suite that has it.
SUITES = {"7.2": "bookworm", "10.0": "trixie", "10.2": "sid"}
DEFAULT = "10.0"

held = {}  # the locks that this process keeps


def cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(os.environ.get("QDB_CACHE") or Path(base) / "qemu-dirty-bitmap")
    folder.mkdir(parents=True, exist_ok=True)
    return folder.resolve()


@contextlib.contextmanager
def lock(name: str):
    """Keeps other tools away from a part of the cache."""
    # The lock goes with the file, also if this process is killed; programs that it starts do not inherit it.
    locks = cache() / "locks"
    locks.mkdir(exist_ok=True)
    with (locks / name).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"    another tool is at work on {name} in {cache()}: waiting for its end", file=sys.stderr, flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def hold(name: str) -> None:
    """As lock, until this process ends."""
    if name not in held:
        held[name] = lock(name)
        held[name].__enter__()
