# SPDX-License-Identifier: GPL-2.0-or-later
"""Words that CONTRIBUTING.md replaced by the field's own terms do not come back."""

import re
from pathlib import Path

import pytest
from qdb_tools.paths import ROOT
from qdb_tools.process import run

# A word that went, and what is said instead.
WORDS = {
    r"\b(?:mod|struct|pub) place\b|\bPlace\b": "bit index, offset, position",
    r"\b(?:fn|let) place\b": "position, address, offset",
    r"\b[Ee]mbedder\b": "host",
    r"\bbehind the (?:end|last)\b": "past the end",
    r"\bsettle_if_\w+": "normalise",
    r"\b(?:occupy|vacate|enlarge|crowded)\b": "none: the regions are gone",
    r"\b(?:ask_behind|look_again|retain_places|short_word)\b": "revalidate, prefetch, retain, mask",
    r"\bunite[sd]?\b": "union",
    r"\bis had\b": "is allocated",
    r"\bthe same, to (?:be )?change": "mutable version of",
    r"\bleaf\b": "words",
}
SOURCES = "*.rs *.c *.h *.md *.py *.toml *.build".split()


def found(text: str) -> list[str]:
    """Each word in a text, with the term that replaces it."""
    pairs = [(match[0], term) for word, term in WORDS.items() for match in re.finditer(word, text)]
    return [f"{word!r} (say: {term})" for word, term in pairs]


def test_they_do_not_come_back() -> None:
    names = run(["git", "ls-files", *SOURCES], cwd=ROOT).splitlines()
    files = [ROOT / name for name in names if (ROOT / name).is_file()]
    assert len(files) > 200, "the sources were not read"
    wrong = {file: found(file.read_text()) for file in files if file != Path(__file__)}
    assert {file: words for file, words in wrong.items() if words} == {}


@pytest.mark.parametrize("text", ["mod place;", "fn settle_if_full()", "memory is had", "the leaf"])
def test_they_are_recognised(text: str) -> None:
    assert len(found(text)) == 1
    assert found("merges in place; `places`") == []
