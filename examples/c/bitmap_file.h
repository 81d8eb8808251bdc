/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The file IMAGE.bitmap: which parts of the image changed since the last backup.
 *
 * It is true only while nobody writes to the image. So it is marked as in use before the first write, and written anew at the end; a
 * file that is found marked was not: its program died, and what it knew is lost.
 */
#ifndef BITMAP_FILE_H
#define BITMAP_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include <qemu_dirty_bitmap.h>

#define BACKUP_ID_SIZE 16

enum bitmap_state {
    BITMAP_CLEAN = 1, /* as its program left it */
    BITMAP_IN_USE,    /* a program changes the image, or died while it did */
    BITMAP_LOST,      /* it was found to be useless, and has to be made anew */
};

struct bitmap_header {
    enum bitmap_state state;
    uint32_t granularity;                /* bytes that one bit stands for */
    int64_t disk_size;                   /* bytes */
    struct timespec changed;             /* when the image was last written to */
    uint8_t last_backup[BACKUP_ID_SIZE]; /* the backup that the bitmap starts at */
};

/* Reads the header. `why` receives what a person is told if the file is missing or useless; false then. */
bool bitmap_file_read_header(const char *path, struct bitmap_header *header, const char **why);

/* Reads the bits, of which the header has the granularity and the size. `why` as above. */
bool bitmap_file_read_bits(const char *path, BdrvDirtyBitmap *bitmap, const char **why);

/* Writes the file anew. Says on stderr what goes wrong, and is false then. */
bool bitmap_file_write(const char *path, const struct bitmap_header *header, BdrvDirtyBitmap *bitmap);

/* Marks the file as in use. As bitmap_file_write(). */
bool bitmap_file_mark_in_use(const char *path, struct bitmap_header *header);

#endif
