# SPDX-License-Identifier: GPL-2.0-or-later
"""What the documents say of files: they exist, and functions named after a file are in it."""

import re
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from qdb_tools.paths import ROOT

# Folders that only this repository has. Paths that QEMU's tree has too (docs/, include/, tests/)
# are not looked at, but for those of our tests.
OWN = "src|tools|qemu|c-tests|fuzz|oracle|benches|examples|packaging|models"
OWN += "|tests/(?:qemu|library|installed|repository|sanitize|dropin)"
# Names that stand for many.
PATTERN = re.compile(r"[*<]|/[A-Z_]+(/|$)")
PATH = re.compile(rf"`((?:{OWN})/[\w./*<>-]*)")
PICTURE = re.compile(rf"(?<![\w./`-])((?:{OWN})/[\w./-]*\w)")
FUNCTION = re.compile(r"`(src/[\w/]+\.rs)` `(\w+)`")
LINK = re.compile(r"\]\(([^)#:]+)\)")

FOLDERS = [".", "docs", "docs/notes", "qemu", "fuzz", "packaging", "examples", "examples/c"]
DOCUMENTS = sorted(file for name in FOLDERS for file in (ROOT / name).glob("*.md"))
TESTS = (ROOT / "tools" / "stages.toml").read_text()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda file: str(file.relative_to(ROOT)))
def test_document(document: Path) -> None:
    """Its files and links are there, functions where it says, and rows of tables in tables."""
    text = document.read_text()
    for path in PATH.findall(text):
        # A C test is named without its ending.
        there = (ROOT / path).exists() or (ROOT / f"{path}.c").exists()
        assert there or PATTERN.search(path), f"there is no {path}"
    for link in LINK.findall(text):
        assert (document.parent / link).exists(), f"there is no {link}"
    for path, function in FUNCTION.findall(text):
        assert re.search(rf"\bfn {function}\b", (ROOT / path).read_text()), function
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        # An empty line ends a table: a line of text that begins as a row does is a mistake.
        assert token.type != "inline" or not re.search(r"^\s*\|", token.content, re.M), token


def test_the_documents_are_read() -> None:
    text = "\n".join(document.read_text() for document in DOCUMENTS)
    assert len(PATH.findall(text)) > 50 and len(FUNCTION.findall(text)) > 2
    assert len(re.findall(r"^\| --- ", text, re.M)) > 20


def test_readme_is_short() -> None:
    readme = (ROOT / "README.md").read_text()
    assert len(readme.split()) <= 600 and readme.count("![") == 2


def test_what_ci_runs() -> None:
    """docs/testing.md: what is said to run in CI is a stage of tools/test, by hand is none."""
    table, seen = (ROOT / "docs" / "testing.md").read_text(), 0
    for command, when in re.findall(r"^\| .+ \| .+ \| (.+) \| (.+) \|$", table, re.M):
        for name in re.findall(r"`((?:tools|fuzz|c-tests/on-qemu|tests)[\w./-]*)", command):
            if name != "tools/test":
                seen += 1
                stage = re.search(rf'["\s]{name.rstrip("/")}["\s/]', TESTS)
                assert bool(stage) == (when != "by hand"), name
        for stage in re.findall(r'\("([^"]+)"\)', command):
            assert f'"{stage}"' in TESTS
    assert seen > 15, "the table was not read"


def test_the_picture() -> None:
    """Files in the picture of docs/architecture.md; a bare name is in a folder named before."""
    page = (ROOT / "docs/architecture.md").read_text()
    picture = re.findall(r"```text\n(.*?)```", page, re.S)[0]
    for path in PICTURE.findall(picture):
        assert (ROOT / path).exists(), path
    names = set(re.findall(r"\b([a-z_]+\.rs)\b", picture))
    assert len(names) > 8 and names <= {file.name for file in (ROOT / "src").rglob("*.rs")}
    # The same picture, drawn.
    drawn, name = (ROOT / "docs/architecture.svg").read_text(), r"\b([a-z_]+\.(?:rs|c))\b"
    assert set(re.findall(name, drawn)) == set(re.findall(name, picture))
