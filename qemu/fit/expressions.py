# SPDX-License-Identifier: GPL-2.0-or-later
"""C expressions of whole numbers."""

import re
from collections.abc import Mapping

# C's spelling: Python's.
SPELLINGS = {r"\b(\d\w*?)[uUlL]+\b": r"\1", "/": "//", "&&": " and ", r"\|\|": " or "}
SPELLINGS |= {"!(?!=)": " not "}
CHOICE = re.compile(r"\(([^()?:]+)\?([^()?:]+):([^()?:]+)\)")
WORD = r"0[xX][0-9a-fA-F]+|\d+|and|or|not|if|else"


def number(text: str, known: Mapping[str, int | str]) -> int | str:
    """The value of an expression, or the expression if it is something else."""
    text = " ".join(text.split())
    python = re.sub(r"\b[A-Za-z_]\w*", lambda found: str(known.get(found[0], found[0])), text)
    for c, spelling in SPELLINGS.items():
        python = re.sub(c, spelling, python)
    while CHOICE.search(python):
        python = CHOICE.sub(r"((\2) if (\1) else (\3))", python)
    # Nothing that Python could call, and no powers.
    if "**" in python or not re.fullmatch(rf"(?:\b(?:{WORD})\b|[-+*/%()|&<>=! ])+", python):
        return text
    try:
        return int(eval(python.strip(), {"__builtins__": {}}))
    except (SyntaxError, ValueError, TypeError, ArithmeticError):
        return text
