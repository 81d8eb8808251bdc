/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A program that uses the installed library, as C and as C++: a disk of 1 GiB, a few writes, what
 * is dirty then.
 *
 * Its argument is the version that the library should say it has.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <qemu_dirty_bitmap.h>

#define KIB ((int64_t)1024)

static void expect(bool good, const char *what)
{
    if (!good) {
        fprintf(stderr, "consumer: %s\n", what);
        exit(1);
    }
}

static void check_areas(BdrvDirtyBitmap *bitmap)
{
    int64_t start = 0, count = 0;

    expect(bdrv_get_dirty_count(bitmap) == 3 * 64 * KIB, "not three dirty units");
    bdrv_dirty_bitmap_lock(bitmap);
    expect(bdrv_dirty_bitmap_next_dirty_area(bitmap, 0, INT64_MAX, INT64_MAX, &start, &count),
           "no dirty area");
    expect(start == 64 * KIB && count == 128 * KIB, "the first dirty area is another");
    expect(bdrv_dirty_bitmap_next_dirty(bitmap, start + count, INT64_MAX) == 512 * KIB * KIB,
           "the second dirty area is another");
    bdrv_dirty_bitmap_unlock(bitmap);
}

static void check_error(BlockDriverState *node)
{
    Error *error = NULL;

    expect(!bdrv_create_dirty_bitmap(node, 65536, "writes", &error), "two bitmaps of one name");
    expect(strcmp(qdb_error_message(error), "Bitmap already exists: writes") == 0,
           "another error message");
    qdb_error_free(error);
}

int main(int count, char **words)
{
    BlockDriverState *node = qdb_node_new(1024 * KIB * KIB, 0, "disk");
    BdrvDirtyBitmap *bitmap = bdrv_create_dirty_bitmap(node, 65536, "writes", &error_fatal);
    HBitmap *plain = hbitmap_alloc(1000, 0);

    expect(count == 2 && strcmp(words[1], qdb_version()) == 0, "the library has another version");
    bdrv_set_dirty(node, 64 * KIB + 10, 64 * KIB);
    bdrv_set_dirty(node, 512 * KIB * KIB, 1);
    check_areas(bitmap);
    check_error(node);
    hbitmap_set(plain, 10, 20);
    expect(hbitmap_count(plain) == 20, "not 20 items");
    hbitmap_free(plain);
    bdrv_release_dirty_bitmap(bitmap);
    qdb_node_free(node);
    puts("consumer: all as expected");
    return 0;
}
