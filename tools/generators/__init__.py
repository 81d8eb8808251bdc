# SPDX-License-Identifier: GPL-2.0-or-later
"""What makes the generated files of this repository. Each makes {file: its text, None: no file}."""

from pathlib import Path

from qdb_tools.log import Failure

Files = dict[Path, str | None]


def parts(text: str, begin: str, end: str, name: object) -> tuple[str, str, str]:
    """A document up to a mark, what stands between the two marks, and the rest."""
    before, found, rest = text.partition(begin)
    inside, ended, after = rest.partition(end)
    if not found or not ended:
        raise Failure(f"{name} has no place for the table ({begin.strip()})")
    return before + begin, inside, end + after
