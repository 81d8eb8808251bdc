/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "disk.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "complain.h"

static bool check(struct disk *disk)
{
    struct stat about;

    if (fstat(disk->fd, &about) != 0) {
        return complain_errno(disk->path, "read its size");
    }
    if (!S_ISREG(about.st_mode)) {
        return complain("%s: not a regular file", disk->path);
    }
    if (about.st_size == 0) {
        return complain("%s: is empty", disk->path);
    }
    disk->size = about.st_size;
    /* Two programs that track writes know only half of them each. */
    if (flock(disk->fd, LOCK_EX | LOCK_NB) != 0) {
        return errno == EWOULDBLOCK ? complain("%s: another nbd-track uses it: stop that one first", disk->path)
                                    : complain_errno(disk->path, "lock it");
    }
    return true;
}

bool disk_open(struct disk *disk, const char *path)
{
    disk->path = path;
    disk->fd = open(path, O_RDWR | O_CLOEXEC);
    if (disk->fd < 0) {
        return complain_errno(path, "open it");
    }
    if (!check(disk)) {
        disk_close(disk);
        return false;
    }
    return true;
}

void disk_close(struct disk *disk)
{
    close(disk->fd);
    disk->fd = -1;
}

bool disk_changed_at(const struct disk *disk, struct timespec *when)
{
    struct stat about;

    if (fstat(disk->fd, &about) != 0) {
        return complain_errno(disk->path, "read its time of change");
    }
    *when = about.st_mtim;
    return true;
}
