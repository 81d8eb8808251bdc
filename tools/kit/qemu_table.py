# SPDX-License-Identifier: GPL-2.0-or-later
"""README's part of what tools/bench-qemu measured, made from the table in docs/performance.md.

As a table and as a picture of bars. A test fails if they differ from docs/performance.md.
"""
import re
from xml.sax.saxutils import escape

from . import places, say

DOCUMENT = places.ROOT / "docs" / "performance.md"
README = places.ROOT / "README.md"
PICTURE = places.ROOT / "docs" / "qemu.svg"
BEGIN, END = "<!-- bench:qemu -->\n", "<!-- bench:end -->"
# The rows of README, by their names in docs/performance.md.
NAMES = {
    "the same, read-only": "open an image with 10 bitmaps to read",
    "open and close, 16 TiB, 10 stored bitmaps": "open and close it, to write",
    "`qemu-img bitmap --merge`, 16 TiB, 40 % into 1 %": "merge two bitmaps",
    "`qemu-img bitmap --clear`, 16 TiB, two bitmaps, 40 % and 1 %": "clear a bitmap",
    "`qemu-img bench -w`, 100,000 writes of 4 KiB, bitmaps that record: 50": "100,000 writes, 50 bitmaps",
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


def block(text: str, name) -> str:
    """What stands between the marks in a document."""
    _, found, rest = text.partition(BEGIN)
    if not found or END not in rest:
        raise say.Failure(f"{name} has no place for the table ({BEGIN.strip()})")
    return rest[:rest.index(END)]


def with_block(text: str, name, new: str) -> str:
    block(text, name)
    before, _, rest = text.partition(BEGIN)
    return before + BEGIN + new + rest[rest.index(END):]


def rows(document: str):
    """(README's name, stock, drop-in, ratio) of each of its rows."""
    found = dict()
    for name, *rest in re.findall(r"^\| (.+) \| (.+) \| (.+) \| \*\*(.+)\*\* \|$", block(document, DOCUMENT), re.M):
        found[name] = rest
    missing = NAMES.keys() - found.keys()
    if missing:
        raise say.Failure(f"{DOCUMENT} has no row {', '.join(sorted(missing))}")
    return [(short, *found[name]) for name, short in NAMES.items()]


def markdown(found) -> str:
    lines = ["| QEMU | stock | this | |", "| --- | --- | --- | --- |"]
    lines += [f"| {name} | {stock} | {ours} | {ratio}× |" for name, stock, ours, ratio in found]
    return "\n".join(lines) + "\n"


def picture(found) -> str:
    most = max(2.0, *(float(ratio) for *_, ratio in found))
    same, height = LEFT + round(WIDTH / most), 34 + STEP * len(found)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 860 {height}" role="img">',
        "<!-- SPDX-License-Identifier: GPL-2.0-or-later -->",
        "<!-- Made by tools/bench-qemu. Do not edit. -->",
        "<title>How many times faster QEMU is with this library</title>",
        f"<style>\n{STYLE}\n</style>",
        f'<rect class="page" width="860" height="{height}" rx="6"/>',
    ]
    for number, (name, stock, ours, ratio) in enumerate(found):
        y = 24 + STEP * number
        width = round(WIDTH * float(ratio) / most)
        lines += [
            f'<text class="end" x="{LEFT - 10}" y="{y + 15}">{escape(name)}</text>',
            f'<rect class="bar" x="{LEFT}" y="{y}" width="{width}" height="20" rx="2"/>',
            f'<text x="{LEFT + max(width, same - LEFT) + 8}" y="{y + 15}">{ratio}×: {stock} → {ours}</text>',
        ]
    lines += [
        f'<path class="same" d="M{same} 18V{height - 8}"/>',
        f'<text x="{same}" y="13" style="text-anchor:middle">same as QEMU\'s C</text>',
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def write() -> None:
    """Brings README and its picture up to date with docs/performance.md."""
    found = rows(DOCUMENT.read_text())
    README.write_text(with_block(README.read_text(), README, markdown(found)))
    PICTURE.write_text(picture(found))
