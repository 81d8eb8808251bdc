/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <assert.h>
#include <qemu_dirty_bitmap.h>

int main(void)
{
    HBitmap *hb = hbitmap_alloc(1000, 2);
    HBitmapIter iter;
    int64_t item, last = -1;

    hbitmap_set(hb, 9, 1); /* the bit of the items 8 to 11 */
    hbitmap_set(hb, 400, 4);
    hbitmap_iter_init(&iter, hb, 0);
    while ((item = hbitmap_iter_next(&iter)) >= 0) {
        assert(item == 8 || item == 400);
        last = item;
    }
    assert(last == 400);
    hbitmap_free(hb);
}
