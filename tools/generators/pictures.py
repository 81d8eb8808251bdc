# SPDX-License-Identifier: GPL-2.0-or-later
"""README's part of what `tools/bench --qemu` measured, made from the table in docs/performance.md.

As a table and as a picture of bars. `tools/generate --check pictures` fails if they differ from
docs/performance.md.
"""

import math
import re
from xml.sax.saxutils import escape

from qdb_tools import paths
from qdb_tools.log import Failure

from generators import Files

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
STYLE = """\
text{font:13px sans-serif;fill:#1f2328}
.end{text-anchor:end}
.page{fill:#ffffff}
.bar{fill:#0969da}
.same{stroke:#57606a;stroke-dasharray:4 3}
@media (prefers-color-scheme:dark){
text{fill:#e6edf3}
.page{fill:#0d1117}
.bar{fill:#58a6ff}
.same{stroke:#9198a1}
}"""
LEFT, WIDTH, STEP = 270, 400, 30  # where bars begin, their most, and from one to the next


Row = tuple[str, str, str, str]  # README's name, stock, drop-in, ratio


def block(text: str, name: object) -> str:
    """What stands between the marks in a document."""
    _, found, rest = text.partition(BEGIN)
    if not found or END not in rest:
        raise Failure(f"{name} has no place for the table ({BEGIN.strip()})")
    return rest[: rest.index(END)]


def with_block(text: str, name: object, new: str) -> str:
    block(text, name)
    before, _, rest = text.partition(BEGIN)
    return before + BEGIN + new + rest[rest.index(END) :]


def rows(document: str) -> list[Row]:
    found: dict[str, list[str]] = {}
    for name, *rest in re.findall(
        r"^\| (.+) \| (.+) \| (.+) \| \*\*(.+)\*\* \|$", block(document, DOCUMENT), re.M
    ):
        found[name] = rest
    missing = NAMES.keys() - found.keys()
    if missing:
        raise Failure(f"{DOCUMENT} has no row {', '.join(sorted(missing))}")
    return [(short, *found[name][:3]) for name, short in NAMES.items()]  # type: ignore[misc]


def markdown(found: list[Row]) -> str:
    lines = ["| QEMU | stock | this | |", "| --- | --- | --- | --- |"]
    lines += [f"| {name} | {stock} | {ours} | {ratio}× |" for name, stock, ours, ratio in found]
    return "\n".join(lines) + "\n"


def picture(found: list[Row]) -> str:
    most = max(2.0, *(float(ratio) for *_, ratio in found))

    # Logarithmic, and half as fast would have no bar.
    def length(ratio: float) -> int:
        return round(WIDTH * max(math.log2(2 * ratio), 0) / math.log2(2 * most))

    same, height = LEFT + length(1), 34 + STEP * len(found)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 860 {height}" role="img">',
        "<!-- SPDX-License-Identifier: GPL-2.0-or-later -->",
        "<!-- Made by tools/generate. Do not edit. -->",
        "<title>How many times faster QEMU is with this library</title>",
        f"<style>\n{STYLE}\n</style>",
        f'<rect class="page" width="860" height="{height}" rx="6"/>',
    ]
    for number, (name, stock, ours, ratio) in enumerate(found):
        y = 24 + STEP * number
        width = length(float(ratio))
        lines += [
            f'<text class="end" x="{LEFT - 10}" y="{y + 15}">{escape(name)}</text>',
            f'<rect class="bar" x="{LEFT}" y="{y}" width="{width}" height="20" rx="2"/>',
            f'<text x="{LEFT + max(width, same - LEFT) + 8}" y="{y + 15}">'
            f"{ratio}×: {stock} → {ours}</text>",
        ]
    lines += [
        f'<path class="same" d="M{same} 18V{height - 8}"/>',
        f'<text x="{same}" y="13" style="text-anchor:middle">same as QEMU\'s C</text>',
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def make() -> Files:
    found = rows(DOCUMENT.read_text())
    return {
        README: with_block(README.read_text(), README, markdown(found)),
        PICTURE: picture(found),
    }
