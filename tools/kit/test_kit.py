# SPDX-License-Identifier: GPL-2.0-or-later
"""Tests of what in kit can go wrong in silence: python3 -m unittest discover -s tools -p 'test_*.py'"""
import os
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from kit import debian, iotests, regions, say


class Mirror(unittest.TestCase):
    """The Debian mirror is found among whatever else a machine's apt has."""

    def find(self, **files) -> str:
        with tempfile.TemporaryDirectory() as name, mock.patch.dict(os.environ):
            os.environ.pop("QDB_DEBIAN_MIRROR", None)
            etc = Path(name)
            (etc / "sources.list.d").mkdir()
            for file, text in files.items():
                place = etc / "sources.list" if file == "main" else etc / "sources.list.d" / file.replace("__", ".")
                place.write_text(text)
            return debian.mirror(etc)

    def test_stanzas(self):
        self.assertEqual(self.find(
            a__sources="Types: deb\nURIs: https://node.example/x\nSuites: nodistro\nComponents: main\n",
            b__sources="Types: deb\n# was elsewhere\nURIs: http://one.example/debian\nSuites: bookworm bookworm-updates\n"
                       "Components: main\n\nTypes: deb\nURIs: http://one.example/debian-security\nSuites: bookworm-security\n",
        ), "http://one.example/debian")

    def test_lines(self):
        self.assertEqual(self.find(
            main="# deb http://no.example/debian bookworm main\n"
                 "deb [arch=amd64 signed-by=/x] http://sec.example/debian-security bookworm-security main\n"
                 "deb [arch=amd64] http://two.example/debian/ bookworm main # ours\n",
            cloud__list="deb https://cloud.example/apt cloud-sdk-bookworm main\n",
        ), "http://two.example/debian/")

    def test_other_archives_with_debians_suites(self):
        self.assertEqual(self.find(
            a__list="deb https://docker.example/linux/debian-like bookworm stable\n",
            b__sources="Types: deb\nURIs: http://three.example/debian\nSuites: trixie\nComponents: main\n",
        ), "http://three.example/debian")

    def test_disabled(self):
        with self.assertRaises(say.Failure):
            self.find(
                a__sources="Enabled: no\nTypes: deb\nURIs: http://off.example/debian\nSuites: sid\nComponents: main\n",
                b__list__off="deb http://off.example/debian bookworm main\n",
            )

    def test_nothing_there(self):
        with self.assertRaisesRegex(say.Failure, "QEMU_SRC"):
            self.find()


class CheckLines(unittest.TestCase):
    """What ./check prints of a test."""

    def status(self, line: str):
        found = iotests.LINE.match(line)
        return found and (found["name"], found["status"], " ".join(found["rest"].split()))

    def test_results(self):
        self.assertEqual(self.status("124   pass       [11:44:01] [11:44:11] 9.7s   (last: 9.1s)  "), ("124", "pass", "9.7s (last: 9.1s)"))
        self.assertEqual(self.status("303   not run    [11:44:01] [11:44:11] ...                  no zstd"), ("303", "not run", "... no zstd"))
        self.assertEqual(self.status("185   \x1b[1m\x1b[31mfail      \x1b[0m [1:2:3] [1:2:3] 0.1s  x"), ("185", "fail", "0.1s x"))

    def test_other_lines(self):
        self.assertIsNone(self.status("124   started    [11:44:01]               ...                  "))
        self.assertIsNone(self.status("124   ...        [11:44:01]               ...                  "))
        self.assertIsNone(self.status("Passed all 15 iotests"))


class Map(unittest.TestCase):
    """A dirty byte is never drawn as clean, a clean cell never as dirty."""

    def test_draw(self):
        rows = regions.draw([(0, 100), (250, 1), (6000, 450)], 12800, 128, "0").splitlines()
        cells = "".join(row.split("MiB  ")[1] for row in rows)
        signs = {0: cells[1], 100: cells[0]}
        self.assertEqual(len(cells), 128)
        self.assertEqual(len(set(signs.values())), 2)
        dirty = {0, 2, 60, 61, 62, 63, 64}
        self.assertEqual({i for i, sign in enumerate(cells) if sign != signs[0]}, dirty)
        self.assertEqual({i for i, sign in enumerate(cells) if sign == signs[100]}, {0, 60, 61, 62, 63})


if __name__ == "__main__":
    unittest.main()
