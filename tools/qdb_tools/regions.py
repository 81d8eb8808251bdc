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
    options = f"driver=nbd,server.type=unix,server.path={socket},export={export},x-dirty-bitmap=qemu:dirty-bitmap:{bitmap}"
    # qemu-img has no words for a bitmap's state: it shows dirty as "no data".
    areas = json.loads(run([qemu_img, "map", "--output=json", "--image-opts", options]))
    return [(area["start"], area["length"]) for area in areas if not area["data"]]


def draw(regions: Regions, size: int, cells: int, code: str) -> str:
    """A map of the disk: each cell is size/cells bytes; how full it is shows how dirty it is."""
    cell = size // cells
    covered = [0] * cells
    for start, length in regions:
        first, last = start // cell, (start + length - 1) // cell
        for i in range(first, last + 1):
            covered[i] += min(start + length, (i + 1) * cell) - max(start, i * cell)
    try:
        "·░▒█".encode(sys.stdout.encoding or "ascii")
        signs = "·░▒█"
    except UnicodeEncodeError:
        signs = ".-+#"

    def sign(bytes_dirty: int) -> str:
        if bytes_dirty == 0:
            return signs[0]
        if bytes_dirty == cell:
            return log.colour(signs[3], code, sys.stdout)
        return log.colour(signs[1 if 2 * bytes_dirty <= cell else 2], code, sys.stdout)

    rows = [covered[i : i + COLUMNS] for i in range(0, cells, COLUMNS)]
    return "\n".join(
        f"      {i * COLUMNS * cell >> 20:>4} MiB  {''.join(sign(n) for n in row)}"
        for i, row in enumerate(rows)
    )
