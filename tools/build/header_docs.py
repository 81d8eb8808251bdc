# SPDX-License-Identifier: GPL-2.0-or-later
"""The documentation in include/qemu_dirty_bitmap.h.

Its declarations, each with the comment before it.
"""

import dataclasses
import re
from collections.abc import Iterable, Iterator

# A documentation comment at the start of a line (those of members are indented) and what it is
# about.
COMMENT = re.compile(
    r"^/\*\*(?P<text>.*?)\*/\n(?P<declaration>.*?)"
    r"(?=^/\*\*|^#if|^#endif|^typedef struct \w+ \w+;|\Z)",
    re.M | re.S,
)
OVERVIEW = re.compile(r"^/\*\n(?P<text>.*?)^ \*/\n", re.M | re.S)
TAG = re.compile(r"^@(param|return)\s*", re.M)


@dataclasses.dataclass
class Entry:
    """A declaration and what its comment says."""

    name: str
    kind: str  # function, type, macro or variable
    code: str
    text: list[str]  # paragraphs
    parameters: dict[str, str] = dataclasses.field(default_factory=dict)
    returns: str = ""


def without_stars(comment: str) -> str:
    """The text of a comment, without what makes it one."""
    return "\n".join(
        re.sub(r"^ ?\* ?", "", line) for line in comment.strip("\n").splitlines()
    ).strip()


def paragraphs(text: str) -> list[str]:
    return [" ".join(block.split()) for block in re.split(r"\n\s*\n", text) if block.strip()]


def declared(code: str) -> tuple[str, str] | None:
    """What a declaration declares: kind and name; None if it is something else."""
    for kind, pattern in (
        ("macro", r"#define (\w+)"),
        ("type", r"typedef (?:struct|enum) (\w+) \{"),
        ("type", r"struct (\w+) \{"),
        ("variable", r"extern .*?(\w+);"),
        ("function", r"[\w *]*?\b(\w+)\("),
    ):
        found = re.match(pattern, code)
        if found:
            return kind, found[1]
    return None


def read_comment(entry: Entry, comment: str) -> None:
    """Sorts a comment into text, parameters and return value."""
    before, *tagged = re.split(TAG, comment)
    entry.text = paragraphs(before)
    for tag, rest in zip(tagged[::2], tagged[1::2]):
        # What belongs to a tag ends where a line is empty.
        own, *after = re.split(r"\n\s*\n", rest, maxsplit=1)
        words = " ".join(own.split())
        if tag == "param":
            name, _, words = words.partition(" ")
            entry.parameters[name] = words
        else:
            entry.returns = words
        for block in after:
            entry.text += paragraphs(block)


def read(path: str) -> tuple[list[str], list[Entry]]:
    """The overview (its paragraphs, lists as they stand) and the entries of the header, in its
    order."""
    with open(path, encoding="utf-8") as file:
        text = file.read()
    found = OVERVIEW.search(text)
    overview = re.split(r"\n\s*\n", without_stars(found["text"])) if found else []
    entries = []
    for match in COMMENT.finditer(text):
        # A comment is about the declaration that follows it at once.
        code = re.split(r"\n\s*\n", match["declaration"])[0].rstrip()
        about = declared(code)
        if not about:
            raise SystemExit(f"{path}: a comment, but of what? {match['text'][:60]!r}")
        entry = Entry(about[1], about[0], code, [])
        read_comment(entry, without_stars(match["text"]))
        entries.append(entry)
    return overview, entries


def check(entries: list[Entry], names: Iterable[str]) -> Iterator[str]:
    """What is not documented, or what is documented and not there: complaints."""
    functions = {entry.name: entry for entry in entries if entry.kind == "function"}
    variables = {
        name
        for entry in entries
        if entry.kind == "variable"
        for name in re.findall(r"(\w+);", entry.code)
    }
    for name in names:
        if name not in functions and name not in variables:
            yield f"{name}: is exported, and has no documentation"
    for entry in functions.values():
        if not entry.text:
            yield f"{entry.name}: its documentation says nothing"
        for parameter in entry.parameters:
            if not re.search(rf"\b{parameter}\b", entry.code.partition("(")[2]):
                yield f"{entry.name}: has no parameter {parameter}"
