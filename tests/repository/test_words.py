# SPDX-License-Identifier: GPL-2.0-or-later
"""Words that CONTRIBUTING.md replaced by the field's own terms do not come back."""

import re
import subprocess
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
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
SUFFIXES = {".rs", ".c", ".h", ".md", ".py", ".toml", ".build"}


def found(text: str) -> list[str]:
    """Each word in a text, with the term that replaces it."""
    return [
        f"{match.group()!r} (say: {term})"
        for pattern, term in WORDS.items()
        for match in re.finditer(pattern, text)
    ]


def files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    paths = (ROOT / name for name in listed.splitlines())
    return [path for path in paths if path.suffix in SUFFIXES and path.is_file()]


class Words(unittest.TestCase):
    maxDiff = None

    def test_they_do_not_come_back(self) -> None:
        paths = [path for path in files() if path != Path(__file__).resolve()]
        self.assertGreater(len(paths), 200, "the sources were not read")
        wrong = {str(path.relative_to(ROOT)): found(path.read_text()) for path in paths}
        self.assertEqual({name: words for name, words in wrong.items() if words}, {})

    def test_they_are_recognised(self) -> None:
        for text in ("mod place;", "fn settle_if_full()", "memory is had", "the leaf"):
            self.assertEqual(len(found(text)), 1, text)
        self.assertEqual(found("merges in place; `places`"), [])


if __name__ == "__main__":
    unittest.main()
