# SPDX-License-Identifier: GPL-2.0-or-later
"""README's part of what `tools/bench --qemu` measured, made from the table in docs/performance.md.

As a table and as a picture of bars, whose frame and style are edited in the picture.
"""

import math
import re
from xml.sax.saxutils import escape

from qdb_tools import paths
from qdb_tools.log import Failure

from generators import Files, parts

DOCUMENT = paths.ROOT / "docs" / "performance.md"
README = paths.ROOT / "README.md"
PICTURE = paths.ROOT / "docs" / "qemu.svg"
BEGIN, END = "<!-- bench:qemu -->\n", "<!-- bench:end -->"
FLEECING = "`qemu-img map` of the old content, fleecing, 4 TiB with data in each GiB"
# The rows of README, by their names in docs/performance.md.
NAMES = {
    "the same, read-only": "open an image with 10 bitmaps to read",
    "open and close, 16 TiB, 10 stored bitmaps": "open and close it, to write",
    "`qemu-img bitmap --merge`, 16 TiB, 40 % into 1 %": "merge two bitmaps",
    FLEECING: "map 4 TiB, fleecing",
    "whole write, 4,096 hot blocks, 50 bitmaps, 1 thread": "a guest's write, 50 bitmaps",
}
LEFT, WIDTH, STEP = 270, 400, 30  # where bars begin, their most, and from one to the next

Row = tuple[str, str, str, str]  # README's name, stock, drop-in, ratio


def with_block(text: str, name: object, new: str) -> str:
    top, _, rest = parts(text, BEGIN, END, name)
    return top + new + rest


def rows(document: str) -> list[Row]:
    table = parts(document, BEGIN, END, DOCUMENT)[1]
    cells = re.findall(r"^\| (.+) \| (.+) \| (.+) \| \*\*(.+)\*\* \|$", table, re.M)
    found = {name: (stock, ours, ratio) for name, stock, ours, ratio in cells}
    if missing := NAMES.keys() - found.keys():
        raise Failure(f"{DOCUMENT} has no row {', '.join(sorted(missing))}")
    return [(short, *found[name]) for name, short in NAMES.items()]


def markdown(found: list[Row]) -> str:
    lines = [f"| {name} | {stock} | {ours} | {ratio}× |\n" for name, stock, ours, ratio in found]
    return "| QEMU | stock | this | |\n| --- | --- | --- | --- |\n" + "".join(lines)


def picture(found: list[Row]) -> str:
    # Logarithmic, and half as fast would have no bar.
    lengths = [max(math.log2(2 * float(ratio)), 0) for *_, ratio in found]
    unit = WIDTH / max(2, *lengths)
    same, height = round(unit), 34 + STEP * len(found)
    frame, _, end = parts(PICTURE.read_text(), 'rx="6"/>\n', "</svg>\n", PICTURE)
    text = re.sub(r'\d+(?=" r)', str(height), frame)  # as high as the rows need
    for y, (name, stock, ours, ratio), length in zip(range(24, height, STEP), found, lengths):
        width = round(unit * length)
        text += f'''\
<text class="end" x="{LEFT - 10}" y="{y + 15}">{escape(name)}</text>
<rect class="bar" x="{LEFT}" y="{y}" width="{width}" height="20" rx="2"/>
<text x="{LEFT + max(width, same) + 8}" y="{y + 15}">{ratio}×: {stock} → {ours}</text>
'''
    return f'''{text}\
<path class="same" d="M{LEFT + same} 18V{height - 8}"/>
<text x="{LEFT + same}" y="13" style="text-anchor:middle">same as QEMU's C</text>
{end}'''


def make() -> Files:
    found = rows(DOCUMENT.read_text())
    table = with_block(README.read_text(), README, markdown(found))
    return {README: table, PICTURE: picture(found)}
