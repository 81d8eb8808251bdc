/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "backup_file.h"
#include "commands.h"
#include "complain.h"
#include "file_io.h"
#include "tracker.h"

static bool only_zeroes(const uint8_t *data, size_t size)
{
    return data[0] == 0 && memcmp(data, data + 1, size - 1) == 0;
}

static bool copy_piece(struct backup_file *backup, const struct disk *disk, int64_t offset, uint32_t length, bool full, uint8_t *buffer)
{
    if (read_at(disk->fd, buffer, length, offset) != length) {
        return complain("%s: cannot read %" PRIu32 " bytes at %" PRId64, disk->path, length, offset);
    }
    /* A restore begins with zeroes, so a full backup need not have them. */
    if (full && only_zeroes(buffer, length)) {
        return true;
    }
    return backup_write_piece(backup, offset, buffer, length) || complain_errno(backup->path, "write it");
}

/* The next piece that belongs in the backup: the next of the disk, or the next dirty one. */
static bool next_piece(struct tracker *tracker, bool full, int64_t from, int64_t *offset, int64_t *length)
{
    int64_t left = tracker->disk.size - from;

    if (!full) {
        return tracker_next_area(tracker, from, PIECE_MAX, offset, length);
    }
    *offset = from;
    *length = left < PIECE_MAX ? left : PIECE_MAX;
    return left > 0;
}

static bool copy_pieces(struct backup_file *backup, struct tracker *tracker, bool full)
{
    int64_t offset, length, from = 0;
    uint8_t *buffer = malloc(PIECE_MAX);
    bool good = buffer || complain("out of memory");

    while (good && next_piece(tracker, full, from, &offset, &length)) {
        good = copy_piece(backup, &tracker->disk, offset, (uint32_t)length, full, buffer);
        from = offset + length;
    }
    free(buffer);
    return good;
}

static bool write_backup(const char *path, struct tracker *tracker, const struct backup_header *header)
{
    struct backup_file backup = {.path = path};
    struct new_file file;
    bool good;

    if (!new_file_begin(&file, path)) {
        return false;
    }
    backup.file = fdopen(dup(file.fd), "wb");
    good = (backup.file && backup_write_header(&backup, header)) || complain_errno(path, "write it");
    good = good && copy_pieces(&backup, tracker, backup_is_full(header));
    good = good && (backup_write_end(&backup) || complain_errno(path, "write it"));
    if (backup.file) {
        fclose(backup.file);
    }
    if (!good) {
        new_file_abandon(&file);
        return false;
    }
    return new_file_finish(&file, false);
}

static bool make_full(struct tracker *tracker, const char *path, const struct backup_header *header)
{
    return write_backup(path, tracker, header) && tracker_restart(tracker);
}

/* The library's own way: the bitmap stands still and a successor records; who of the two stays depends on how the backup ends. */
static bool make_incremental(struct tracker *tracker, const char *path, const struct backup_header *header)
{
    Error *error = NULL;
    bool good;

    if (bdrv_dirty_bitmap_create_successor(tracker->bitmap, &error) != 0) {
        complain("%s: %s", tracker->disk.path, qdb_error_message(error));
        qdb_error_free(error);
        return false;
    }
    good = write_backup(path, tracker, header);
    tracker->bitmap =
        good ? bdrv_dirty_bitmap_abdicate(tracker->bitmap, &error_abort) : bdrv_reclaim_dirty_bitmap(tracker->bitmap, &error_abort);
    return good;
}

static int backup(struct tracker *tracker, const char *path, bool full)
{
    struct backup_header header = {.disk_size = tracker->disk.size};
    bool good;

    if (getrandom(header.identity, BACKUP_ID_SIZE, 0) != BACKUP_ID_SIZE) {
        complain("no random numbers: %s", strerror(errno));
        return EXIT_BAD;
    }
    if (!full) {
        if (!tracker_is_trusted(tracker)) {
            return EXIT_FULL_BACKUP_NEEDED;
        }
        memcpy(header.before, tracker->last_backup, BACKUP_ID_SIZE);
    }
    good = full ? make_full(tracker, path, &header) : make_incremental(tracker, path, &header);
    if (!good) {
        return EXIT_BAD;
    }
    /*
     * If the program dies before the bitmap is saved, the old one stays, which has all that changed since the backup before; the new
     * backup is then not part of the chain, and a restore says so.
     */
    memcpy(tracker->last_backup, header.identity, BACKUP_ID_SIZE);
    return tracker_save(tracker) ? EXIT_GOOD : EXIT_BAD;
}

int command_backup(const char *image, const char *path, bool full)
{
    struct tracker tracker;
    int code;

    if (!tracker_open(&tracker, image)) {
        return EXIT_BAD;
    }
    code = backup(&tracker, path, full);
    tracker_close(&tracker);
    return code;
}
