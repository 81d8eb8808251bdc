# SPDX-License-Identifier: GPL-2.0-or-later
"""Function declarations in the text of C headers."""

import re
from typing import NamedTuple

from fit import c_items

# What QEMU writes beside a type for its own checkers; the compiler does not see it.
ANNOTATION = re.compile(
    r"\b(?:extern|coroutine_fn|coroutine_mixed_fn|no_coroutine_fn|(?:no_)?co_wrapper\w*"
    r"|coroutine_wrapper\w*|GRAPH_\w+)\b(?: \([^()]*\))?"
)


class Prototype(NamedTuple):
    name: str
    returns: str
    parameters: tuple[str, ...]

    def __str__(self) -> str:
        """C's declaration, without its semicolon."""
        return self.of(self.returns)

    def of(self, returns: str) -> str:
        """The same function with another return type."""
        space = "" if returns.endswith("*") else " "
        return f"{returns}{space}{self.name}({', '.join(self.parameters)})"

    def types(self) -> tuple[str, ...]:
        """What makes up the type: not how the parameters are called."""
        kinds = self.returns, *map(without_name, self.parameters)
        # Each structure here has a typedef of the same name.
        return tuple(re.sub(r"\bstruct ", "", kind) for kind in kinds)


def without_name(parameter: str) -> str:
    found = re.fullmatch(r"(.*[\s*])\w+", parameter)
    return found[1].strip() if found else parameter


def tidy(text: str) -> str:
    # What the preprocessor leaves of bool.
    text = re.sub(r"\b_Bool\b", "bool", " ".join(text.split()))
    return re.sub(r"\s*\*\s*", " *", text).replace("* *", "**").strip()


def declared(text: str) -> dict[str, Prototype]:
    """{name: Prototype} of each function that a header declares, or a file defines."""
    found: dict[str, Prototype] = {}
    for item in c_items.split(text.replace('extern "C" {', "")):
        if item.head.startswith(("typedef ", "# ")):
            continue
        match = c_items.SIGNATURE.fullmatch(ANNOTATION.sub(" ", item.head))
        if match and re.match("(?:hbitmap|bdrv|qdb)_", match[2]):
            parameters = tuple(map(tidy, match[3].split(",")))
            found.setdefault(match[2], Prototype(match[2], tidy(match[1]), parameters))
    return found
