/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A raw disk image, for one program at a time. */
#ifndef DISK_H
#define DISK_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

struct disk {
    const char *path;
    int fd;
    int64_t size; /* bytes */
};

/* Opens the image and locks it. Says on stderr what goes wrong, and is false then. */
bool disk_open(struct disk *disk, const char *path);
void disk_close(struct disk *disk);

/* When the image was last written to. */
bool disk_changed_at(const struct disk *disk, struct timespec *when);

#endif
