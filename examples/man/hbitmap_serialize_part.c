/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <assert.h>
#include <stdlib.h>
#include <qemu_dirty_bitmap.h>

int main(void)
{
    const uint64_t size = 1 << 20;
    HBitmap *hb = hbitmap_alloc(size, 0), *loaded = hbitmap_alloc(size, 0);
    uint64_t part = 64 * hbitmap_serialization_align(hb);
    uint8_t *buf = malloc(hbitmap_serialization_size(hb, 0, part));

    hbitmap_set(hb, 12345, 678);
    for (uint64_t start = 0; start < size; start += part) {
        hbitmap_serialize_part(hb, buf, start, part);
        /* ... to a file, and back ... */
        hbitmap_deserialize_part(loaded, buf, start, part, false);
    }
    hbitmap_deserialize_finish(loaded);
    assert(hbitmap_count(loaded) == 678 && hbitmap_get(loaded, 12345));
    free(buf);
    hbitmap_free(hb);
    hbitmap_free(loaded);
}
