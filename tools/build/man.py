# SPDX-License-Identifier: GPL-2.0-or-later
"""Write the manual pages: one for each function, from the comments in the header, and
qemu_dirty_bitmap(3) about all of them."""

import argparse
import datetime
import os
import re
import shutil
from pathlib import Path

import header_docs
import symbols
from header_docs import Entry

OVERVIEW = "qemu_dirty_bitmap"
GROUPS = {
    "hbitmap": "Bitmaps by themselves",
    "bdrv": "Dirty bitmaps of a block node",
    "driver": "Dirty bitmaps that are stored in an image",
    "node": "Block nodes, files and errors, for programs that have no QEMU",
}
# Functions that belong together, and refer to each other: a family a line (or two). Each function
# is in the first family that has its name.
FAMILIES = r"""
hbitmap_(alloc|free|truncate|granularity)
hbitmap_(set|reset|reset_all|get|count|empty)
hbitmap_(next_\w+|status)
hbitmap_iter_\w+
hbitmap_merge
hbitmap_(is_serializable|serial\w+|deserial\w+|sha256)
bdrv_(create_dirty_bitmap|release\w+|find_dirty_bitmap|get_default\w+|has_named_bitmaps|query\w+
    |dirty_bitmap_(first|next|name|size|granularity|truncate))
bdrv_(set_dirty|(set|reset)_dirty_bitmap(_locked)?|(clear|restore)_dirty_bitmap|get_dirty_count)
bdrv_dirty_bitmap_(lock|unlock)
bdrv_dirty_bitmap_(next_\w+|status|get|get_locked)
bdrv_(dirty_iter_\w+|set_dirty_iter)
bdrv_(merge_dirty_bitmap|dirty_bitmap_merge_internal)
bdrv_(dirty_bitmap_(\w+_successor|abdicate)|reclaim_\w+)
bdrv_dirty_bitmap_(serial\w+|deserial\w+|sha256)
bdrv_(enable|disable)_dirty_bitmap(_locked)?
bdrv_(dirty_bitmap_(enabled|check|readonly|inconsistent|set_busy|set_inconsistent|set_readonly)
    |has_readonly_bitmaps)
bdrv_(dirty_bitmap_(get_persistence|set_persistence|skip_store)
    |\w+_persistent_dirty_bitmap|\w*can_store\w+|supports\w+)
qdb_bitmap_\w+
qdb_check_\w+
qdb_(node_\w+|version|dirty_info\w+)
qdb_error_\w+
"""
# Code, a function, another name.
MARKED = re.compile(r"`([^`]+)`|\b([a-z]\w+)\(\)|\b(\w+_\w+)|\\")
REFERENCE = re.compile(r"\\%\\fB(\w+)\\fP\(3\)")


def family(name: str) -> int:
    """The number of the family that a function is in."""
    for number, names in enumerate(re.sub(r"\n +", "", FAMILIES).split()):
        if re.fullmatch(names, name):
            return number
    raise SystemExit(f"{name} is in no family: see FAMILIES")


def literal(code: str) -> str:
    """Text that is to appear letter by letter."""
    code = code.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga")
    return "\\&" + code if code.startswith(".") else code


def program(text: str) -> list[str]:
    # Not .EX, which not every program that shows pages knows.
    return [".nf", *map(literal, text.splitlines()), ".fi"]


def synopsis(text: str) -> list[str]:
    first, *lines, last = program(text)
    return [first, "\\fB" + "\n".join(lines) + "\\fP", last]


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


def split_off(texts: list[str]) -> tuple[list[str], dict[str, str]]:
    """The text without what it says of locks and of QEMU's sources, and these two sections."""
    kept, sections = [], {"LOCK": "", '"IN QEMU"': ""}
    for text in texts:
        before, *tagged = re.split(r"(?:^|(?<=\.) )(Lock|QEMU): ", text)
        kept += [before] if before else []
        for tag, words in zip(tagged[::2], tagged[1::2]):
            # A file's name begins as it does.
            first = words[0] if "/" in words.split()[0] else words[0].upper()
            sections["LOCK" if tag == "Lock" else '"IN QEMU"'] = first + words[1:]
    return kept, sections


class Pages:
    """The pages, each of them lines of roff."""

    def __init__(self, entries: list[Entry], title: str) -> None:
        self.entries, self.title = entries, title
        self.functions = {entry.name: entry for entry in entries if entry.kind == "function"}

    def head(self, name: str, about: str) -> list[str]:
        licence = '.\\" SPDX-License-Identifier: GPL-2.0-or-later'
        origin = '.\\" Made from include/qemu_dirty_bitmap.h. Do not edit.'
        title = f".TH {name} 3 {self.title}"
        return [licence, origin, title, ".SH NAME", f"{name} \\- {about}", ".SH SYNOPSIS"]

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
        line = MARKED.sub(self.mark, text)
        return "\\&" + line if line[:1] in (".", "'") else line

    def paragraphs(self, texts: list[str]) -> list[str]:
        return "\n.PP\n".join(map(self.prose, texts)).splitlines()

    def page(self, entry: Entry, example: str | None) -> list[str]:
        """All that is said of a function, and a program if there is one."""
        texts, about = split_off(entry.text)
        # apropos and the like want this line without fonts.
        lines = self.head(entry.name, summary(texts).replace("`", ""))
        lines += synopsis(f"#include <qemu_dirty_bitmap.h>\n\n{prototype(entry.code)}")
        lines += [".SH DESCRIPTION", *self.paragraphs(texts)]
        lines += [".SH ARGUMENTS"] if entry.parameters else []
        for name, text in entry.parameters.items():
            lines += [".TP", f"\\fB{literal(name)}\\fP", self.prose(text)]
        for title, text in {'"RETURN VALUE"': entry.returns, **about}.items():
            lines += [f".SH {title}", self.prose(text)] if text else []
        lines += [".SH EXAMPLE", *program(example)] if example else []
        names = {OVERVIEW, *REFERENCE.findall("\n".join(lines))}
        names |= {name for name in self.functions if family(name) == family(entry.name)}
        last = ",\n".join(f".BR {name} (3)" for name in sorted(names - {entry.name}))
        return [*lines, '.SH "SEE ALSO"', last]

    def overview(self, blocks: list[str], names: dict[str, str]) -> list[str]:
        """The page about the whole library; `names` and their groups."""
        lines = self.head(OVERVIEW, "dirty bitmaps of QEMU: HBitmap and BdrvDirtyBitmap")
        compiling = "cc program.c $(pkg-config --cflags --libs qemu_dirty_bitmap)"
        lines += synopsis(f"#include <qemu_dirty_bitmap.h>\n\n{compiling}")
        lines.append(".SH DESCRIPTION")
        # The line that says that the header is generated is not about the library.
        blocks = [block for block in blocks if "Do not edit" not in block]
        for number, block in enumerate(blocks):
            bullets = re.split(r"^- ", block, flags=re.M)[1:] if block.startswith("- ") else []
            for text in bullets or [block]:
                lines += [".IP \\(bu 2"] if bullets else [".PP"] if number else []
                lines.append(self.prose(" ".join(text.split())))
        lines.append(".SH FUNCTIONS")
        for group, title in GROUPS.items():
            lines.append(f'.SS "{title}"')
            for name in [name for name in names if names[name] == group and name in self.functions]:
                about = summary(split_off(self.functions[name].text)[0])
                lines += [".TP", f".BR {name} (3)", self.prose(about)]
        lines.append('.SH "TYPES, CONSTANTS AND MACROS"')
        for entry in self.entries:
            if entry.kind != "function":
                lines += [f'.SS "{entry.name}"', *synopsis(entry.code), ".PP"]
                lines += self.paragraphs(entry.text)
        return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for option in ("--header", "--symbols", "--version"):
        parser.add_argument(option, required=True)
    about = "folder with a program NAME.c for some of the functions"
    parser.add_argument("--examples", required=True, type=Path, help=about)
    parser.add_argument("output", type=Path, help="folder; what is in it goes")
    arguments = parser.parse_args()

    overview, entries = header_docs.read(arguments.header)
    names = symbols.read(arguments.symbols)
    if complaints := list(header_docs.check(entries, names.keys())):
        raise SystemExit("\n".join(complaints))
    # Builds that are to be the same on every day say which day it is.
    moment = int(os.environ.get("SOURCE_DATE_EPOCH") or os.path.getmtime(arguments.header))
    date = datetime.datetime.fromtimestamp(moment, datetime.UTC).date()
    title = f'{date} "qemu-dirty-bitmap {arguments.version}" "Dirty bitmaps of QEMU"'
    pages = Pages(entries, title)
    # Without its first line, which has the licence.
    files = arguments.examples.iterdir()
    programs = {file.stem: file.read_text().partition("\n")[2] for file in files}
    if unknown := programs.keys() - pages.functions:
        raise SystemExit(f"{arguments.examples}: named after no function: {', '.join(unknown)}")

    texts = {OVERVIEW: pages.overview(overview, names)}
    for name, entry in pages.functions.items():
        texts[name] = pages.page(entry, programs.get(name))
    shutil.rmtree(arguments.output, ignore_errors=True)
    arguments.output.mkdir(parents=True)
    for name, lines in texts.items():
        (arguments.output / f"{name}.3").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
