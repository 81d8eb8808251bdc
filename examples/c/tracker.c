/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tracker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "complain.h"

#define BITMAP_NAME "since-last-backup"
#define GRANULARITY 65536

/* A clean bitmap that records. */
static bool make_bitmap(struct tracker *tracker, uint32_t granularity)
{
    Error *error = NULL;

    tracker->bitmap = bdrv_create_dirty_bitmap(tracker->node, granularity, BITMAP_NAME, &error);
    if (!tracker->bitmap) {
        complain("%s: %s", tracker->disk.path, qdb_error_message(error));
        qdb_error_free(error);
        return false;
    }
    /* It is kept in a file; only such bitmaps can become inconsistent. */
    bdrv_dirty_bitmap_set_persistence(tracker->bitmap, true);
    return true;
}

/* Whether a header belongs to the image as it is now, and what is wrong if it does not. */
static bool fits(const struct tracker *tracker, const struct bitmap_header *header, const char **why)
{
    struct timespec changed;

    if (header->state == BITMAP_IN_USE) {
        *why = "it was not saved: the program that used it died";
    } else if (header->state == BITMAP_LOST) {
        *why = "it was lost before";
    } else if (header->disk_size != tracker->disk.size) {
        *why = "the image has another size";
    } else if (!disk_changed_at(&tracker->disk, &changed) || changed.tv_sec != header->changed.tv_sec ||
               changed.tv_nsec != header->changed.tv_nsec) {
        *why = "the image was changed by another program";
    } else {
        return true;
    }
    return false;
}

static bool load(struct tracker *tracker)
{
    struct bitmap_header header = {.granularity = GRANULARITY};
    bool trusted = bitmap_file_read_header(tracker->bitmap_path, &header, &tracker->lost) && fits(tracker, &header, &tracker->lost);

    if (!make_bitmap(tracker, trusted ? header.granularity : GRANULARITY)) {
        return false;
    }
    if (trusted && bitmap_file_read_bits(tracker->bitmap_path, tracker->bitmap, &tracker->lost)) {
        memcpy(tracker->last_backup, header.last_backup, BACKUP_ID_SIZE);
        return true;
    }
    bdrv_dirty_bitmap_set_inconsistent(tracker->bitmap);
    return true;
}

bool tracker_open(struct tracker *tracker, const char *image)
{
    *tracker = (struct tracker){0};
    if (!disk_open(&tracker->disk, image)) {
        return false;
    }
    tracker->node = qdb_node_new(tracker->disk.size, 0, image);
    if (asprintf(&tracker->bitmap_path, "%s.bitmap", image) < 0) {
        tracker->bitmap_path = NULL;
        complain("out of memory");
        tracker_close(tracker);
        return false;
    }
    if (!load(tracker)) {
        tracker_close(tracker);
        return false;
    }
    return true;
}

bool tracker_is_trusted(const struct tracker *tracker)
{
    return !bdrv_dirty_bitmap_inconsistent(tracker->bitmap) ||
           complain("%s: the bitmap is of no use (%s): a full backup is needed", tracker->bitmap_path, tracker->lost);
}

void tracker_close(struct tracker *tracker)
{
    bdrv_release_named_dirty_bitmaps(tracker->node);
    qdb_node_free(tracker->node);
    free(tracker->bitmap_path);
    disk_close(&tracker->disk);
}

static bool current_header(struct tracker *tracker, struct bitmap_header *header)
{
    *header = (struct bitmap_header){
        .state = bdrv_dirty_bitmap_inconsistent(tracker->bitmap) ? BITMAP_LOST : BITMAP_CLEAN,
        .granularity = bdrv_dirty_bitmap_granularity(tracker->bitmap),
        .disk_size = tracker->disk.size,
    };
    memcpy(header->last_backup, tracker->last_backup, BACKUP_ID_SIZE);
    return disk_changed_at(&tracker->disk, &header->changed);
}

bool tracker_begin_writes(struct tracker *tracker)
{
    struct bitmap_header header;

    /* A bitmap that is of no use stays so, whatever happens. */
    return bdrv_dirty_bitmap_inconsistent(tracker->bitmap) ||
           (current_header(tracker, &header) && bitmap_file_mark_in_use(tracker->bitmap_path, &header));
}

void tracker_record(struct tracker *tracker, int64_t offset, int64_t bytes)
{
    bdrv_set_dirty(tracker->node, offset, bytes);
}

bool tracker_save(struct tracker *tracker)
{
    struct bitmap_header header;

    if (fsync(tracker->disk.fd) != 0) {
        return complain_errno(tracker->disk.path, "make it durable");
    }
    return current_header(tracker, &header) && bitmap_file_write(tracker->bitmap_path, &header, tracker->bitmap);
}

bool tracker_restart(struct tracker *tracker)
{
    bdrv_release_dirty_bitmap(tracker->bitmap);
    tracker->lost = NULL;
    return make_bitmap(tracker, GRANULARITY);
}

bool tracker_next_area(struct tracker *tracker, int64_t from, int64_t most, int64_t *offset, int64_t *bytes)
{
    bool found;

    bdrv_dirty_bitmap_lock(tracker->bitmap);
    found = bdrv_dirty_bitmap_next_dirty_area(tracker->bitmap, from, tracker->disk.size, most, offset, bytes);
    bdrv_dirty_bitmap_unlock(tracker->bitmap);
    return found;
}
