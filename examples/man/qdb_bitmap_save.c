/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <qemu_dirty_bitmap.h>

int main(void)
{
    char new_file[] = "/tmp/backup.bitmap.XXXXXX", file[] = "/tmp/backup.bitmap.XXXXXX";
    int fd = mkstemp(new_file), old = mkstemp(file), folder = open("/tmp", O_RDONLY);
    BlockDriverState *disk = qdb_node_new(1 << 30, 0, "disk");
    BdrvDirtyBitmap *bitmap = bdrv_create_dirty_bitmap(disk, 65536, "backup", &error_fatal);

    bdrv_set_dirty(disk, 4096, 4096);
    /* The file is whole and on the disk before it has its name. */
    qdb_bitmap_save(bitmap, fd, &error_fatal);
    if (fsync(fd) != 0 || rename(new_file, file) != 0 || fsync(folder) != 0) {
        perror(file);
        return 1;
    }

    bdrv_release_dirty_bitmap(bitmap);
    qdb_node_free(disk);
    close(folder);
    close(old);
    close(fd);
    return unlink(file);
}
