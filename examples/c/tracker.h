/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A disk image and the dirty bitmap that knows what changed in it since its last backup. */
#ifndef TRACKER_H
#define TRACKER_H

#include <stdbool.h>
#include <stdint.h>

#include <qemu_dirty_bitmap.h>

#include "bitmap_file.h"
#include "disk.h"

struct tracker {
    struct disk disk;
    BlockDriverState *node;  /* what the library attaches bitmaps to */
    BdrvDirtyBitmap *bitmap; /* inconsistent if a full backup is needed, */
    const char *lost;        /* and then this is why; else NULL */
    char *bitmap_path;
    uint8_t last_backup[BACKUP_ID_SIZE];
};

/*
 * Opens an image and loads its bitmap. A bitmap that cannot be trusted is no error: it is inconsistent then.
 * Functions that return false have said why on stderr.
 */
bool tracker_open(struct tracker *tracker, const char *image);
void tracker_close(struct tracker *tracker);

/* Whether the bitmap knows all that changed since the last backup. */
bool tracker_is_trusted(const struct tracker *tracker);

/* From here on the image may be written to, after each tracker_record(). */
bool tracker_begin_writes(struct tracker *tracker);

/* A write is about to be made. */
void tracker_record(struct tracker *tracker, int64_t offset, int64_t bytes);

/* Makes image and bitmap durable. */
bool tracker_save(struct tracker *tracker);

/* A full backup was made: whatever the bitmap was, it is clean and trusted now. */
bool tracker_restart(struct tracker *tracker);

/* The next dirty area at or after `from`, at most `most` bytes long; false at the end. */
bool tracker_next_area(struct tracker *tracker, int64_t from, int64_t most, int64_t *offset, int64_t *bytes);

#endif
