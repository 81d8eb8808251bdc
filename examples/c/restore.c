/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backup_file.h"
#include "commands.h"
#include "complain.h"
#include "file_io.h"

/* What is being made, and the backup that was applied last. */
struct restored {
    const char *path;
    int fd;
    struct backup_header last;
};

/* Whether a backup is the one that comes next. The first one gives the disk its size. */
static bool accept(struct restored *disk, const char *path, const struct backup_header *header, bool first)
{
    if (first) {
        if (!backup_is_full(header)) {
            return complain("%s: is an incremental backup; a full one comes first", path);
        }
        if (ftruncate(disk->fd, header->disk_size) != 0) {
            return complain_errno(disk->path, "give it the disk's size");
        }
    } else if (memcmp(header->before, disk->last.identity, BACKUP_ID_SIZE) != 0) {
        return complain("%s: does not follow the backup before it: one is missing, or they are of two disks", path);
    } else if (header->disk_size != disk->last.disk_size) {
        return complain("%s: is of a disk of another size", path);
    }
    disk->last = *header;
    return true;
}

static bool apply_pieces(struct restored *disk, struct backup_file *backup, uint8_t *buffer)
{
    int64_t offset;
    uint32_t length;

    for (;;) {
        if (!backup_read_piece(backup, disk->last.disk_size, &offset, buffer, &length)) {
            return false;
        }
        if (length == 0) {
            return true;
        }
        if (!write_at(disk->fd, buffer, length, offset)) {
            return complain_errno(disk->path, "write it");
        }
    }
}

static bool apply(struct restored *disk, const char *path, bool first, uint8_t *buffer)
{
    struct backup_file backup = {.path = path, .file = fopen(path, "rbe")};
    struct backup_header header;
    bool good;

    if (!backup.file) {
        return complain_errno(path, "open it");
    }
    good = backup_read_header(&backup, &header) && accept(disk, path, &header, first) && apply_pieces(disk, &backup, buffer);
    fclose(backup.file);
    return good;
}

static bool apply_all(struct restored *disk, char **backups, int count)
{
    uint8_t *buffer = malloc(PIECE_MAX);
    bool good = buffer || complain("out of memory");

    for (int i = 0; good && i < count; i++) {
        good = apply(disk, backups[i], i == 0, buffer);
    }
    free(buffer);
    return good;
}

int command_restore(const char *image, char **backups, int count)
{
    struct restored disk = {.path = image};
    struct new_file file;

    if (!new_file_begin(&file, image)) {
        return EXIT_BAD;
    }
    disk.fd = file.fd;
    if (!apply_all(&disk, backups, count)) {
        new_file_abandon(&file);
        return EXIT_BAD;
    }
    return new_file_finish(&file, false) ? EXIT_GOOD : EXIT_BAD;
}
