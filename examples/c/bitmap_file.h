/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A disk's dirty bitmap, which is kept in a file from one run to the next. */
#ifndef BITMAP_FILE_H
#define BITMAP_FILE_H

#include <stdbool.h>

#include <qemu_dirty_bitmap.h>

/* Says what is wrong, and frees it; false. */
bool complain(const char *path, Error *error);
bool complain_errno(const char *path, const char *what);

/* False if the image has a name that the functions below write to or rename. */
bool bitmap_file_is_apart(const char *path, int image);

/*
 * Loads the bitmap of a disk, which is open as `image`. If there is none that can be believed, says
 * so: true, and *bitmap is NULL. False if the file cannot be opened, or is something else.
 */
bool bitmap_file_load(const char *path, int image, BlockDriverState *node,
                      BdrvDirtyBitmap **bitmap);

/* Before the first write. If this program dies, the next one must not believe what it finds. */
bool bitmap_file_mark_in_use(const char *path);

/* Instead, if the file was not believed: a later program may not see why. */
bool bitmap_file_put_aside(const char *path);

/* Replaces the file. The disk is synced, and nothing writes to it any more. */
bool bitmap_file_save(const char *path, int image, BdrvDirtyBitmap *bitmap);

#endif
