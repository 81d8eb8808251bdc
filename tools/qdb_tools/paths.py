# SPDX-License-Identifier: GPL-2.0-or-later
"""Where things are: this repository, the cache, and the QEMU versions that are known."""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from qdb_tools import log

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"
INCLUDE = ROOT / "include"
HEADER = INCLUDE / "qemu_dirty_bitmap.h"
SYMBOLS = INCLUDE / "qemu_dirty_bitmap.symbols"
DROPIN = ROOT / "qemu" / "dropin"
MEMORY = Path("/dev/shm")
# Each version and the Debian suite that has it.
SUITES = {"7.2": "bookworm", "10.0": "trixie", "10.2": "sid"}
DEFAULT = "10.0"


def cache(*parts: str) -> Path:
    """A folder of the cache; it is made if it is not there."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(os.environ.get("QDB_CACHE") or Path(base) / "qemu-dirty-bitmap").joinpath(*parts)
    folder.mkdir(parents=True, exist_ok=True)
    return folder.resolve()


@contextlib.contextmanager
def fresh(folder: Path, stamp: Path, wanted: str) -> Iterator[bool]:
    """Whether a folder has to be made: it is empty then. When it is, its stamp says what it is."""
    needed = not folder.is_dir() or not stamp.is_file() or stamp.read_text() != wanted
    if needed:
        stamp.unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    yield needed
    if needed:
        stamp.write_text(wanted)


@contextlib.contextmanager
def lock(name: str) -> Iterator[None]:
    """Keeps other commands away from a part of the cache."""
    # The lock goes with the file, also if this process is killed; children do not inherit it.
    with (cache("locks") / name).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.note(f"another command is at work on {name} in {cache()}: waiting for its end")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A folder in the cache, for files too large for memory; it goes when the block ends."""
    with tempfile.TemporaryDirectory(prefix="qdb-", dir=cache()) as folder:
        yield Path(folder)


def fast_folder(needed: int) -> tempfile.TemporaryDirectory[str]:
    """A folder in memory where there is room for twice `needed` bytes: QEMU waits for disks."""
    usable = os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free >= 2 * needed
    return tempfile.TemporaryDirectory(prefix="qdb-", dir=MEMORY if usable else cache())
