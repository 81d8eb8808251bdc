# SPDX-License-Identifier: GPL-2.0-or-later
"""No line of a text is longer than 100 columns, but where it can't be broken."""

import re

from qdb_tools.paths import ROOT
from qdb_tools.process import run

COLUMNS = 100
# Generated, data, or not ours to lay out.
FILES = re.compile(
    r"qemu/patches/|fuzz/corpus/|proptest-regressions/|COPYING$|docs/MATRIX\.md$"
    r"|tests/portable\.txt$|.*\.(?:svg|json|lock|stderr|bitmap)$"
)
# A row of a table (in a doc comment too), a URL, who changed a Debian package and when.
LINES = re.compile(r"\s*(?://[/!] )?\|.*\|$|\W*https?://\S+$| -- .+ <.+@.+>  ")


def is_too_long(name: str, line: str) -> bool:
    # The first column of a patch is not the code's.
    return len(line) - name.endswith(".patch") > COLUMNS and not LINES.match(line)


def test_lines_are_short() -> None:
    names = run(["git", "ls-files", "-z"], cwd=ROOT).split("\0")
    names = [name for name in names if (ROOT / name).is_file() and not FILES.match(name)]
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
