/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whole reads and writes, and files that appear complete or not at all. */
#ifndef FILE_IO_H
#define FILE_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Reads `size` bytes at `offset`. -1 with errno set on error, and the number of bytes, less than `size` only at the file's end. */
int64_t read_at(int fd, void *buffer, size_t size, int64_t offset);

/* Writes all of `size` bytes at `offset`. False with errno set on error. */
bool write_at(int fd, const void *buffer, size_t size, int64_t offset);

/* A file that is written under another name in the same folder. */
struct new_file {
    const char *path;
    char *unfinished;
    int fd;
};

/* Each function says on stderr what goes wrong, and is false then. */
bool new_file_begin(struct new_file *file, const char *path);
/* Makes it durable and gives it its name. Without `replace`, a file of that name is an error. Ends `file` either way. */
bool new_file_finish(struct new_file *file, bool replace);
/* Throws it away. */
void new_file_abandon(struct new_file *file);

#endif
