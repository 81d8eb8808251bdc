/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A backup: pieces of a disk image. All numbers are big-endian.
 *
 *   "QDBACKUP", size of the disk (8 bytes), identity (16 random bytes), identity of the backup before it (zeroes: a full backup),
 *   CRC-32 of all before it
 *   pieces: offset (8), length (4), that many bytes, CRC-32 of all before it
 *   the end: a piece at offset 2^64 - 1 of length 0, CRC-32 of all before it
 *
 * The CRC goes on through the whole file, so a piece that is missing or out of its place is noticed as a damaged one is.
 */
#ifndef BACKUP_FILE_H
#define BACKUP_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "bitmap_file.h"

#define PIECE_MAX (1024 * 1024)

struct backup_header {
    int64_t disk_size;
    uint8_t identity[BACKUP_ID_SIZE];
    uint8_t before[BACKUP_ID_SIZE];
};

bool backup_is_full(const struct backup_header *header);

struct backup_file {
    FILE *file;
    const char *path;
    uint32_t crc;
};

/* Each of these is false on error; the caller says that about a writer, the functions themselves about a reader. */
bool backup_write_header(struct backup_file *backup, const struct backup_header *header);
bool backup_write_piece(struct backup_file *backup, int64_t offset, const uint8_t *data, uint32_t length);
bool backup_write_end(struct backup_file *backup);

bool backup_read_header(struct backup_file *backup, struct backup_header *header);
/* The next piece into `data` (PIECE_MAX bytes); a length of 0 at the end. */
bool backup_read_piece(struct backup_file *backup, int64_t disk_size, int64_t *offset, uint8_t *data, uint32_t *length);

#endif
