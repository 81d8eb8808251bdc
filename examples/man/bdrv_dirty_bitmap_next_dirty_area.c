/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <assert.h>
#include <qemu_dirty_bitmap.h>

int main(void)
{
    BlockDriverState *disk = qdb_node_new(1 << 30, 0, "disk");
    BdrvDirtyBitmap *bitmap = bdrv_create_dirty_bitmap(disk, 65536, "backup", &error_fatal);
    int64_t start = 0, count = 0, copied = 0;

    bdrv_set_dirty(disk, 0, 1);
    bdrv_set_dirty(disk, 500000, 200000);
    bdrv_dirty_bitmap_lock(bitmap);
    while (bdrv_dirty_bitmap_next_dirty_area(bitmap, start + count, INT64_MAX, INT64_MAX,
                                             &start, &count)) {
        copied += count;
    }
    bdrv_dirty_bitmap_unlock(bitmap);
    assert(copied == bdrv_get_dirty_count(bitmap));
    bdrv_release_dirty_bitmap(bitmap);
    qdb_node_free(disk);
}
