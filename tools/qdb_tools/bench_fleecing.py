# SPDX-License-Identifier: GPL-2.0-or-later
"""A backup of a running guest through copy-before-write and snapshot-access ("fleecing").

A client asks for the map of the disk's old content over NBD. For each extent QEMU looks whether
the rest of the disk may be read: it searches a full bitmap for a zero (`cbw_snapshot_read_lock`).
A qcow2 disk has an extent for each 32 MiB at least. A backup with `sync=top` asks the same first.
"""

import struct
import time
from pathlib import Path
from typing import Any

from qdb_tools.build import Build
from qdb_tools.log import Failure
from qdb_tools.machine import Daemon
from qdb_tools.process import run
from qdb_tools.qcow2 import Image, numbers

GIB = 1 << 30
LIMIT = 1800  # seconds
COPIED = 1 << 63  # of an entry in qcow2's tables: used once
DISK = "disk.qcow2"
OLD = "nbd+unix:///old?socket=sock"  # what a backup reads


def thin_disk(path: Path, size: int) -> None:
    """A qcow2 disk of `size` bytes with a cluster of data in each GiB."""
    image = Image(size).lay_out()
    first_level = [0] * image.l1_size
    covered = image.cluster * image.cluster // 8  # bytes of disk of an entry of the first level
    for number in range(size // GIB):
        table = image.place(b"", image.cluster)
        data = image.place(b"data" * 1024, image.cluster)
        image.pieces[table + number * 8 % image.cluster] = numbers([data | COPIED])
        first_level[number * GIB // covered] = table | COPIED
    image.pieces[image.l1] = numbers(first_level)
    image.write(path)


def put_filter(daemon: Daemon, **saved: Any) -> None:
    """The disk; above it the filter, which saves what is overwritten in the node that is given,
    and beside that the disk's old content, both exported."""
    disk = {"driver": "qcow2", "file": {"driver": "file", "filename": DISK}}
    above = {"driver": "copy-before-write", "file": "disk", "target": "saved"}
    old = {"driver": "snapshot-access", "file": "filter"}
    for name, node in {"disk": disk, "saved": saved, "filter": above, "old": old}.items():
        daemon.command("blockdev-add", node_name=name, discard="unmap", **node)
    daemon.serve("sock")
    for name in "filter", "old":
        daemon.export(name, name, writable=True)


def map_old_content(build: Build, folder: Path) -> float:
    """Seconds until `qemu-img map` has all extents of the old content."""
    with (folder / DISK).open("rb") as disk:
        size = struct.unpack(">Q", disk.read(32)[24:])[0]
    with Daemon(build.program("storage-daemon/qemu-storage-daemon"), folder, LIMIT) as daemon:
        # Nobody writes here, so nothing is saved there.
        put_filter(daemon, driver="null-co", size=size)
        command = ["timeout", LIMIT, build.program("qemu-img"), "map", "--output=json", OLD]
        begun = time.monotonic()
        extents = run(command, cwd=folder).count("\n")
        took = time.monotonic() - begun
        daemon.quit()
    if extents < 2 * size // GIB:
        raise Failure(f"a map of {extents} extents is not that of the disk")
    return took
