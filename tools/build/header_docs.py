# SPDX-License-Identifier: GPL-2.0-or-later
"""The declarations in include/qemu_dirty_bitmap.h, each with the comment before it."""

import dataclasses
import re
from collections.abc import Iterator, Set
from pathlib import Path

# A documentation comment at the start of a line (those of members are indented) and what it is
# about.
COMMENT = re.compile(
    r"^/\*\*(?P<text>.*?)\*/\n(?P<declaration>.*?)"
    r"(?=^/\*\*|^#if|^#endif|^typedef struct \w+ \w+;|\Z)",
    re.M | re.S,
)
OVERVIEW = re.compile(r"^/\*\n(.*?)^ \*/\n", re.M | re.S)
TAG = re.compile(r"^@(param|return)\s*", re.M)
EMPTY_LINE = re.compile(r"\n\s*\n")
DECLARED = re.compile(
    r"#define (?P<macro>\w+)|(?:typedef )?(?:struct|enum) (?P<type>\w+) \{"
    r"|extern .*?(?P<variable>\w+);|[\w *]*?\b(?P<function>\w+)\("
)


@dataclasses.dataclass
class Entry:
    """A declaration and what its comment says."""

    name: str
    kind: str  # one that DECLARED names
    code: str
    text: list[str]  # paragraphs
    parameters: dict[str, str] = dataclasses.field(default_factory=dict)
    returns: str = ""


def without_stars(comment: str) -> str:
    """The text of a comment, without what makes it one."""
    return re.sub(r"^ ?\* ?", "", comment.strip("\n"), flags=re.M).strip()


def paragraphs(text: str) -> list[str]:
    return [" ".join(block.split()) for block in EMPTY_LINE.split(text) if block.strip()]


def entry(comment: str, code: str) -> Entry:
    found = DECLARED.match(code)
    if not found or not found.lastgroup:
        raise SystemExit(f"a comment, but of what? {comment[:60]!r}")
    before, *tagged = TAG.split(comment)
    made = Entry(found[found.lastgroup], found.lastgroup, code, paragraphs(before))
    for tag, rest in zip(tagged[::2], tagged[1::2]):
        # What belongs to a tag ends where a line is empty.
        words, *after = paragraphs(rest)
        made.text += after
        if tag == "param":
            name, _, made.parameters[name] = words.partition(" ")
        else:
            made.returns = words
    return made


def read(path: str) -> tuple[list[str], list[Entry]]:
    """The overview (its paragraphs, lists as they stand) and the entries of the header, in its
    order."""
    text = Path(path).read_text()
    found = OVERVIEW.search(text)
    # A comment is about the declaration that follows it at once.
    return EMPTY_LINE.split(without_stars(found[1])) if found else [], [
        entry(without_stars(match["text"]), EMPTY_LINE.split(match["declaration"])[0].rstrip())
        for match in COMMENT.finditer(text)
    ]


def check(entries: list[Entry], names: Set[str]) -> Iterator[str]:
    """What is not documented, or what is documented and not there: complaints."""
    functions = {entry.name: entry for entry in entries if entry.kind == "function"}
    variables = " ".join(entry.code for entry in entries if entry.kind == "variable")
    for name in sorted(names - functions.keys() - set(re.findall(r"(\w+);", variables))):
        yield f"{name}: is exported, and has no documentation"
    for entry in functions.values():
        if not entry.text:
            yield f"{entry.name}: its documentation says nothing"
        for parameter in entry.parameters:
            if not re.search(rf"\b{parameter}\b", entry.code.partition("(")[2]):
                yield f"{entry.name}: has no parameter {parameter}"
