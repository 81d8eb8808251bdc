/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <assert.h>
#include <qemu_dirty_bitmap.h>

int main(void)
{
    BlockDriverState *disk = qdb_node_new(1 << 30, 0, "disk");
    BdrvDirtyBitmap *week = bdrv_create_dirty_bitmap(disk, 65536, "week", &error_fatal);
    BdrvDirtyBitmap *day = bdrv_create_dirty_bitmap(disk, 65536, "day", &error_fatal);

    bdrv_set_dirty_bitmap(week, 0, 65536);
    bdrv_set_dirty_bitmap(day, 1 << 20, 65536);
    bdrv_merge_dirty_bitmap(week, day, NULL, &error_fatal);
    assert(bdrv_get_dirty_count(week) == 2 * 65536);
    bdrv_release_dirty_bitmap(week);
    bdrv_release_dirty_bitmap(day);
    qdb_node_free(disk);
}
