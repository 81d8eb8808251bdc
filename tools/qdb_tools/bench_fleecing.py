# SPDX-License-Identifier: GPL-2.0-or-later
"""A backup of a running guest through copy-before-write and snapshot-access ("fleecing").

A client asks for the map of the disk's old content over NBD. For each extent QEMU looks whether
the rest of the disk may be read: it searches a full bitmap for a zero (`cbw_snapshot_read_lock` in
block/copy-before-write.c). A qcow2 disk has an extent for each 32 MiB at least. A backup job with
`sync=top` asks the same before it copies anything.
"""

import struct
import time
from pathlib import Path
from typing import Any

from qdb_tools.build import Build
from qdb_tools.log import Failure
from qdb_tools.machine import Daemon
from qdb_tools.process import run
from qdb_tools.qcow2 import Image

GIB = 1 << 30
LIMIT = 1800  # seconds
COPIED = 1 << 63  # of an entry in qcow2's tables: used once
CLIENT = "nbd+unix:///old?socket=sock"


def thin_disk(path: Path, size: int) -> None:
    """A qcow2 disk of `size` bytes with a cluster of data in each GiB."""
    image = Image(size).lay_out()
    first_level = bytearray(8 * image.l1_size)
    covered = image.cluster * image.cluster // 8  # bytes of disk of an entry of the first level
    for number in range(size // GIB):
        table = image.place(b"", image.cluster)
        data = image.place(b"data" * 1024, image.cluster)
        entry = number * 8 % image.cluster
        image.pieces[table + entry] = struct.pack(">Q", data | COPIED)
        at = number * GIB // covered * 8
        first_level[at : at + 8] = struct.pack(">Q", table | COPIED)
    image.pieces[image.l1] = bytes(first_level)
    image.write(path)


def map_old_content(build: Build, folder: Path) -> float:
    """Seconds until `qemu-img map` has all extents of the old content."""
    with (folder / "disk.qcow2").open("rb") as disk:
        size = struct.unpack(">Q", disk.read(32)[24:])[0]
    file = {"driver": "file", "filename": "disk.qcow2"}
    with Daemon(build.program("storage-daemon/qemu-storage-daemon"), folder, LIMIT) as daemon:
        nodes: list[dict[str, Any]] = [
            {"driver": "qcow2", "node_name": "disk", "file": file},
            # Nobody writes here, so nothing is saved there.
            {"driver": "null-co", "node_name": "saved", "size": size},
            {"driver": "copy-before-write", "node_name": "filter", "file": "disk"}
            | {"target": "saved"},
            {"driver": "snapshot-access", "node_name": "old", "file": "filter"},
        ]
        for node in nodes:
            daemon.command("blockdev-add", **node)
        daemon.command("nbd-server-start", addr={"type": "unix", "data": {"path": "sock"}})
        daemon.command("block-export-add", id="e", type="nbd", node_name="old", name="old")
        command = ["timeout", LIMIT, build.program("qemu-img"), "map", "--output=json", CLIENT]
        begun = time.monotonic()
        extents = run(command, cwd=folder).count("\n")
        took = time.monotonic() - begun
        daemon.quit()
    if extents < 2 * size // GIB:
        raise Failure(f"a map of {extents} extents is not that of the disk")
    return took
