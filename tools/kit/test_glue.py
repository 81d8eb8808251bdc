# SPDX-License-Identifier: GPL-2.0-or-later
import tempfile
import unittest
from pathlib import Path

from . import places, say
from .glue import Glue, without_other_versions

VERSION = """\
#if QEMU_VERSION_MAJOR == 7 && QEMU_VERSION_MINOR == 2
#define QDB_OLD 1
#elif QEMU_VERSION_MAJOR == 10
#define QDB_OLD 0
#else
#error "unknown"
#endif

/* Why. */
#if defined(CONFIG_X)
#define QDB_TRACERS_X 1
#else
#define QDB_TRACERS_X 0
#endif
"""


def glue(text: str, version: str = "10.2") -> str:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "version.h").write_text(VERSION)
        (Path(folder) / "file.c").write_text(text)
        return Glue(Path(folder), version).file("file.c")


class WithoutOtherVersions(unittest.TestCase):
    def test_branches(self):
        text = "#if A == 1\none\n#elif A == 2\ntwo\n#else\nother\n#endif\n"
        for value, expected in ((1, "one\n"), (2, "two\n"), (3, "other\n")):
            self.assertEqual(without_other_versions(text, {"A": value}), expected)

    def test_what_is_not_known_stays(self):
        text = "#ifndef H\n#if B\nb\n#else\nc\n#endif\n#endif\n"
        self.assertEqual(without_other_versions(text, {"A": 1}), text)

    def test_nested(self):
        text = "#if A\n#if B\nb\n#endif\n#ifdef C\nc\n#endif\n#endif\nend\n"
        self.assertEqual(without_other_versions(text, {"A": 0}), "end\n")
        self.assertEqual(without_other_versions(text, {"A": 1, "B": 0}), "#ifdef C\nc\n#endif\nend\n")

    def test_not_and_continued_lines(self):
        text = "#if !A && \\\n    (B != 2)\nx\n#endif\n"
        self.assertEqual(without_other_versions(text, {"A": 0, "B": 1}), "x\n")
        self.assertEqual(without_other_versions(text, {"A": 0, "B": 2}), "")


class OneVersion(unittest.TestCase):
    def test_choice_and_empty_macros(self):
        text = '#include "version.h"\n#if QDB_OLD\n#define BODY static\n#else\n#define BODY\n#endif\n\nBODY int f(void);\n'
        self.assertEqual(glue(text), "\nint f(void);\n")
        self.assertEqual(glue(text, "7.2"), "#define BODY static\n\nBODY int f(void);\n")

    def test_what_the_configuration_decides_comes_along(self):
        made = glue('#include "a.h"\n#include "version.h"\n\nint x = QDB_TRACERS_X;\n')
        self.assertEqual(made, '#include "a.h"\n\n' + VERSION[VERSION.index("/* Why"):] + "\nint x = QDB_TRACERS_X;\n")

    def test_pragmas_go_with_their_comment(self):
        text = '/* Keep. */\nint a;\n\n/* For them. */\n#pragma GCC diagnostic error "-Wformat"\n\n/* Keep too. */\nint b;\n'
        self.assertEqual(glue(text), "/* Keep. */\nint a;\n\n/* Keep too. */\nint b;\n")

    def test_a_leftover_is_an_error(self):
        with self.assertRaises(say.Failure):
            glue("#ifdef QDB_OLD\n#endif\n")

    def test_the_real_glue(self):
        folder = places.ROOT / "qemu" / "glue"
        for version in places.SUITES:
            for name in ("driver.c", "host.c", "host.h", "layout.c", "trace.c"):
                with self.subTest(version=version, name=name):
                    self.assertNotRegex(Glue(folder, version).file(name), "QEMU_VERSION|^#if QDB_(?!TRACERS)")


if __name__ == "__main__":
    unittest.main()
