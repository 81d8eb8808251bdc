# SPDX-License-Identifier: GPL-2.0-or-later
"""The C glue for one QEMU version, without the #if lines that are there for the others."""

import re
from enum import Enum
from pathlib import Path

from fit.expressions import number

LEFTOVER = r"\bQDB_(?!GLUE_|TRACERS_)[A-Z_]+|QEMU_VERSION_\w+|\bversion\.h"
# Which lines of an #if these are. UNKNOWN: what it asks for is not known here, so all stay.
Branch = Enum("Branch", "UNKNOWN BEFORE TAKEN AFTER")


def without_other_versions(text: str, known: dict[str, int]) -> str:
    """The text without the #if lines whose answer is known, and without what they leave out."""
    kept = ""
    stack: list[Branch] = []
    for line in re.findall(r"(?:.*\\\n)*.*\n?", text):
        found = re.match(r"#\s*(if|ifdef|ifndef|elif|else|endif)\b(.*)", line.replace("\\\n", " "))
        word, condition = found.groups() if found else ("", "")
        answer = number(condition, known)
        branch = stack.pop() if word in ("elif", "else", "endif") else Branch.UNKNOWN
        if word == "if" and isinstance(answer, int):
            branch = Branch.TAKEN if answer else Branch.BEFORE
        elif branch == Branch.BEFORE:
            taken = word == "else" or (isinstance(answer, int) and answer)
            branch = Branch.TAKEN if taken else Branch.BEFORE
        elif branch == Branch.TAKEN:
            branch = Branch.AFTER
        if branch == Branch.UNKNOWN and not {Branch.BEFORE, Branch.AFTER} & {*stack}:
            kept += line
        if word not in ("", "endif"):
            stack.append(branch)
    return kept


def file(folder: Path, version: str, name: str) -> str:
    """A file of qemu/glue as it reads if there is no other QEMU than this one."""
    release = zip(("QEMU_VERSION_MAJOR", "QEMU_VERSION_MINOR"), map(int, version.split(".")))
    here = without_other_versions((folder / "version.h").read_text(), dict(release))
    macros = re.findall(r"^#define (QDB_\w+) (\d)$", here, re.M)
    known = {macro: int(value) for macro, value in macros}
    if not known:
        raise ValueError(f"{folder}/version.h has another form than this tool reads")
    text = without_other_versions((folder / name).read_text(), known)
    # Macros that have become empty.
    for macro in re.findall(r"^#define (\w+)(?<!_H)\n", text, re.M):
        text = re.sub(rf"^#define {macro}\n|\b{macro} ", "", text, flags=re.M)
    text = text.replace('#include "version.h"\n', "")
    # QEMU's own build has warnings as errors.
    text = re.sub(r"/\*(?:(?!\*/)[\s\S])*\*/\n(?:#pragma GCC diagnostic error .*\n)+\n", "", text)
    text = re.sub(r"\n{3,}", "\n\n", text).rstrip("\n") + "\n"
    if leftover := re.findall(LEFTOVER, text):
        raise ValueError(f"{name} still has {', '.join(sorted(set(leftover)))} in it")
    return text
