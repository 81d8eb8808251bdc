# SPDX-License-Identifier: GPL-2.0-or-later
"""Write the manual pages: one for each function, from the comments in the header, and
qemu_dirty_bitmap(3) about all of them: man.py HEADER SYMBOLS EXAMPLES VERSION OUTPUT.

EXAMPLES is a folder with a program NAME.c for some of the functions. What is in OUTPUT goes.
"""

import datetime
import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import symbols

OVERVIEW = "qemu_dirty_bitmap"
GROUPS = {
    "hbitmap": "Bitmaps by themselves",
    "bdrv": "Dirty bitmaps of a block node",
    "driver": "Dirty bitmaps that are stored in an image",
    "node": "Block nodes, files and errors, for programs that have no QEMU",
}
# Functions that belong together, and refer to each other, have the same prefix (hbitmap, bdrv, qdb)
# and the same of these in their names: the first that is there.
FAMILIES = r"""merge _iter serial|sha256 successor|abdicate|reclaim _lock$|unlock
(enable|disable)_dirty persist|store_new|skip_store|supports
qdb_bitmap qdb_check qdb_error qdb_
_check|readonly|enabled|busy|inconsistent
next_dirty|next_zero|status|dirty_bitmap_get(_locked)?$
hbitmap_(set|reset|get$|count|empty)|(set|reset|clear|restore)_dirty|dirty_count
hbitmap|bdrv""".split()
# A documentation comment at the start of a line (those of members are indented) and what it is
# about.
COMMENT = re.compile(
    r"^/\*\*(?P<text>.*?)\*/\n(?P<declaration>.*?)"
    r"(?=^/\*\*|^#if|^#endif|^typedef struct \w+ \w+;|\Z)",
    re.M | re.S,
)
COMMENT_OF_ALL = re.compile(r"^/\*\n(.*?)^ \*/\n", re.M | re.S)
TAG = re.compile(r"^@(param|return)\s*", re.M)
EMPTY_LINE = re.compile(r"\n\s*\n")
DECLARED = re.compile(
    r"#define (?P<macro>\w+)|(?:typedef )?(?:struct|enum) (?P<type>\w+) \{"
    r"|extern .*?(?P<variable>\w+);|[\w *]*?\b(?P<function>\w+)\("
)
# Where a paragraph of its own begins, and how.
ABOUT = re.compile(r"(?<=\.) (?=(?:Lock|QEMU): )")
# Code, a function, another name.
MARKED = re.compile(r"`([^`]+)`|\b([a-z]\w+)\(\)|\b(\w+_\w+)|\\")
BOLD = ("\\fB", "\\fP")
REFERENCE = re.compile(r"\\%\\fB(\w+)\\fP\(3\)")


class Entry(NamedTuple):
    """A declaration and what its comment says."""

    name: str
    kind: str  # one that DECLARED names
    code: str
    text: list[str]  # paragraphs
    parameters: dict[str, str]
    returns: str


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
    texts, parameters, returns = paragraphs(before), dict[str, str](), ""
    for tag, rest in zip(tagged[::2], tagged[1::2]):
        # What belongs to a tag ends where a line is empty.
        words, *after = paragraphs(rest)
        texts += after
        if tag == "param":
            name, _, parameters[name] = words.partition(" ")
        else:
            returns = words
    texts = [part for text in texts for part in ABOUT.split(text)]
    return Entry(found[found.lastgroup], found.lastgroup, code, texts, parameters, returns)


def complaints(functions: dict[str, Entry], names: set[str]) -> Iterator[str]:
    """What is not documented, or what is documented and not there."""
    for name in sorted(names - functions.keys()):
        yield f"{name}: is exported, and has no documentation"
    for entry in functions.values():
        if not entry.text:
            yield f"{entry.name}: its documentation says nothing"
        for parameter in entry.parameters:
            if not re.search(rf"\b{parameter}\b", entry.code.partition("(")[2]):
                yield f"{entry.name}: has no parameter {parameter}"


def family(name: str) -> tuple[str, str]:
    return name.split("_")[0], next(words for words in FAMILIES if re.search(words, name))


def literal(code: str) -> str:
    """Text that is to appear letter by letter."""
    code = code.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga")
    return "\\&" + code if code.startswith(".") else code


def program(text: str, start: str = "", end: str = "") -> str:
    # Not .EX, which not every program that shows pages knows.
    lines = "\n".join(map(literal, text.splitlines()))
    return f".nf\n{start}{lines}{end}\n.fi"


def section(title: str, text: str) -> str:
    return f".SH {title}\n{text}\n" if text else ""


def prototype(code: str) -> str:
    """A function's declaration, laid out for a terminal."""
    one_line = " ".join(code.split()).replace("( ", "(")
    if len(one_line) <= 68:
        return one_line
    head, _, rest = one_line.partition("(")
    return f"{head}(\n    " + rest.replace(", ", ",\n    ")


def summary(texts: list[str]) -> str:
    """The first sentence, or the part of it that makes sense alone, without its end."""
    for end in re.finditer(r"[.:;](?= |$)", texts[0]):
        first = texts[0][: end.start()]
        if first.count("(") == first.count(")"):
            break
    word = first.split()[0]
    return first if word.isupper() or "_" in word else first[0].lower() + first[1:]


class Pages:
    def __init__(self, entries: list[Entry], title: str) -> None:
        self.entries, self.title = entries, title
        self.functions = {entry.name: entry for entry in entries if entry.kind == "function"}

    def head(self, name: str, about: str, code: str) -> str:
        licence = '.\\" SPDX-License-Identifier: GPL-2.0-or-later'
        origin = '.\\" Made from include/qemu_dirty_bitmap.h. Do not edit.'
        title = f"{licence}\n{origin}\n.TH {name} 3 {self.title}\n"
        shown = program(f"#include <qemu_dirty_bitmap.h>\n\n{code}", *BOLD)
        return title + section("NAME", f"{name} \\- {about}") + section("SYNOPSIS", shown)

    def mark(self, match: re.Match[str]) -> str:
        code, function, name = match.groups()
        if code:
            return f"\\fB{literal(code)}\\fP"
        # A name is not to be broken at the end of a line.
        if function:
            return f"\\%\\fB{function}\\fP({'3' if function in self.functions else ''})"
        return f"\\%{name}" if name else "\\e"

    def prose(self, text: str) -> str:
        """Words of a comment: code and the names of functions stand out, pages are referred to."""
        line = re.sub("^(Lock|QEMU):", r"\\fB\1:\\fP", MARKED.sub(self.mark, text))
        return "\\&" + line if line[:1] in (".", "'") else line

    def paragraphs(self, texts: list[str]) -> str:
        return "\n.PP\n".join(map(self.prose, texts))

    def page(self, entry: Entry, example: str | None) -> str:
        """All that is said of a function, and a program if there is one."""
        # apropos and the like want this line without fonts.
        about = summary(entry.text).replace("`", "")
        arguments = [f"{literal(n)}\\fP\n{self.prose(t)}" for n, t in entry.parameters.items()]
        text = self.head(entry.name, about, prototype(entry.code))
        text += section("DESCRIPTION", self.paragraphs(entry.text))
        text += section("ARGUMENTS", "\n".join(f".TP\n\\fB{argument}" for argument in arguments))
        text += section('"RETURN VALUE"', self.prose(entry.returns))
        text += section("EXAMPLE", program(example) if example else "")
        names = {OVERVIEW, *REFERENCE.findall(text)}
        names |= {name for name in self.functions if family(name) == family(entry.name)}
        references = [f".BR {name} (3)" for name in sorted(names - {entry.name})]
        return text + section('"SEE ALSO"', ",\n".join(references))

    def overview(self, comment: str, names: dict[str, str]) -> str:
        """The page about the whole library; `names` and their groups."""
        compiling = "cc program.c $(pkg-config --cflags --libs qemu_dirty_bitmap)"
        about = "dirty bitmaps of QEMU: HBitmap and BdrvDirtyBitmap"
        description, functions, types = "", "", ""
        for block in EMPTY_LINE.split(comment):
            bullets = re.split(r"^- ", block, flags=re.M)[1:] if block.startswith("- ") else []
            for text in bullets or [block]:
                words = self.prose(" ".join(text.split()))
                # The line that says that the header is generated is not about the library.
                if "Do not edit" not in text:
                    start = ".IP \\(bu 2\n" if bullets else ".PP\n" if description else ""
                    description += f"{start}{words}\n"
        for group, title in GROUPS.items():
            functions += f'.SS "{title}"\n'
            for name in [name for name in names if names[name] == group and name in self.functions]:
                short = self.prose(summary(self.functions[name].text))
                functions += f".TP\n.BR {name} (3)\n{short}\n"
        for entry in self.entries:
            if entry.kind != "function":
                shown = f"{program(entry.code, *BOLD)}\n.PP\n{self.paragraphs(entry.text)}"
                types += f'.SS "{entry.name}"\n{shown}\n'
        text = self.head(OVERVIEW, about, compiling) + f".SH DESCRIPTION\n{description}"
        return text + f'.SH FUNCTIONS\n{functions}.SH "TYPES, CONSTANTS AND MACROS"\n{types}'


def main(header: str, listed: str, examples: str, version: str, output: str) -> None:
    text, names = Path(header).read_text(), symbols.read(listed)
    # A comment is about the declaration that follows it at once.
    entries = [
        entry(without_stars(found["text"]), EMPTY_LINE.split(found["declaration"])[0].rstrip())
        for found in COMMENT.finditer(text)
    ]
    # Builds that are to be the same on every day say which day it is.
    moment = int(os.environ.get("SOURCE_DATE_EPOCH") or os.path.getmtime(header))
    date = datetime.datetime.fromtimestamp(moment, datetime.UTC).date()
    title = f'{date} "qemu-dirty-bitmap {version}" "Dirty bitmaps of QEMU"'
    pages = Pages(entries, title)
    variables = re.findall(r"(\w+);", "".join(e.code for e in entries if e.kind == "variable"))
    if wrong := list(complaints(pages.functions, names.keys() - set(variables))):
        raise SystemExit("\n".join(wrong))
    # Without its first line, which has the licence.
    programs = {p.stem: p.read_text().partition("\n")[2] for p in Path(examples).iterdir()}
    if unknown := programs.keys() - pages.functions:
        raise SystemExit(f"{examples}: named after no function: {', '.join(unknown)}")

    overview = COMMENT_OF_ALL.findall(text)[0]
    texts = {OVERVIEW: pages.overview(without_stars(overview), names)}
    for name, function in pages.functions.items():
        texts[name] = pages.page(function, programs.get(name))
    shutil.rmtree(output, ignore_errors=True)
    os.makedirs(output)
    for name, page in texts.items():
        Path(output, f"{name}.3").write_text(page)


if __name__ == "__main__":
    main(*sys.argv[1:])
