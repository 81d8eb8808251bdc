# SPDX-License-Identifier: GPL-2.0-or-later
"""A C file as a list of functions, types, variables and macros.

Comments and white space do not matter.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

COMMENT_OR_STRING = re.compile(
    r"""/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'""", re.DOTALL
)
TOKEN = re.compile(r"""[A-Za-z_]\w*|\d[\w.]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|[^\s\w]""")
DIRECTIVE = re.compile(r"^[ \t]*#[^\n]*", re.MULTILINE)


@dataclass(frozen=True)
class Item:
    name: str
    tokens: tuple[str, ...]
    function: bool  # a definition, with a body

    @property
    def digest(self) -> str:
        return hashlib.sha256("\n".join(self.tokens).encode()).hexdigest()[:16]

    @property
    def exported(self) -> bool:
        return self.function and "static" not in self.tokens[: self.tokens.index("{")]


def without_comments(text: str) -> str:
    return COMMENT_OR_STRING.sub(lambda found: " " if found[0][0] == "/" else found[0], text)


def closing(tokens: Sequence[str], at: int) -> int:
    """The index of the parenthesis that the one at `at` opens or closes."""
    step = 1 if tokens[at] == "(" else -1
    depth = 0
    while True:
        depth += {"(": step, ")": -step}.get(tokens[at], 0)
        if depth == 0:
            return at
        at += step


def function_name(head: Sequence[str]) -> str | None:
    """The name of the function that tokens before a `{` begin, or None."""
    if not head or head[-1] != ")" or head[0] == "typedef":
        return None
    at = closing(head, len(head) - 1)
    return head[at - 1] if at > 0 and re.match(r"[A-Za-z_]", head[at - 1]) else None


def other_name(tokens: Sequence[str]) -> str:
    """What a declaration that is no function's body is about."""
    if tokens[0] == "typedef":
        return f"typedef {tokens[-2]}"
    if tokens[0] in ("struct", "union", "enum") and len(tokens) > 1:
        return " ".join(tokens[:2])
    if "(" in tokens and "=" not in tokens:
        return f"declaration of {tokens[tokens.index('(') - 1]}"
    end = next((n for n, token in enumerate(tokens) if token in "=[;"), len(tokens))
    return f"variable {tokens[end - 1]}"


def directive(line: str) -> Item | None:
    tokens = tuple(TOKEN.findall(line))
    if len(tokens) < 2 or tokens[1] == "include":
        return None
    return Item(f"#{' '.join(tokens[1:3])}", tokens, False)


def split(text: str) -> list[Item]:
    """The items of a C file, in order."""
    text = without_comments(text.replace("\\\n", " "))
    items = [item for item in map(directive, DIRECTIVE.findall(text)) if item]
    depth, name = 0, None
    tokens: list[str] = []
    for token in TOKEN.findall(DIRECTIVE.sub("", text)):
        if token == "{" and depth == 0:
            name = function_name(tokens)
        tokens.append(token)
        depth += {"{": 1, "}": -1}.get(token, 0)
        if depth == 0 and (token == ";" or token == "}" and name):
            if tokens != [";"]:
                items.append(Item(name or other_name(tokens), tuple(tokens), name is not None))
            tokens, name = [], None
    return items
