# SPDX-License-Identifier: GPL-2.0-or-later
"""A C file as a list of functions, types, variables and macros.

Comments and white space do not matter.
"""

import hashlib
import re
from typing import NamedTuple

LITERAL = r""""(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'"""
COMMENT_OR_LITERAL = re.compile(rf"/\*.*?\*/|//[^\n]*|{LITERAL}", re.DOTALL)
TOKEN = re.compile(rf"[A-Za-z_]\w*|\d[\w.]*|{LITERAL}|[^\s\w]")
DIRECTIVE = re.compile(r"^[ \t]*#[^\n]*", re.MULTILINE)
# A function's type, name and parameters, among which may be pointers to functions.
SIGNATURE = re.compile(r"(.*?)\b([A-Za-z_]\w*) \(([^()]*(?:\([^()]*\)[^()]*)*)\)")


class Item(NamedTuple):
    name: str
    tokens: tuple[str, ...]
    function: bool = False  # a definition, with a body

    @property
    def head(self) -> str:
        """What comes before the body, or before the semicolon."""
        return re.split(" [{;]", " ".join(self.tokens), maxsplit=1)[0]

    @property
    def digest(self) -> str:
        return hashlib.sha256("\n".join(self.tokens).encode()).hexdigest()[:16]


def without_comments(text: str) -> str:
    """The text, in which a macro of several lines is one line too."""
    text = text.replace("\\\n", " ")
    return COMMENT_OR_LITERAL.sub(lambda found: " " if found[0][0] == "/" else found[0], text)


def without_directives(text: str) -> str:
    return DIRECTIVE.sub("", without_comments(text))


def function_name(head: list[str]) -> str | None:
    """The name of the function whose body follows these tokens, or None."""
    found = SIGNATURE.fullmatch(" ".join(head))
    return found[2] if found and head[0] != "typedef" else None


def other_name(tokens: list[str]) -> str:
    """What a declaration that is no function's body is about."""
    if tokens[0] == "typedef":
        return f"typedef {tokens[-2]}"
    if tokens[0] in ("struct", "union", "enum") and len(tokens) > 1:
        return " ".join(tokens[:2])
    if "(" in tokens and "=" not in tokens:
        return f"declaration of {tokens[tokens.index('(') - 1]}"
    end = next((n for n, token in enumerate(tokens) if token in "=[;"), len(tokens))
    return f"variable {tokens[end - 1]}"


def split(text: str) -> list[Item]:
    """The items of a C file: its macros, then all else in order."""
    lines = [TOKEN.findall(line) for line in DIRECTIVE.findall(without_comments(text))]
    macros = [line for line in lines if len(line) > 1 and line[1] != "include"]
    items = [Item(f"#{' '.join(line[1:3])}", tuple(line)) for line in macros]
    depth, name = 0, None
    tokens: list[str] = []
    for token in TOKEN.findall(without_directives(text)):
        if token == "{" and depth == 0:
            name = function_name(tokens)
        tokens.append(token)
        depth += {"{": 1, "}": -1}.get(token, 0)
        if depth == 0 and (token == ";" or token == "}" and name):
            if tokens != [";"]:
                items.append(Item(name or other_name(tokens), tuple(tokens), name is not None))
            tokens, name = [], None
    return items
