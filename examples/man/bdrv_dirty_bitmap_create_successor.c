/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <assert.h>
#include <qemu_dirty_bitmap.h>

int main(void)
{
    BlockDriverState *disk = qdb_node_new(1 << 30, 0, "disk");
    BdrvDirtyBitmap *bitmap = bdrv_create_dirty_bitmap(disk, 65536, "backup", &error_fatal);

    bdrv_set_dirty(disk, 0, 1);
    /* A backup begins: what it copies stands still, and the successor records. */
    bdrv_dirty_bitmap_create_successor(bitmap, &error_fatal);
    bdrv_set_dirty(disk, 1 << 20, 1);
    assert(bdrv_get_dirty_count(bitmap) == 65536);
    /* It succeeded. (If not: bdrv_reclaim_dirty_bitmap(), and both writes are dirty.) */
    bitmap = bdrv_dirty_bitmap_abdicate(bitmap, &error_fatal);
    assert(bdrv_get_dirty_count(bitmap) == 65536);
    bdrv_release_dirty_bitmap(bitmap);
    qdb_node_free(disk);
}
