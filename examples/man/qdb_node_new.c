/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>
#include <qemu_dirty_bitmap.h>

int main(void)
{
    BlockDriverState *disk = qdb_node_new(1 << 30, 65536, "disk");
    BdrvDirtyBitmap *bitmap = bdrv_create_dirty_bitmap(disk, 65536, "backup", &error_fatal);
    Error *error = NULL;

    /* A name is given once. */
    if (bdrv_create_dirty_bitmap(disk, 65536, "backup", &error) ||
        strcmp(qdb_error_message(error), "Bitmap already exists: backup") != 0) {
        return 1;
    }
    qdb_error_free(error);
    bdrv_release_dirty_bitmap(bitmap);
    qdb_node_free(disk);
}
