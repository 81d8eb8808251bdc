# SPDX-License-Identifier: GPL-2.0-or-later
"""Write the manual pages.

One for each function, from the comments in the header, and qemu_dirty_bitmap(3) about all of them.
"""

import argparse
import datetime
import os
import re
import shutil
from collections.abc import Iterable

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
# Functions that belong together, and refer to each other. Each function is in the first family that
# has its name.
FAMILIES = [
    re.compile(names + "$")
    for names in (
        r"hbitmap_(alloc|free|truncate|granularity)",
        r"hbitmap_(set|reset|reset_all|get|count|empty)",
        r"hbitmap_(next_\w+|status)",
        r"hbitmap_iter_\w+",
        r"hbitmap_merge",
        r"hbitmap_(is_serializable|serial\w+|deserial\w+|sha256)",
        r"bdrv_(create_dirty_bitmap|release\w+|find_dirty_bitmap"
        r"|dirty_bitmap_(first|next|name|size|granularity|truncate)"
        r"|get_default\w+|has_named_bitmaps|query\w+)",
        r"bdrv_(set_dirty|(set|reset)_dirty_bitmap(_locked)?|clear_dirty_bitmap"
        r"|restore_dirty_bitmap|get_dirty_count)",
        r"bdrv_dirty_bitmap_(lock|unlock)",
        r"bdrv_dirty_bitmap_(next_\w+|status|get|get_locked)",
        r"bdrv_(dirty_iter_\w+|set_dirty_iter)",
        r"bdrv_(merge_dirty_bitmap|dirty_bitmap_merge_internal)",
        r"bdrv_(dirty_bitmap_(\w+_successor|abdicate)|reclaim_\w+)",
        r"bdrv_dirty_bitmap_(serial\w+|deserial\w+|sha256)",
        r"bdrv_(enable|disable)_dirty_bitmap(_locked)?",
        r"bdrv_(dirty_bitmap_(enabled|check|readonly|inconsistent|set_busy|set_inconsistent"
        r"|set_readonly)|has_readonly_bitmaps)",
        r"bdrv_(dirty_bitmap_(get_persistence|set_persistence|skip_store)"
        r"|\w+_persistent_dirty_bitmap|\w*can_store\w+|supports\w+)",
        r"qdb_bitmap_\w+",
        r"qdb_check_\w+",
        r"qdb_(node_\w+|version|dirty_info\w+)",
        r"qdb_error_\w+",
    )
]


def literal(code: str) -> str:
    """Text that is to appear letter by letter."""
    code = code.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga")
    return "\\&" + code if code.startswith(".") else code


class Writer:
    """Roff for what the comments say."""

    def __init__(self, known: set[str], version: str, date: datetime.date) -> None:
        self.known, self.version, self.date = known, version, date
        self.seen: set[str] = set()  # the pages that the current page refers to
        self.lines: list[str] = []

    def start(self, name: str) -> None:
        self.seen = set()
        self.lines = [
            '.\\" SPDX-License-Identifier: GPL-2.0-or-later',
            '.\\" Made from include/qemu_dirty_bitmap.h. Do not edit.',
            f'.TH {name} 3 {self.date} "qemu-dirty-bitmap {self.version}" "Dirty bitmaps of QEMU"',
        ]

    def prose(self, text: str) -> str:
        """Words of a comment.

        `code` and the names of functions stand out, pages are referred to.
        """

        def mark(match: re.Match[str]) -> str:
            if match["code"]:
                return f"\\fB{literal(match['code'])}\\fP"
            # A name is not to be broken at the end of a line.
            if match["other"]:
                return f"\\%{match['other']}"
            name = match["function"]
            if name in self.known:
                self.seen.add(name)
                return f"\\%\\fB{name}\\fP(3)"
            return f"\\%\\fB{name}\\fP()"

        marked = re.compile(r"`(?P<code>[^`]+)`|\b(?P<function>[a-z]\w+)\(\)|\b(?P<other>\w+_\w+)")
        parts: list[str] = []
        end = 0
        for match in marked.finditer(text):
            parts += [text[end : match.start()].replace("\\", "\\e"), mark(match)]
            end = match.end()
        line = "".join(parts + [text[end:].replace("\\", "\\e")])
        return "\\&" + line if line[:1] in (".", "'") else line

    def say(self, text: str) -> None:
        self.lines.append(self.prose(text))

    def section(self, title: str) -> None:
        self.lines.append(f".SH {title}")

    def subsection(self, title: str) -> None:
        self.lines.append(f'.SS "{title}"')

    def paragraphs(self, texts: list[str]) -> None:
        for number, text in enumerate(texts):
            if number:
                self.lines.append(".PP")
            self.say(text)

    def item(self, head: str, text: str) -> None:
        self.lines += [".TP", f"\\fB{literal(head)}\\fP"]
        self.say(text)

    def code(self, text: str) -> None:
        # Indented here, because not every program that shows pages knows .EX.
        self.lines += [
            ".nf",
            "\\fB" + "\n".join(literal(line) for line in text.splitlines()) + "\\fP",
            ".fi",
        ]

    def program(self, text: str) -> None:
        self.lines += [".nf", *(literal(line) for line in text.splitlines()), ".fi"]

    def see_also(self, names: Iterable[str]) -> None:
        self.section('"SEE ALSO"')
        names = sorted(names)
        self.lines += [f".BR {name} (3){',' if name != names[-1] else ''}" for name in names]

    def text(self) -> str:
        return "\n".join(self.lines) + "\n"


def prototype(code: str) -> str:
    """A function's declaration, laid out for a terminal."""
    one_line = " ".join(code.split()).replace("( ", "(")
    if len(one_line) <= 68:
        return one_line
    head, _, rest = one_line.partition("(")
    return f"{head}(\n    " + rest.replace(", ", ",\n    ")


def summary(text: list[str]) -> str:
    """The first sentence, or the part of it that makes sense alone, without its end."""
    for end in re.finditer(r"[.:;](?= |$)", text[0]):
        first = text[0][: end.start()]
        if first.count("(") == first.count(")"):
            break
    word = first.split()[0]
    return first if word.isupper() or "_" in word else first[0].lower() + first[1:]


def split_off(texts: list[str]) -> tuple[list[str], str, str]:
    """The text without what it says of locks and of QEMU's sources, and these two."""
    found = {"Lock": "", "QEMU": ""}
    kept = []
    for text in texts:
        match = re.search(
            r"(?:^|(?<=\. ))(?:Lock: (?P<lock>.*?))?"
            r"(?:(?:^|(?<=\. )|(?<=\.))\s*QEMU: (?P<qemu>.*))?$",
            text,
        )
        if match and match["lock"]:
            found["Lock"] = match["lock"].strip()
        if match and match["qemu"]:
            found["QEMU"] = match["qemu"].strip()
        rest = text[: match.start()].strip() if match else text
        if rest:
            kept.append(rest)
    return kept, found["Lock"], found["QEMU"]


def family(name: str) -> int:
    """The number of the family that a function is in."""
    for number, names in enumerate(FAMILIES):
        if names.match(name):
            return number
    raise SystemExit(f"{name} is in no family: see FAMILIES")


def page(writer: Writer, entry: Entry, relatives: set[str], example: str | None) -> str:
    """The page of a function, with references to its relatives, and a program if there is one."""
    texts, lock, qemu = split_off(entry.text)
    writer.start(entry.name)
    writer.section("NAME")
    # apropos and the like want this line without fonts.
    writer.lines.append(f"{entry.name} \\- {summary(texts).replace('`', '')}")
    writer.section("SYNOPSIS")
    writer.code(f"#include <qemu_dirty_bitmap.h>\n\n{prototype(entry.code)}")
    writer.section("DESCRIPTION")
    writer.paragraphs(texts)
    if entry.parameters:
        writer.section("ARGUMENTS")
        for name, text in entry.parameters.items():
            writer.item(name, text)
    if entry.returns:
        writer.section('"RETURN VALUE"')
        writer.say(entry.returns)
    if lock:
        writer.section("LOCK")
        writer.say(lock[0].upper() + lock[1:])
    if qemu:
        writer.section('"IN QEMU"')
        writer.say(qemu[0].upper() + qemu[1:] if "/" not in qemu.split()[0] else qemu)
    if example:
        writer.section("EXAMPLE")
        writer.program(example)
    writer.see_also((writer.seen | relatives | {OVERVIEW}) - {entry.name})
    return writer.text()


def overview_page(
    writer: Writer, overview: list[str], entries: list[Entry], groups: dict[str, list[str]]
) -> str:
    """The page about the whole library."""
    writer.start(OVERVIEW)
    writer.section("NAME")
    writer.lines.append(f"{OVERVIEW} \\- dirty bitmaps of QEMU: HBitmap and BdrvDirtyBitmap")
    writer.section("SYNOPSIS")
    writer.code(
        "#include <qemu_dirty_bitmap.h>\n\n"
        "cc program.c $(pkg-config --cflags --libs qemu_dirty_bitmap)"
    )
    writer.section("DESCRIPTION")
    # The line that says that the header is generated is not about the library.
    rest = [block for block in overview if "Do not edit" not in block]
    for number, block in enumerate(rest):
        for bullet in re.split(r"^- ", block, flags=re.M) if block.startswith("- ") else [block]:
            words = " ".join(bullet.split())
            if words:
                writer.lines += (
                    [".IP \\(bu 2"] if block.startswith("- ") else [".PP"] if number else []
                )
                writer.say(words)
    functions = {entry.name: entry for entry in entries if entry.kind == "function"}
    writer.section("FUNCTIONS")
    for group, title in GROUPS.items():
        writer.subsection(title)
        for name in groups[group]:
            if name in functions:
                writer.lines += [".TP", f".BR {name} (3)"]
                writer.say(summary(split_off(functions[name].text)[0]))
    writer.section('"TYPES, CONSTANTS AND MACROS"')
    for entry in entries:
        if entry.kind != "function":
            writer.subsection(entry.name)
            writer.code(entry.code)
            writer.lines.append(".PP")
            writer.paragraphs(entry.text)
    return writer.text()


def examples(folder: str, names: Iterable[str]) -> dict[str, str]:
    """The programs in a folder by the functions that they show, each without its first line, the
    licence."""
    found = {}
    for file in sorted(os.listdir(folder)):
        name = file.removesuffix(".c")
        if name not in names:
            raise SystemExit(f"{folder}/{file} is named after no function")
        with open(os.path.join(folder, file), encoding="utf-8") as lines:
            found[name] = lines.read().partition("\n")[2]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--header", required=True)
    parser.add_argument("--symbols", required=True)
    parser.add_argument("--version", required=True)
    parser.add_argument(
        "--examples", required=True, help="folder with a program NAME.c for some of the functions"
    )
    parser.add_argument("output", help="folder; what is in it goes")
    arguments = parser.parse_args()

    overview, entries = header_docs.read(arguments.header)
    names = symbols.read(arguments.symbols)
    complaints = list(header_docs.check(entries, names))
    if complaints:
        raise SystemExit("\n".join(complaints))
    # Builds that are to be the same on every day say which day it is.
    moment = int(os.environ.get("SOURCE_DATE_EPOCH") or os.path.getmtime(arguments.header))
    date = datetime.datetime.fromtimestamp(moment, datetime.UTC).date()
    functions = [entry for entry in entries if entry.kind == "function"]
    writer = Writer({entry.name for entry in functions} | {OVERVIEW}, arguments.version, date)

    families = {entry.name: family(entry.name) for entry in functions}
    programs = examples(arguments.examples, families)
    pages = {}
    for entry in functions:
        relatives = {name for name in families if families[name] == families[entry.name]}
        pages[entry.name] = page(writer, entry, relatives, programs.get(entry.name))
    groups = {group: [name for name in names if names[name] == group] for group in GROUPS}
    pages[OVERVIEW] = overview_page(writer, overview, entries, groups)
    shutil.rmtree(arguments.output, ignore_errors=True)
    os.makedirs(arguments.output)
    for name, text in pages.items():
        with open(os.path.join(arguments.output, f"{name}.3"), "w", encoding="utf-8") as file:
            file.write(text)


if __name__ == "__main__":
    main()
