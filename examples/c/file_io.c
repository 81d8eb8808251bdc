/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "file_io.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "complain.h"

int64_t read_at(int fd, void *buffer, size_t size, int64_t offset)
{
    size_t done = 0;

    while (done < size) {
        ssize_t got = pread(fd, (char *)buffer + done, size - done, offset + (int64_t)done);

        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return -1;
        }
        if (got == 0) {
            break;
        }
        done += (size_t)got;
    }
    return (int64_t)done;
}

bool write_at(int fd, const void *buffer, size_t size, int64_t offset)
{
    size_t done = 0;

    while (done < size) {
        ssize_t put = pwrite(fd, (const char *)buffer + done, size - done, offset + (int64_t)done);

        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put <= 0) {
            errno = put < 0 ? errno : EIO;
            return false;
        }
        done += (size_t)put;
    }
    return true;
}

static void end(struct new_file *file)
{
    if (file->fd >= 0) {
        close(file->fd);
    }
    free(file->unfinished);
    file->fd = -1;
    file->unfinished = NULL;
}

bool new_file_begin(struct new_file *file, const char *path)
{
    file->path = path;
    file->fd = -1;
    if (asprintf(&file->unfinished, "%s.unfinished", path) < 0) {
        file->unfinished = NULL;
        return complain("out of memory");
    }
    /* One that was left by a program that died is of no use to anybody. */
    file->fd = open(file->unfinished, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (file->fd < 0) {
        complain_errno(file->unfinished, "create it");
        end(file);
        return false;
    }
    return true;
}

/* A name is durable when its folder is. */
static bool sync_folder_of(const char *path)
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

bool new_file_finish(struct new_file *file, bool replace)
{
    if (fsync(file->fd) != 0) {
        complain_errno(file->unfinished, "make it durable");
        new_file_abandon(file);
        return false;
    }
    if (renameat2(AT_FDCWD, file->unfinished, AT_FDCWD, file->path, replace ? 0 : RENAME_NOREPLACE) != 0) {
        complain_errno(file->path, "give a file that name");
        new_file_abandon(file);
        return false;
    }
    end(file);
    return sync_folder_of(file->path) || complain_errno(file->path, "make the folder that it is in durable");
}

void new_file_abandon(struct new_file *file)
{
    unlink(file->unfinished);
    end(file);
}
