# SPDX-License-Identifier: GPL-2.0-or-later
"""Tests of how C files are taken apart, and how constants are read."""

import unittest

from kit import c_items, fit, interface

FILE = """\
/* int not_this(void) { } */
#include "a.h"
#define PAIR(a, b) \\
    ((a) + (b))
struct Thing {
    int (*call)(void);
};
typedef struct Thing Thing;
static void ahead(int x);
static const int table[] = { 1, 2 };
int coroutine_fn GRAPH_RDLOCK
first(struct Thing *thing, const char *text)
{
    if (thing) { return PAIR(1, '}'); }
    return text[0] == '{' ? 1 : "}{"[0];
}
static void second(void) { }
"""


class Items(unittest.TestCase):
    def test_names(self):
        found = c_items.split(FILE)
        self.assertEqual(
            [item.name for item in found],
            [
                "#define PAIR",
                "struct Thing",
                "typedef Thing",
                "declaration of ahead",
                "variable table",
                "first",
                "second",
            ],
        )
        self.assertEqual([item.name for item in found if item.exported], ["first"])
        self.assertEqual([item.name for item in found if item.function], ["first", "second"])

    def digest(self, text: str) -> str:
        return c_items.split(text)[0].digest

    def test_digests(self):
        one = "int f(int a)\n{\n    return a + 1;\n}\n"
        self.assertEqual(
            self.digest(one), self.digest("int f( int a ) { // more\n return a+1; /* } */ }")
        )
        for other in (
            one.replace("+", "-"),
            one.replace("1", "2"),
            one.replace("int a", "long a"),
            "static " + one,
        ):
            self.assertNotEqual(self.digest(one), self.digest(other))
        self.assertNotEqual(
            self.digest('void f(void) { g("a b"); }'), self.digest('void f(void) { g("a  b"); }')
        )


class Constants(unittest.TestCase):
    def test_numbers(self):
        found = interface.constants("""\
#define A (BITS_PER_LONG == 32 ? 5 : 6)
#define B   ((41 / A) + 0x10UL)  /* B */
#define C (B | \\
           1 << 8)
#define F(x) (x)
#define D sizeof(int)
typedef enum { E0, E1 = 4, E2, } E;
#define G E2
""")
        self.assertEqual(
            found,
            {"A": 6, "B": 22, "C": 278, "D": "sizeof(int)", "E0": 0, "E1": 4, "E2": 5, "G": 5},
        )

    def test_nothing_is_called(self):
        for text in ("__import__('os')", "(1).real", "9 ** 9", "1 ; 2"):
            self.assertEqual(interface.number(text, {}), text)


class Differences(unittest.TestCase):
    def test_each_kind_is_named(self):
        ours = interface.of_library("10.0")
        self.assertEqual(list(fit.differences(interface.of_library("10.0"), ours)), [])
        theirs = interface.of_library("10.0")
        theirs.functions = theirs.functions - {"hbitmap_set"} | {"hbitmap_new"}
        theirs.constants["HBITMAP_LEVELS"] = 8
        theirs.iterator = theirs.iterator[1:]
        theirs.inline = {"hbitmap_peek"}
        del theirs.schema["busy"]
        theirs.events["hbitmap_set"] = ("void *",)
        found = "\n".join(fit.differences(theirs, ours))
        for text in (
            "function hbitmap_new(): the tree has it",
            "function hbitmap_set(): the library has it",
            "constant HBITMAP_LEVELS",
            "struct HBitmapIter",
            "function hbitmap_peek() in a header",
            "BlockDirtyInfo, busy",
            "trace event hbitmap_set",
        ):
            self.assertIn(text, found)


if __name__ == "__main__":
    unittest.main()
