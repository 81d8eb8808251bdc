# SPDX-License-Identifier: GPL-2.0-or-later
"""Function declarations in the text of C headers."""

import re
from dataclasses import dataclass

NAMES = re.compile(r"\b((?:hbitmap|bdrv|qdb)_\w+)\s*\(")
# What QEMU writes beside a type for its own checkers; the compiler does not see it.
ANNOTATION = re.compile(
    r"\b(?:extern|coroutine_fn|coroutine_mixed_fn|no_coroutine_fn|(?:no_)?co_wrapper\w*|coroutine_wrapper\w*|GRAPH_\w+)\b"
    r"(?:\([^()]*\))?"
)


@dataclass(frozen=True)
class Prototype:
    name: str
    returns: str
    parameters: tuple[str, ...]

    def __str__(self) -> str:
        """C's declaration, without its semicolon."""
        return self.of(self.returns)

    def of(self, returns: str) -> str:
        """The same function with another return type."""
        return f"{spaced(returns)}{self.name}({', '.join(self.parameters)})"

    def types(self) -> tuple[str, ...]:
        """What makes up the type: not how the parameters are called. Each structure here has a typedef of the same name."""
        kinds = [self.returns, *(without_name(parameter) for parameter in self.parameters)]
        return tuple(re.sub(r"\bstruct ", "", kind) for kind in kinds)


def spaced(kind: str) -> str:
    return kind if kind.endswith("*") else kind + " "


def without_name(parameter: str) -> str:
    found = re.fullmatch(r"(.*[\s*])\w+", parameter)
    return found[1].strip() if found else parameter


def without_preprocessor(text: str) -> str:
    """A header without comments, preprocessor lines and the braces of extern "C"."""
    text = re.sub(r"/\*.*?\*/|//[^\n]*", " ", text, flags=re.DOTALL)
    text = re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", "", text, flags=re.MULTILINE)
    return text.replace('extern "C" {', "")


def tidy(text: str) -> str:
    # What the preprocessor leaves of bool.
    text = re.sub(r"\b_Bool\b", "bool", " ".join(text.split()))
    return re.sub(r"\s*\*\s*", " *", text).replace("* *", "**").strip()


def declared(text: str) -> dict[str, Prototype]:
    """{name: Prototype} of each function that a header declares (or defines inline)."""
    found: dict[str, Prototype] = {}
    for part in re.split(r"[;{}]", without_preprocessor(text)):
        match = NAMES.search(part)
        if not match or part.rstrip()[-1:] != ")":
            continue
        returns = tidy(ANNOTATION.sub(" ", part[: match.start()]))
        # A call, a macro's body or a type of a function is not a declaration.
        if not re.fullmatch(r"[A-Za-z_][\w ]*[\w*]|[A-Za-z_]\w*(?: \**)?", returns) or re.match(
            r"(?:return|typedef)\b", returns
        ):
            continue
        inside = part[match.end() : part.rindex(")")]
        found.setdefault(
            match[1],
            Prototype(match[1], returns, tuple(tidy(parameter) for parameter in inside.split(","))),
        )
    return found
