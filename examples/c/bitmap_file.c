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

/* What the file is called when it is whole, while it is written, and when it was not believed. */
enum { WHOLE, NEW, REFUSED, NAMES };
static const char *const suffixes[NAMES] = {"", ".new", ".refused"};

static char *named(const char *path, int which)
{
    char *name;

    return asprintf(&name, "%s%s", path, suffixes[which]) < 0 ? NULL : name;
}

/* As stat(2). */
static int stat_named(const char *path, int which, struct stat *about)
{
    char *name = named(path, which);
    int result = name ? stat(name, about) : -1;

    free(name);
    return result;
}

bool bitmap_file_is_apart(const char *path, int image)
{
    struct stat file, disk;
    bool good = fstat(image, &disk) == 0;

    for (int which = 0; good && which < NAMES; which++) {
        if (stat_named(path, which, &file) != 0) {
            good = errno == ENOENT;
        } else if (file.st_dev == disk.st_dev && file.st_ino == disk.st_ino) {
            nbdkit_error("%s%s is the image", path, suffixes[which]);
            return false;
        }
    }
    return good || complain_errno(path, "look at it");
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

/* One that is empty, or was cut off, may have been: another file is not to be renamed. */
static bool was_bitmap(const char *path, int fd)
{
    static const char magic[] = "\x89QDB\r\n\x1a\n";
    char start[sizeof magic - 1];
    struct stat about;
    ssize_t length;

    if (fstat(fd, &about) != 0 || !S_ISREG(about.st_mode)) {
        nbdkit_error("%s: not a regular file", path);
        return false;
    }
    length = pread(fd, start, sizeof start, 0);
    if (length < 0) {
        return complain_errno(path, "read it");
    }
    if (memcmp(start, magic, (size_t)length) != 0) {
        nbdkit_error("%s: not a stored bitmap", path);
        return false;
    }
    return true;
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
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
    bool good;

    *bitmap = NULL;
    if (fd < 0) {
        return complain_errno(path, "open it") || errno == ENOENT;
    }
    good = was_bitmap(path, fd);
    if (good) {
        *bitmap = load(path, fd, image, node);
    }
    close(fd);
    return good;
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
    char *aside = named(path, REFUSED);
    bool good = (aside && (rename(path, aside) == 0 || errno == ENOENT) && sync_folder(path)) ||
                complain_errno(path, "rename it");

    free(aside);
    return good;
}

/* The new file is for those that the old one was for; if that can't be, for its owner alone. */
static bool give_mode_of_old(const char *path, int fd)
{
    struct stat old;

    if (stat_named(path, WHOLE, &old) != 0 && stat_named(path, REFUSED, &old) != 0) {
        return errno == ENOENT;
    }
    return fchown(fd, old.st_uid, old.st_gid) != 0 || fchmod(fd, old.st_mode & 0777) == 0;
}

bool bitmap_file_save(const char *path, int image, BdrvDirtyBitmap *bitmap)
{
    Error *error = NULL;
    char *new_path = named(path, NEW);
    int fd = -1;
    bool good;

    /* A run that died may have left one. */
    if (new_path && (unlink(new_path) == 0 || errno == ENOENT)) {
        fd = open(new_path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    }
    if (fd >= 0 && !qdb_bitmap_save(bitmap, fd, &error)) {
        good = complain(new_path, error);
    } else {
        good = (fd >= 0 && give_mode_of_old(path, fd) && give_time_of(image, fd) &&
                fsync(fd) == 0 && rename(new_path, path) == 0 && sync_folder(path)) ||
               complain_errno(path, "replace it");
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
