# SPDX-License-Identifier: GPL-2.0-or-later
"""How C files are taken apart: qemu/fit. What is made of QEMU's own: tools/generate --check.

That each difference between a tree and the library is seen: tests/qemu/test_dropin.py.
"""

import shutil
from pathlib import Path

import pytest
from fit import c_items, glue, interface, prototypes
from fit.expressions import number
from qdb_tools import paths

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
GLUE = paths.ROOT / "qemu" / "glue"
BRANCHES = "#if A == 1\none\n#elif A == 2\ntwo\n#else\nother\n#endif\n"
UNKNOWN = "#ifndef H\n#if B\nb\n#else\nc\n#endif\n#endif\n"
NESTED = "#if A\n#if B\nb\n#endif\n#ifdef C\nc\n#endif\n#endif\nend\n"
CONTINUED = "#if !A && \\\n    (B != 2)\nx\n#endif\n"
CHOICE = """\
#include "version.h"
#if QDB_WRAPPERS_ARE_OURS
#define BODY static
#else
#define BODY
#endif

BODY int f(void);
"""


def test_items() -> None:
    found = c_items.split(FILE)
    assert [item.name for item in found] == NAMES.split("/")
    assert interface.exported(FILE) == {"first"}
    assert [item.name for item in found if item.function] == ["first", "second"]


def test_constants() -> None:
    wanted = {"A": 6, "B": 22, "C": 278, "D": "sizeof(int)", "E0": 0, "E1": 4, "E2": 5, "G": 5}
    assert interface.constants(NUMBERS) == wanted


@pytest.mark.parametrize("text", ["__import__('os')", "(1).real", "9 ** 9", "1 ; 2"])
def test_nothing_is_called(text: str) -> None:
    assert number(text, {}) == text


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


@pytest.mark.parametrize(
    "text, known, wanted",
    [
        (BRANCHES, {"A": 1}, "one\n"),
        (BRANCHES, {"A": 2}, "two\n"),
        (BRANCHES, {"A": 3}, "other\n"),
        (UNKNOWN, {"A": 1}, UNKNOWN),
        (NESTED, {"A": 0}, "end\n"),
        (NESTED, {"A": 1, "B": 0}, "#ifdef C\nc\n#endif\nend\n"),
        (CONTINUED, {"A": 0, "B": 1}, "x\n"),
        (CONTINUED, {"A": 0, "B": 2}, ""),
    ],
)
def test_branches(text: str, known: dict[str, int], wanted: str) -> None:
    assert glue.without_other_versions(text, known) == wanted


def test_glue_of_a_version(tmp_path: Path) -> None:
    shutil.copy(GLUE / "version.h", tmp_path)
    file = tmp_path / "file.c"
    file.write_text(CHOICE)
    assert glue.file(tmp_path, "10.2", file.name) == "\nint f(void);\n"
    assert glue.file(tmp_path, "7.2", file.name) == "#define BODY static\n\nBODY int f(void);\n"
    file.write_text("#ifdef QDB_WRAPPERS_ARE_OURS\n#endif\n")
    with pytest.raises(ValueError):
        glue.file(tmp_path, "10.2", file.name)
