# SPDX-License-Identifier: GPL-2.0-or-later
"""What is written: the field's own terms, in lines of at most 100 columns, and strict C."""

import re
from pathlib import Path

import pytest
from qdb_tools.paths import HEADER, ROOT
from qdb_tools.process import run

NAMES = [name for name in run(["git", "ls-files"], cwd=ROOT).split() if (ROOT / name).is_file()]
# Words that CONTRIBUTING.md replaced, and what is said instead.
WORDS = {
    r"\b(?:mod|struct|pub|fn|let) place\b|\bPlace\b": "bit index, offset, position, address",
    r"\b[Ee]mbedder\b": "host",
    r"\b[Bb]ehind (?:the (?:end|last)|it)\b": "past the end",
    r"\bsettle_if_\w+": "normalise",
    r"\b(?:occupy|vacate|enlarge|crowded)\b": "none: the regions are gone",
    r"\b(?:ask_behind|look_again|retain_places|short_word)\b": "revalidate, prefetch, retain, mask",
    r"\bunite[sd]?\b": "union",
    r"\bis had\b": "is allocated",
    r"\bthe same, to (?:be )?change": "mutable version of",
    r"\bleaf\b": "words",
}
SOURCES = (".rs", ".c", ".h", ".md", ".py", ".toml", ".build")
# Files that are generated, data, or not ours to lay out.
LAID_OUT = re.compile(
    r"qemu/patches/|fuzz/corpus/|proptest-regressions/|COPYING$|docs/MATRIX\.md$"
    r"|tests/portable\.txt$|.*\.(?:svg|json|lock|stderr|bitmap)$"
)
# A row of a table (in a doc comment too), a URL, who changed a Debian package and when.
LONG = re.compile(r"\s*(?://[/!] )?\|.*\|$|\W*https?://\S+$| -- .+ <.+@.+>  ")


def replaced(text: str) -> list[tuple[str, str]]:
    """Each word in a text that was replaced, with the term that is said instead."""
    return [(match, term) for word, term in WORDS.items() for match in re.findall(word, text)]


def is_too_long(name: str, line: str) -> bool:
    # The first column of a patch is not the code's.
    return len(line) - name.endswith(".patch") > 100 and not LONG.match(line)


def test_words_do_not_come_back() -> None:
    files = [ROOT / name for name in NAMES if name.endswith(SOURCES)]
    assert len(files) > 200, "the sources were not read"
    for file in files:
        assert file == Path(__file__) or replaced(file.read_text()) == [], file


@pytest.mark.parametrize("text", ["mod place;", "fn settle_if_full()", "memory is had", "the leaf"])
def test_words_are_recognised(text: str) -> None:
    assert len(replaced(text)) == 1
    assert replaced("merges in place; `places`") == []


def test_lines_are_short() -> None:
    names = [name for name in NAMES if not LAID_OUT.match(name)]
    assert len(names) > 400, "the files were not found"
    for name in names:
        for number, line in enumerate((ROOT / name).read_text().splitlines(), 1):
            assert not is_too_long(name, line), f"{name}:{number}: {len(line)} columns"


def test_what_is_too_long() -> None:
    words = "word " * 20
    assert is_too_long("a.rs", words + "a") and not is_too_long("a.rs", words)
    assert is_too_long("a.patch", words + "ab") and not is_too_long("a.patch", words + "a")
    assert not is_too_long("a.md", f"| {words} |") and not is_too_long("a.rs", f"//! | {words} |")
    assert not is_too_long("a.md", f"<https://example.org/{words.replace(' ', '-')}>")
    assert is_too_long("a.md", f"see https://example.org/ {words}")


@pytest.mark.parametrize("language", ["c -std=c99", "c++ -std=c++11"])
def test_header_needs_no_extension(language: str) -> None:
    run(["cc", "-x", *language.split(), "-Wall", "-pedantic-errors", "-fsyntax-only", HEADER])
