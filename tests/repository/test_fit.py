# SPDX-License-Identifier: GPL-2.0-or-later
"""How C is read: qemu/fit. What becomes of QEMU's own files: tools/generate --check known-trees.

That each difference between a tree and the library is seen: tests/qemu/test_dropin.py.
"""

import shutil
from pathlib import Path

import pytest
from fit import glue, interface, prototypes
from fit.expressions import number
from qdb_tools import paths

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
    return "}"[0] == '{' ? bdrv_call(hb) : 0;
}
uint64_t hbitmap_three(const struct HBitmap *hb);
_Bool hbitmap_three_and_a_half(void);
"""
PROTOTYPE = "void hbitmap_x(HBitmap *a, bool b);"
# Whether they are the same type.
PROTOTYPES = {
    "void hbitmap_x(struct HBitmap* hb, _Bool c);": True,
    "void hbitmap_x(const HBitmap *a, bool b);": False,
    "bool hbitmap_x(HBitmap *a, bool b);": False,
    "void hbitmap_x(HBitmap **a, bool b);": False,
}
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
VALUES = {"A": 6, "B": 22, "C": 278, "D": "sizeof(int)", "E0": 0, "E1": 4, "E2": 5, "G": 5}
CHOICE = "#if A == 1\none\n#elif A == 2\ntwo\n#else\nother\n#endif\n"
UNKNOWN = "#ifndef H\n#if B\nb\n#else\nc\n#endif\n#endif\n"
NESTED = "#if A\n#if B\nb\n#endif\n#ifdef C\nc\n#endif\n#endif\nend\n"
CONTINUED = "#if !A && \\\n    (B != 2)\nx\n#endif\n"
BRANCHES: list[tuple[str, dict[str, int], str]] = [
    (CHOICE, {"A": 1}, "one\n"),
    (CHOICE, {"A": 2}, "two\n"),
    (CHOICE, {"A": 3}, "other\n"),
    (UNKNOWN, {"A": 1}, UNKNOWN),
    (NESTED, {"A": 0}, "end\n"),
    (NESTED, {"A": 1, "B": 0}, "#ifdef C\nc\n#endif\nend\n"),
    (CONTINUED, {"A": 0, "B": 1}, "x\n"),
    (CONTINUED, {"A": 0, "B": 2}, ""),
]
GLUE = """\
#include "version.h"
#if QDB_WRAPPERS_ARE_OURS
#define BODY static
#else
#define BODY
#endif

BODY int f(void);
"""


def test_constants() -> None:
    assert interface.constants(NUMBERS) == VALUES


@pytest.mark.parametrize("text", ["__import__('os')", "(1).real", "9 ** 9", "1 ; 2"])
def test_nothing_is_called(text: str) -> None:
    assert number(text, {}) == text


def test_declarations() -> None:
    found = prototypes.declared(HEADER)
    assert " ".join(found) == "bdrv_co_one hbitmap_two hbitmap_three hbitmap_three_and_a_half"
    wanted = "bool bdrv_co_one(BlockDriverState *bs, const char *name, Error **errp)"
    assert str(found["bdrv_co_one"]) == wanted


@pytest.mark.parametrize("other, same", PROTOTYPES.items())
def test_types(other: str, same: bool) -> None:
    one, two = (prototypes.declared(text)["hbitmap_x"].types() for text in (PROTOTYPE, other))
    assert (one == two) == same


@pytest.mark.parametrize("text, known, wanted", BRANCHES)
def test_branches(text: str, known: dict[str, int], wanted: str) -> None:
    assert glue.without_other_versions(text, known) == wanted


def test_glue_of_a_version(tmp_path: Path) -> None:
    shutil.copy(paths.ROOT / "qemu" / "glue" / "version.h", tmp_path)
    file = tmp_path / "file.c"
    file.write_text(GLUE)
    assert glue.file(tmp_path, "10.2", file.name) == "\nint f(void);\n"
    assert glue.file(tmp_path, "7.2", file.name) == "#define BODY static\n\nBODY int f(void);\n"
    file.write_text("#ifdef QDB_WRAPPERS_ARE_OURS\n#endif\n")
    with pytest.raises(ValueError):
        glue.file(tmp_path, "10.2", file.name)
