# SPDX-License-Identifier: GPL-2.0-or-later
"""A folder for files that live shortly: in memory where the machine lets us, because QEMU waits for the disk at each close."""
import os
import signal
import sys
import tempfile
from pathlib import Path

from . import places

SHARED_MEMORY = Path("/dev/shm")


def make(needed: int) -> tempfile.TemporaryDirectory:
    """A folder that goes with the object, also if the tool is told to end. `needed`: the bytes that will be in it at most."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    where = SHARED_MEMORY
    try:
        about = os.statvfs(where)
        if about.f_bavail * about.f_frsize < 2 * needed or not os.access(where, os.W_OK):
            where = places.cache()
    except OSError:
        where = places.cache()
    return tempfile.TemporaryDirectory(prefix="qdb-", dir=where)
