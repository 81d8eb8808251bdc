# SPDX-License-Identifier: GPL-2.0-or-later
"""The C glue for one QEMU version, without the #if lines that are there for the others."""

import re
from pathlib import Path

Known = dict[str, int]


def chosen(expression: str, known: Known) -> bool | None:
    """What an #if says, or None if it asks for something that is not known here."""
    if set(re.findall(r"[A-Za-z_]\w*", expression)) - known.keys():
        return None
    python = (
        expression.replace("&&", " and ")
        .replace("||", " or ")
        .replace("!", " not ")
        .replace(" not =", "!=")
    )
    return bool(eval(python, {}, dict(known)))


def without_other_versions(text: str, known: Known) -> str:
    """The text without the #if lines whose answer is known, and without what they leave out."""
    kept: list[str] = []
    # Each level: [its lines are known, the branch is taken, one was taken].
    stack: list[list[bool]] = []
    for line in text.replace("\\\n", "\\\0").splitlines(keepends=True):
        line = line.replace("\\\0", "\\\n")
        found = re.match(r"#\s*(if|ifdef|ifndef|elif|else|endif)\b(.*)", line.replace("\\\n", " "))
        word, rest = (found[1], found[2]) if found else ("", "")
        if word in ("if", "ifdef", "ifndef"):
            answer = chosen(rest, known) if word == "if" else None
            stack.append([answer is not None, answer is not False, bool(answer)])
            if answer is not None:
                continue
        elif word and stack[-1][0]:
            if word == "endif":
                stack.pop()
            else:
                answer = not stack[-1][2] and (word == "else" or chosen(rest, known))
                stack[-1][1:] = [bool(answer), stack[-1][2] or bool(answer)]
            continue
        elif word == "endif":
            stack.pop()
            if all(taken for _, taken, _ in stack):
                kept.append(line)
            continue
        if all(taken for _, taken, _ in stack):
            kept.append(line)
    return "".join(kept)


class Glue:
    """The files of qemu/glue as they read if there is no other QEMU than this one."""

    def __init__(self, folder: Path, version: str) -> None:
        self.folder = folder
        major, minor = version.split(".")
        release = {"QEMU_VERSION_MAJOR": int(major), "QEMU_VERSION_MINOR": int(minor)}
        here = without_other_versions((folder / "version.h").read_text(), release)
        self.known = {
            name: int(value)
            for name, value in re.findall(r"^#define (QDB_\w+) (\d)$", here, re.MULTILINE)
        }
        # The same in each version: what the build's configuration decides.
        self.configured = re.findall(
            r"^/\*(?:(?!\*/).)*\*/\n#if [^\n]*CONFIG_.*?^#endif\n", here, re.MULTILINE | re.DOTALL
        )
        for block in self.configured:
            for name in re.findall(r"#define (\w+)", block):
                self.known.pop(name, None)
        if not self.known or not self.configured:
            raise ValueError(f"{folder}/version.h has another form than this tool reads")

    def file(self, name: str) -> str:
        text = without_other_versions((self.folder / name).read_text(), self.known)
        # Macros that have become empty.
        for macro in re.findall(r"^#define (\w+)\n", text, re.MULTILINE):
            if not macro.endswith("_H"):
                text = re.sub(rf"^#define {macro}\n|\b{macro} ", "", text, flags=re.MULTILINE)
        needed = [
            block
            for block in self.configured
            if set(re.findall(r"#define (\w+)", block)) & set(re.findall(r"\w+", text))
        ]
        text = text.replace('#include "version.h"\n', "")
        if needed:
            last = text.rindex("#include ")
            end = text.index("\n", last) + 1
            text = text[:end] + "\n" + "\n".join(needed) + text[end:]
        # QEMU's own build has warnings as errors.
        text = re.sub(
            r"/\*(?:(?!\*/)[\s\S])*\*/\n(?:#pragma GCC diagnostic error .*\n)+\n", "", text
        )
        text = re.sub(r"\n{3,}", "\n\n", text).rstrip("\n") + "\n"
        leftover = re.findall(
            r"\bQDB_(?!GLUE_|TRACERS_)[A-Z_]+|QEMU_VERSION_\w+|\bversion\.h", text
        )
        if leftover:
            raise ValueError(f"{name} still has {', '.join(sorted(set(leftover)))} in it")
        return text
