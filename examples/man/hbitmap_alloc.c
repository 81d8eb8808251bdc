/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <assert.h>
#include <qemu_dirty_bitmap.h>

int main(void)
{
    /* A disk of 1 TiB, a bit for each 64 KiB. */
    HBitmap *hb = hbitmap_alloc(UINT64_C(1) << 40, 16);

    hbitmap_set(hb, 100000, 1);
    assert(hbitmap_get(hb, 65536) && !hbitmap_get(hb, 0));
    assert(hbitmap_count(hb) == 65536);
    hbitmap_reset_all(hb);
    assert(hbitmap_empty(hb));
    hbitmap_free(hb);
}
