# SPDX-License-Identifier: GPL-2.0-or-later
"""What the documents say of files: they exist, and functions named after a file are in it. And that each table is one."""
import re
import subprocess
import unittest

from . import places, venv

# Folders that only this repository has. Paths that QEMU's tree has too (docs/, include/, tests/) are not looked at.
OWN = ("src", "tools", "qemu", "c-tests", "fuzz", "oracle", "benches", "examples", "packaging")
# Names that stand for many.
PATTERN = re.compile(r"[*<]|/[A-Z_]+(/|$)")

PATH = re.compile(r"`((?:%s)/[\w./*<>-]*)" % "|".join(map(re.escape, OWN)))
PICTURE = re.compile(r"(?<![\w./`-])((?:%s)/[\w./-]*\w)" % "|".join(map(re.escape, OWN)))
FUNCTION = re.compile(r"`(src/[\w/]+\.rs)` `(\w+)`")
LINK = re.compile(r"\]\(([^)#:]+)\)")


def documents():
    folders = [places.ROOT, *(places.ROOT / name for name in ("docs", "docs/notes", "qemu", "fuzz", "packaging", "examples", "examples/c"))]
    return sorted(file for folder in folders if folder.is_dir() for file in folder.glob("*.md"))


# Renders the files that it is told, and tells the lines of text that begin as a row of a table does: an empty line ends a table.
STRAY_ROWS = """
import sys
from markdown_it import MarkdownIt

markdown = MarkdownIt("commonmark").enable("table")
tables = 0
for path in sys.argv[1:]:
    for token in markdown.parse(open(path, encoding="utf-8").read()):
        tables += token.type == "table_open"
        if token.type == "inline":
            for number, line in enumerate(token.content.splitlines()):
                if line.lstrip().startswith("|"):
                    print(f"{path}:{token.map[0] + number + 1}: {line[:60]}")
print(tables)
"""


def stray_rows(paths):
    """Rows outside of tables, and how many tables there are."""
    python = venv.folder() / "bin" / "python3"
    told = subprocess.run([python, "-c", STRAY_ROWS, *map(str, paths)], check=True, capture_output=True, text=True).stdout
    *rows, tables = told.splitlines()
    return rows, int(tables)


class Documents(unittest.TestCase):
    def test_rows_are_in_tables(self):
        rows, tables = stray_rows(documents())
        self.assertEqual(rows, [])
        self.assertGreater(tables, 20, "the documents were not read")

    def test_paths_exist(self):
        seen = 0
        for document in documents():
            text = document.read_text()
            for path in PATH.findall(text):
                if not PATTERN.search(path):
                    seen += 1
                    # A C test is named without its ending.
                    there = (places.ROOT / path).exists() or (places.ROOT / f"{path}.c").exists()
                    with self.subTest(document=document.name, path=path):
                        self.assertTrue(there, f"{document.name}: there is no {path}")
        self.assertGreater(seen, 50, "the documents were not read")

    def test_links_exist(self):
        for document in documents():
            for link in LINK.findall(document.read_text()):
                with self.subTest(document=document.name, link=link):
                    self.assertTrue((document.parent / link).exists(), f"{document.name}: there is no {link}")

    def test_readme_is_short(self):
        readme = (places.ROOT / "README.md").read_text()
        self.assertLessEqual(len(readme.split()), 600)
        self.assertEqual(readme.count("!["), 2)

    def test_what_ci_runs(self):
        """docs/testing.md: what is said to run in CI is a step of tools/test, and what is done by hand is none."""
        steps = (places.ROOT / "tools" / "test").read_text()
        rows = re.findall(r"^\| .+ \| .+ \| (.+) \| (.+) \|$", (places.ROOT / "docs/testing.md").read_text(), re.M)
        seen = 0
        for command, when in rows:
            for tool in re.findall(r"`((?:tools|fuzz|c-tests/on-qemu)[\w/-]*)", command):
                if tool == "tools/test":
                    continue
                seen += 1
                with self.subTest(tool=tool, when=when):
                    step = '"' + tool.rstrip("/") + '"'
                    self.assertEqual(step in steps, when != "by hand")
            for step in re.findall(r'\("([^"]+)"\)', command):
                self.assertIn(f'"{step}"', steps)
        self.assertGreater(seen, 15, "the table was not read")

    def test_functions_are_where_the_documents_say(self):
        seen = 0
        for document in documents():
            for path, function in FUNCTION.findall(document.read_text()):
                seen += 1
                with self.subTest(document=document.name, function=function):
                    self.assertRegex((places.ROOT / path).read_text(), rf"\bfn {function}\b")
        self.assertGreater(seen, 2, "no document names a function")

    def test_the_picture(self):
        """Files in the picture of docs/architecture.md; `.../name.rs` and a bare name are in a folder named before."""
        picture = re.search(r"```text\n(.*?)```", (places.ROOT / "docs/architecture.md").read_text(), re.S)[1]
        for path in PICTURE.findall(picture):
            self.assertTrue((places.ROOT / path).exists(), f"there is no {path}")
        names = set(re.findall(r"\b([a-z_]+\.rs)\b", picture))
        self.assertGreater(len(names), 8)
        known = {file.name for file in (places.ROOT / "src").rglob("*.rs")}
        self.assertEqual(names - known, set())
        # The same picture, drawn.
        drawn = (places.ROOT / "docs/architecture.svg").read_text()
        self.assertEqual(set(re.findall(r"\b([a-z_]+\.(?:rs|c))\b", drawn)), set(re.findall(r"\b([a-z_]+\.(?:rs|c))\b", picture)))


if __name__ == "__main__":
    unittest.main()
