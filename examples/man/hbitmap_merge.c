/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <assert.h>
#include <qemu_dirty_bitmap.h>

int main(void)
{
    HBitmap *monday = hbitmap_alloc(1000, 0), *tuesday = hbitmap_alloc(1000, 3);

    hbitmap_set(monday, 1, 1);
    hbitmap_set(tuesday, 801, 1); /* its bits stand for 8 items */
    hbitmap_merge(monday, tuesday, monday);
    assert(hbitmap_count(monday) == 9);
    hbitmap_free(monday);
    hbitmap_free(tuesday);
}
