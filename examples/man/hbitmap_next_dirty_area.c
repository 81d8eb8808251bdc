/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <assert.h>
#include <qemu_dirty_bitmap.h>

int main(void)
{
    HBitmap *hb = hbitmap_alloc(1000, 0);
    int64_t start = 0, count = 0, areas = 0;

    hbitmap_set(hb, 10, 20);
    hbitmap_set(hb, 500, 1);
    while (hbitmap_next_dirty_area(hb, start + count, INT64_MAX, INT64_MAX, &start, &count)) {
        areas++;
    }
    assert(areas == 2 && start == 500 && count == 1);
    hbitmap_free(hb);
}
