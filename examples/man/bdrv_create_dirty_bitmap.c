/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <assert.h>
#include <qemu_dirty_bitmap.h>

int main(void)
{
    BlockDriverState *disk = qdb_node_new(1 << 30, 0, "disk");
    BdrvDirtyBitmap *bitmap = bdrv_create_dirty_bitmap(disk, 65536, "backup", &error_fatal);

    bdrv_set_dirty(disk, 4096, 4096);
    assert(bdrv_find_dirty_bitmap(disk, "backup") == bitmap);
    assert(bdrv_get_dirty_count(bitmap) == 65536);
    bdrv_release_dirty_bitmap(bitmap);
    qdb_node_free(disk);
}
