# SPDX-License-Identifier: GPL-2.0-or-later
"""A table of docs/reliability.md: how much unsafe code there is.

A block is `unsafe { ... }`. Its lines are those from its opening to its closing brace that have
code. Lines of code are lines that are neither empty nor comment, without `#[cfg(test)]` modules in
files of their own (tests.rs). That each block and impl has a SAFETY comment is clippy's to see
(undocumented_unsafe_blocks, denied in Cargo.toml).
"""

import re
from collections import Counter, defaultdict

from qdb_tools import paths

from generators import Files, parts

DOCUMENT = paths.ROOT / "docs" / "reliability.md"
BEGIN = """<!-- made by tools/generate unsafe-count -->
| where | lines of code | unsafe blocks | lines in them | share | unsafe fn | unsafe impl |
| --- | --- | --- | --- | --- | --- | --- |
"""
# Where pointers of C programs arrive; everything else is inside.
EDGE = ("src/ffi/", "src/host/")
# Counted apart from the rest of its folder: code for the vector units of a processor.
VECTORS = "src/hbitmap/words/"
NO_CODE = re.compile(
    r"""//[^\n]*|/\*.*?\*/|b?r(\#*)".*?"\1|c?b?"(?:\\.|[^"\\])*"|b?'(?:\\.[^']*|[^'\\])'""", re.S
)


def count(text: str) -> Counter[str]:
    # Comments and strings become blank.
    text = NO_CODE.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)
    code = {number for number, line in enumerate(text.splitlines()) if line.strip()}
    blocks = list(re.finditer(r"\bunsafe\s*\{", text))
    covered: set[int] = set()
    for block in blocks:
        depth, end = 1, block.end()
        while depth:
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            end += 1
        covered.update(range(text.count("\n", 0, block.start()), text.count("\n", 0, end) + 1))
    return Counter(
        code=len(code),
        blocks=len(blocks),
        lines=len(code & covered),
        # With a name: not the types of functions. A block of foreign functions counts as one.
        functions=len(re.findall(r"\bunsafe\s+(?:extern\s+)?fn\s+\w", text)),
        impls=len(re.findall(r"\bunsafe\s+impl\b", text)),
    )


def make() -> Files:
    groups: dict[str, Counter[str]] = defaultdict(Counter)
    inside = Counter[str]()
    for path in sorted((paths.ROOT / "src").rglob("*.rs")):
        name = path.relative_to(paths.ROOT).as_posix()
        if "/tests/" in name or path.name == "tests.rs":
            continue
        numbers = count(path.read_text())
        groups[re.findall(rf"^{VECTORS}|^src/(?:\w+/)?", name)[0]].update(numbers)
        if not name.startswith(EDGE):
            inside.update(numbers)
    total = sum(groups.values(), Counter[str]())
    rows = ""
    for name, n in (*groups.items(), ("outside of src/ffi/ and src/host/", inside), ("all", total)):
        share = f"{100 * n['lines'] / max(n['code'], 1):.1f} %"
        cells = [name, n["code"], n["blocks"], n["lines"], share, n["functions"], n["impls"]]
        rows += f"| {' | '.join(map(str, cells))} |\n"
    top, _, rest = parts(DOCUMENT.read_text(), BEGIN, "<!-- until here -->", DOCUMENT)
    return {DOCUMENT: top + rows + rest}
