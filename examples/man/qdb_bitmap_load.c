/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <qemu_dirty_bitmap.h>

int main(void)
{
    char file[] = "/tmp/backup.bitmap.XXXXXX";
    int fd = mkstemp(file);
    BlockDriverState *disk = qdb_node_new(1 << 30, 0, "disk");
    BdrvDirtyBitmap *bitmap = bdrv_create_dirty_bitmap(disk, 65536, "backup", &error_fatal);
    Error *err = NULL;

    qdb_bitmap_save(bitmap, fd, &error_fatal);
    bdrv_release_named_dirty_bitmaps(disk);

    lseek(fd, 0, SEEK_SET);
    qdb_bitmap_load(disk, fd, &error_fatal);
    /* From here on the file is not true: a crash leaves the mark. */
    qdb_bitmap_mark_in_use(fd, 0, &error_fatal);
    bdrv_set_dirty(disk, 4096, 4096);
    bdrv_release_named_dirty_bitmaps(disk);

    lseek(fd, 0, SEEK_SET);
    if (qdb_bitmap_load(disk, fd, &err)) {
        return 1;
    }
    fprintf(stderr, "%s\n", qdb_error_message(err));
    qdb_error_free(err);
    qdb_node_free(disk);
    close(fd);
    return unlink(file);
}
