# SPDX-License-Identifier: GPL-2.0-or-later
"""Two tables of docs/reliability.md: the unsafe code of the library, and the requests for memory
that c-tests/test-fault refuses.

A block is `unsafe { ... }`. Its lines are those from its opening to its closing brace that have code.
Lines of code are lines that are neither empty nor comment, without `#[cfg(test)]` modules in files
of their own (tests.rs). That each block and impl has a SAFETY comment is clippy's to see
(undocumented_unsafe_blocks, denied in Cargo.toml).
"""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from qdb_tools import build, paths
from qdb_tools.log import Failure
from qdb_tools.process import output

from generators import Files

DOCUMENT = paths.ROOT / "docs" / "reliability.md"
END = "<!-- until here -->"
# Where pointers of C programs arrive; everything else is inside.
EDGE = ("ffi", "host")
# Counted apart from the rest of its folder: code for the vector units of a processor.
VECTORS = ("hbitmap", "words")
TOKEN = re.compile(
    r"""//[^\n]*|/\*.*?\*/|b?r(\#*)".*?"\1|c?b?"(?:\\.|[^"\\])*"|b?'(?:\\.[^']*|[^'\\])'|\w+|\S""",
    re.S | re.X,
)
# A test's message comes before its result.
SCENE = re.compile(r"^# (\d+) requests, .*\n^ok \d+ /fault/out-of-memory/(\S+)$", re.M)


def document(name: str, table: str) -> Files:
    """docs/reliability.md with this table between the marks of this name."""
    begin = f"<!-- made by tools/generate {name} -->\n"
    before, found, rest = DOCUMENT.read_text().partition(begin)
    _, ended, after = rest.partition(END)
    if not found or not ended:
        raise Failure(f"{DOCUMENT}: no place for the table of {name}")
    return {DOCUMENT: before + begin + table + END + after}


def tokens(text: str) -> Iterator[tuple[str, int]]:
    """Words and signs with their line, without comments and strings."""
    for match in TOKEN.finditer(text):
        word = match.group()
        if not word.startswith(("//", "/*")) and (word[-1:] not in "\"'" or len(word) == 1):
            yield word, text.count("\n", 0, match.start())


def count(path: Path) -> Counter[str]:
    stream = list(tokens(path.read_text()))
    words = [word for word, _ in stream]
    covered: set[int] = set()
    result = Counter(code=len({line for _, line in stream}))
    for at, word in enumerate(words):
        following = words[at + 1 : at + 4]
        if word != "unsafe":
            continue
        if following[:1] == ["{"]:
            result["blocks"] += 1
            depth, end = 1, at + 2
            while depth:
                depth += {"{": 1, "}": -1}.get(words[end], 0)
                end += 1
            covered.update(line for _, line in stream[at:end])
        elif following[:1] == ["impl"]:
            result["impls"] += 1
        elif "fn" in following and words[at - 1] != ":":
            # `unsafe extern "C" fn` has lost its string. A type of a function is no declaration.
            result["functions"] += words[at + 2 + following.index("fn")] != "("
    result["lines"] = len(covered)
    return result


def unsafe() -> Files:
    groups: dict[str, Counter[str]] = {}
    inside, total = Counter[str](), Counter[str]()
    for path in sorted((paths.ROOT / "src").rglob("*.rs")):
        if path.name == "tests.rs":
            continue
        parts = path.relative_to(paths.ROOT / "src").parts
        numbers = count(path)
        folder = parts[:2] if parts[:2] == VECTORS else parts[:1] if len(parts) > 1 else ()
        groups.setdefault("/".join(("src", *folder)) + "/", Counter()).update(numbers)
        total.update(numbers)
        if parts[0] not in EDGE:
            inside.update(numbers)
    head = ["where", "lines of code", "unsafe blocks", "lines in them", "share"]
    rows = [[*head, "unsafe fn", "unsafe impl"], ["---"] * 7]
    for name, n in (*groups.items(), ("outside of src/ffi/ and src/host/", inside), ("all", total)):
        share = f"{100 * n['lines'] / max(n['code'], 1):.1f} %"
        cells = (name, n["code"], n["blocks"], n["lines"], share, n["functions"], n["impls"])
        rows.append([str(cell) for cell in cells])
    return document("unsafe-count", "".join(f"| {' | '.join(row)} |\n" for row in rows))


def faults() -> Files:
    program = build.library("c-tests/test-fault") / "c-tests" / "test-fault"
    code, said = output([program, "--tap"], stderr=None)
    scenes = {name: int(requests) for requests, name in SCENE.findall(said)}
    if code != 0 or not scenes:
        raise Failure(f"{program} ended with {code}\n{said[-2000:]}")
    rows = {**scenes, "all": sum(scenes.values())}
    table = "| scene | requests for memory |\n| --- | --- |\n"
    return document("fault-count", table + "".join(f"| {n} | {r} |\n" for n, r in rows.items()))
