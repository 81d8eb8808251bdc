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
    name: str  # a function's, or what its head is
    head: str  # what comes before the body, or before the semicolon
    digest: str
    function: bool  # a definition, with a body


def without_comments(text: str) -> str:
    """The text, in which a macro of several lines is one line too."""
    text = text.replace("\\\n", " ")
    return COMMENT_OR_LITERAL.sub(lambda found: " " if found[0][0] == "/" else found[0], text)


def without_directives(text: str) -> str:
    return DIRECTIVE.sub("", without_comments(text))


def item(tokens: list[str], function: str) -> Item:
    head = re.split(" [{;]", " ".join(tokens), maxsplit=1)[0]
    digest = hashlib.sha256("\n".join(tokens).encode()).hexdigest()[:16]
    name = f"#{' '.join(tokens[1:3])}" if tokens[0] == "#" else function or head
    return Item(name, head, digest, bool(function))


def split(text: str) -> list[Item]:
    """The items of a C file: its macros, then all else in order."""
    lines = [TOKEN.findall(line) for line in DIRECTIVE.findall(without_comments(text))]
    items = [item(line, "") for line in lines if len(line) > 1 and line[1] != "include"]
    depth, function = 0, ""
    tokens: list[str] = []
    for token in TOKEN.findall(without_directives(text)):
        if token == "{" and depth == 0:
            found = SIGNATURE.fullmatch(" ".join(tokens))
            function = found[2] if found and tokens[0] != "typedef" else ""
        tokens.append(token)
        depth += {"{": 1, "}": -1}.get(token, 0)
        if depth == 0 and (token == ";" or token == "}" and function):
            if tokens != [";"]:
                items.append(item(tokens, function))
            tokens, function = [], ""
    return items
