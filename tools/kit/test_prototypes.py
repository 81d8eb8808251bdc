# SPDX-License-Identifier: GPL-2.0-or-later
"""Tests of how declarations are found in headers, and calls in sources."""
import tempfile
import unittest
from pathlib import Path

from kit import callers, prototypes

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


class Declared(unittest.TestCase):
    def test_names(self):
        found = prototypes.declared(HEADER)
        self.assertEqual(set(found), {"bdrv_co_one", "hbitmap_two", "hbitmap_three", "hbitmap_three_and_a_half"})
        self.assertEqual(str(found["bdrv_co_one"]), "bool bdrv_co_one(BlockDriverState *bs, const char *name, Error **errp)")

    def types(self, text: str):
        return next(iter(prototypes.declared(text).values())).types()

    def test_types(self):
        self.assertEqual(self.types("void hbitmap_x(HBitmap *a, bool b);"), self.types("void hbitmap_x(struct HBitmap* hb, _Bool c);"))
        self.assertNotEqual(self.types("void hbitmap_x(HBitmap *a);"), self.types("void hbitmap_x(const HBitmap *a);"))
        self.assertNotEqual(self.types("void hbitmap_x(HBitmap *a);"), self.types("bool hbitmap_x(HBitmap *a);"))
        self.assertNotEqual(self.types("void hbitmap_x(HBitmap **a);"), self.types("void hbitmap_x(HBitmap *a);"))


class Calls(unittest.TestCase):
    def test_find(self):
        with tempfile.TemporaryDirectory() as name:
            tree = Path(name)
            for file, text in {
                "block/a.c": "void f(void) { bdrv_dirty_x(1); }", "block/b.c": "/* bdrv_dirty_x() */ bs->drv->bdrv_dirty_x(2);",
                "block/dirty-bitmap.c": "int g = bdrv_dirty_x(3);", "include/c.h": "int bdrv_dirty_x(int dirty);",
                "d.c.inc": "FOR_EACH_DIRTY_BITMAP(bs, b) { }", ".pc/e.c": "bdrv_dirty_x(4);",
            }.items():
                (tree / file).parent.mkdir(parents=True, exist_ok=True)
                (tree / file).write_text(text)
            found = callers.find(tree, ["bdrv_dirty_x", "bdrv_dirty_bitmap_first"])
        self.assertEqual(found, {"bdrv_dirty_x": {"block/a.c"}, "bdrv_dirty_bitmap_first": {"d.c.inc"}})


if __name__ == "__main__":
    unittest.main()
