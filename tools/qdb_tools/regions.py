# SPDX-License-Identifier: GPL-2.0-or-later
"""Dirty regions: read from a bitmap over NBD, and drawn for a person."""

import json
import sys
from pathlib import Path

from qdb_tools import log
from qdb_tools.process import run

COLUMNS = 64
Regions = list[tuple[int, int]]


def of_bitmap(qemu_img: Path, socket: Path, export: str, bitmap: str) -> Regions:
    """(start, length) in bytes of each dirty region of an exported bitmap."""
    options = f"driver=nbd,server.type=unix,server.path={socket},export={export},"
    options += f"x-dirty-bitmap=qemu:dirty-bitmap:{bitmap}"
    # qemu-img has no words for a bitmap's state: it shows dirty as "no data".
    areas = json.loads(run([qemu_img, "map", "--output=json", "--image-opts", options]))
    return [(area["start"], area["length"]) for area in areas if not area["data"]]


def by_nbdinfo(socket: Path, export: str, bitmap: str) -> Regions:
    """The same, read by a program that is not QEMU's."""
    words = ["nbdinfo", "--json", f"--map=qemu:dirty-bitmap:{bitmap}"]
    areas = json.loads(run([*words, f"nbd+unix:///{export}?socket={socket}"], timeout=60))
    return [(area["offset"], area["length"]) for area in areas if area["type"] & 1]


def draw(regions: Regions, size: int, cells: int, code: str) -> str:
    """A map of the disk: each cell is size/cells bytes; how full it is shows how dirty it is."""
    cell, covered = size // cells, [0] * cells
    for start, length in regions:
        for i in range(start // cell, (start + length - 1) // cell + 1):
            covered[i] += min(start + length, (i + 1) * cell) - max(start, i * cell)
    # Clean, up to half, more, and all of the cell.
    signs = ["·", *(log.colour(sign, code, sys.stdout) for sign in "░▒█")]
    drawn = [signs[(dirty > 0) + (2 * dirty > cell) + (dirty == cell)] for dirty in covered]
    rows = [(i * cell >> 20, "".join(drawn[i : i + COLUMNS])) for i in range(0, cells, COLUMNS)]
    return "\n".join(f"      {mebibyte:>4} MiB  {row}" for mebibyte, row in rows)
