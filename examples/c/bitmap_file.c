/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "bitmap_file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

bool complain(const char *path, Error *error)
{
    nbdkit_error("%s: %s", path, qdb_error_message(error));
    qdb_error_free(error);
    return false;
}

bool complain_errno(const char *path, const char *what)
{
    nbdkit_error("%s: cannot %s: %m", path, what);
    return false;
}

/* A saved bitmap has its image's time of change: it belongs to the image as it was then. */
static bool fits(int fd, int image)
{
    struct stat saved, now;

    return fstat(fd, &saved) == 0 && fstat(image, &now) == 0 &&
           saved.st_mtim.tv_sec == now.st_mtim.tv_sec &&
           saved.st_mtim.tv_nsec == now.st_mtim.tv_nsec;
}

static bool give_time_of(int image, int fd)
{
    struct stat about;

    return fstat(image, &about) == 0 &&
           futimens(fd, (struct timespec[]){{.tv_nsec = UTIME_OMIT}, about.st_mtim}) == 0;
}

static BdrvDirtyBitmap *load(const char *path, int fd, int image, BlockDriverState *node)
{
    Error *error = NULL;
    BdrvDirtyBitmap *bitmap = qdb_bitmap_load(node, fd, &error);
    char more;

    if (!bitmap) {
        complain(path, error);
        return NULL;
    }
    if (read(fd, &more, 1) == 0 && fits(fd, image)) {
        return bitmap;
    }
    nbdkit_error("%s: something follows it, or another program has changed the image", path);
    bdrv_release_dirty_bitmap(bitmap);
    return NULL;
}

bool bitmap_file_load(const char *path, int image, BlockDriverState *node,
                      BdrvDirtyBitmap **bitmap)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);

    *bitmap = NULL;
    if (fd < 0) {
        return complain_errno(path, "open it") || errno == ENOENT;
    }
    *bitmap = load(path, fd, image, node);
    close(fd);
    return true;
}

bool bitmap_file_mark_in_use(const char *path)
{
    Error *error = NULL;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    bool good;

    if (fd < 0) {
        return complain_errno(path, "open it");
    }
    good = qdb_bitmap_mark_in_use(fd, 0, &error) || complain(path, error);
    close(fd);
    return good;
}

/* What a file of the folder is called, or that it is gone, outlives a loss of power then. */
static bool sync_folder(const char *path)
{
    char *copy = strdup(path);
    int fd = copy ? open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    bool good = fd >= 0 && fsync(fd) == 0;

    if (fd >= 0) {
        close(fd);
    }
    free(copy);
    return good;
}

bool bitmap_file_put_aside(const char *path)
{
    char *aside;
    bool good;

    if (asprintf(&aside, "%s.refused", path) < 0) {
        return complain_errno(path, "rename it");
    }
    good = ((rename(path, aside) == 0 || errno == ENOENT) && sync_folder(path)) ||
           complain_errno(path, "rename it");
    free(aside);
    return good;
}

bool bitmap_file_save(const char *path, int image, BdrvDirtyBitmap *bitmap)
{
    Error *error = NULL;
    char *new_path;
    int fd;
    bool good;

    if (asprintf(&new_path, "%s.new", path) < 0) {
        return complain_errno(path, "write it");
    }
    fd = open(new_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd >= 0 && !qdb_bitmap_save(bitmap, fd, &error)) {
        good = complain(new_path, error);
    } else {
        /* The image first: what a backup reads later must be what the bitmap says. */
        good = (fd >= 0 && fsync(image) == 0 && give_time_of(image, fd) && fsync(fd) == 0 &&
                rename(new_path, path) == 0 && sync_folder(path)) ||
               complain_errno(new_path, "write it");
    }
    if (fd >= 0) {
        close(fd);
    }
    if (fd >= 0 && !good) {
        unlink(new_path);
    }
    free(new_path);
    return good;
}
