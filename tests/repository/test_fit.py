# SPDX-License-Identifier: GPL-2.0-or-later
"""How C files are taken apart and compared: qemu/fit."""

from pathlib import Path

import pytest
from fit import c_items, callers, compare, interface, prototypes
from fit.expressions import number

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
NAMES = "#define PAIR/struct Thing/typedef Thing/declaration of ahead/variable table/first/second"
HEADER = """\
/* bdrv_not_this(int a); */
#define BDRV_CALL(bs) \\
    bdrv_nor_this(bs); bdrv_or_this(bs)
typedef struct Thing { int (*bdrv_member)(void *opaque); } Thing;
extern "C" {
bool coroutine_fn GRAPH_RDLOCK
bdrv_co_one(BlockDriverState *bs, const char *name,
            Error **errp);
static inline int hbitmap_two(const HBitmap *hb)
{
    return bdrv_call(hb);
}
uint64_t hbitmap_three(const struct HBitmap *hb);
_Bool hbitmap_three_and_a_half(void);
"""
NUMBERS = """\
#define A (BITS_PER_LONG == 32 ? 5 : 6)
#define B   ((41 / A) * 0x10UL - 74)  /* B */
#define C (B | \\
           1 << 8)
#define F(x) (x)
#define D sizeof(int)
typedef enum { E0, E1 = 4, E2, } E;
#define G E2
"""
ONE = "int f(int a)\n{\n    return a + 1;\n}\n"
# What each of these says is one difference.
DIFFERENCES = """function hbitmap_new(): the tree has it
function hbitmap_set(): the library has it
constant HBITMAP_LEVELS
struct HBitmapIter
function hbitmap_peek() in a header
BlockDirtyInfo, busy
trace event hbitmap_set"""
CALLS = {
    "block/a.c": "void f(void) { bdrv_dirty_x(1); }",
    "block/b.c": "/* bdrv_dirty_x() */ bs->drv->bdrv_dirty_x(2);",
    "block/dirty-bitmap.c": "int g = bdrv_dirty_x(3);",
    "include/c.h": "int bdrv_dirty_x(int dirty);",
    "d.c.inc": "FOR_EACH_DIRTY_BITMAP(bs, b) { }",
    ".pc/e.c": "bdrv_dirty_x(4);",
}


def test_items() -> None:
    found = c_items.split(FILE)
    assert [item.name for item in found] == NAMES.split("/")
    assert interface.exported(FILE) == {"first"}
    assert [item.name for item in found if item.function] == ["first", "second"]


def digest(text: str) -> str:
    return c_items.split(text)[0].digest


def test_comments_and_spaces_do_not_matter() -> None:
    assert digest(ONE) == digest("int f( int a ) { // more\n return a+1; /* } */ }")
    assert digest('void f(void) { g("a b"); }') != digest('void f(void) { g("a  b"); }')


@pytest.mark.parametrize("there, instead", [("+", "-"), ("1", "2"), ("int a", "long a")])
def test_all_else_matters(there: str, instead: str) -> None:
    assert digest(ONE) != digest(ONE.replace(there, instead)) != digest("static " + ONE)


def test_constants() -> None:
    wanted = {"A": 6, "B": 22, "C": 278, "D": "sizeof(int)", "E0": 0, "E1": 4, "E2": 5, "G": 5}
    assert interface.constants(NUMBERS) == wanted


@pytest.mark.parametrize("text", ["__import__('os')", "(1).real", "9 ** 9", "1 ; 2"])
def test_nothing_is_called(text: str) -> None:
    assert number(text, {}) == text


def test_each_difference_is_named() -> None:
    ours, theirs = interface.of_library("10.0"), interface.of_library("10.0")
    assert list(compare.differences(theirs, ours)) == []
    tables = theirs.tables
    tables["function"]["hbitmap_new"] = tables["function"].pop("hbitmap_set").replace("set", "new")
    tables["constant"]["HBITMAP_LEVELS"] = "HBITMAP_LEVELS = 8"
    tables["struct"] = {"HBitmapIter": "int pos"}
    theirs.inline.add("hbitmap_peek")
    del tables["QAPI BlockDirtyInfo,"]["busy"]
    tables["trace event"]["hbitmap_set"] = "hbitmap_set(void *)"
    found = "\n".join(compare.differences(theirs, ours))
    assert [text for text in DIFFERENCES.splitlines() if text not in found] == []


def test_declarations() -> None:
    found = prototypes.declared(HEADER)
    assert " ".join(found) == "bdrv_co_one hbitmap_two hbitmap_three hbitmap_three_and_a_half"
    wanted = "bool bdrv_co_one(BlockDriverState *bs, const char *name, Error **errp)"
    assert str(found["bdrv_co_one"]) == wanted


def types(text: str) -> tuple[str, ...]:
    return next(iter(prototypes.declared(text).values())).types()


@pytest.mark.parametrize(
    "other, same",
    [
        ("void hbitmap_x(struct HBitmap* hb, _Bool c);", True),
        ("void hbitmap_x(const HBitmap *a, bool b);", False),
        ("bool hbitmap_x(HBitmap *a, bool b);", False),
        ("void hbitmap_x(HBitmap **a, bool b);", False),
    ],
)
def test_types(other: str, same: bool) -> None:
    assert (types("void hbitmap_x(HBitmap *a, bool b);") == types(other)) == same


def test_calls(tmp_path: Path) -> None:
    for file, text in CALLS.items():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(text)
    found = callers.find(tmp_path, ["bdrv_dirty_x", "bdrv_dirty_bitmap_first"])
    assert found == {"bdrv_dirty_x": {"block/a.c"}, "bdrv_dirty_bitmap_first": {"d.c.inc"}}
