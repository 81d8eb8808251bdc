/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <assert.h>
#include <qemu_dirty_bitmap.h>

int main(void)
{
    BlockDriverState *disk = qdb_node_new(1 << 30, 0, "disk");
    BdrvDirtyBitmap *old = bdrv_create_dirty_bitmap(disk, 512, "old", &error_fatal);
    BdrvDirtyBitmap *new = bdrv_create_dirty_bitmap(disk, 65536, "new", &error_fatal);

    bdrv_disable_dirty_bitmap(old);
    bdrv_set_dirty(disk, 4096, 512); /* a write; each enabled bitmap records it */
    assert(bdrv_get_dirty_count(old) == 0 && bdrv_get_dirty_count(new) == 65536);
    bdrv_release_dirty_bitmap(old);
    bdrv_release_dirty_bitmap(new);
    qdb_node_free(disk);
}
