/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "backup_file.h"

#include <string.h>

#include "bytes.h"
#include "complain.h"
#include "crc32.h"

enum { MAGIC = 0, DISK_SIZE = 8, IDENTITY = 16, BEFORE = IDENTITY + BACKUP_ID_SIZE, HEADER_SIZE = BEFORE + BACKUP_ID_SIZE };
enum { OFFSET = 0, LENGTH = 8, PIECE_HEADER_SIZE = 12 };

static const char magic[8] = "QDBACKUP";

bool backup_is_full(const struct backup_header *header)
{
    static const uint8_t nothing[BACKUP_ID_SIZE];

    return memcmp(header->before, nothing, BACKUP_ID_SIZE) == 0;
}

static bool put(struct backup_file *backup, const uint8_t *data, size_t size)
{
    backup->crc = crc32_add(backup->crc, data, size);
    return fwrite(data, 1, size, backup->file) == size;
}

static bool put_crc(struct backup_file *backup)
{
    uint8_t bytes[4];

    put_be32(bytes, backup->crc);
    return put(backup, bytes, sizeof bytes);
}

bool backup_write_header(struct backup_file *backup, const struct backup_header *header)
{
    uint8_t bytes[HEADER_SIZE];

    memcpy(bytes + MAGIC, magic, sizeof magic);
    put_be64(bytes + DISK_SIZE, (uint64_t)header->disk_size);
    memcpy(bytes + IDENTITY, header->identity, BACKUP_ID_SIZE);
    memcpy(bytes + BEFORE, header->before, BACKUP_ID_SIZE);
    return put(backup, bytes, sizeof bytes) && put_crc(backup);
}

static bool write_piece(struct backup_file *backup, uint64_t offset, const uint8_t *data, uint32_t length)
{
    uint8_t bytes[PIECE_HEADER_SIZE];

    put_be64(bytes + OFFSET, offset);
    put_be32(bytes + LENGTH, length);
    return put(backup, bytes, sizeof bytes) && (length == 0 || put(backup, data, length)) && put_crc(backup);
}

bool backup_write_piece(struct backup_file *backup, int64_t offset, const uint8_t *data, uint32_t length)
{
    return write_piece(backup, (uint64_t)offset, data, length);
}

bool backup_write_end(struct backup_file *backup)
{
    return write_piece(backup, UINT64_MAX, NULL, 0) && fflush(backup->file) == 0;
}

static bool get(struct backup_file *backup, uint8_t *data, size_t size)
{
    if (fread(data, 1, size, backup->file) != size) {
        return ferror(backup->file) ? complain_errno(backup->path, "read it") : complain("%s: ends too early", backup->path);
    }
    backup->crc = crc32_add(backup->crc, data, size);
    return true;
}

static bool check_crc(struct backup_file *backup)
{
    uint32_t expected = backup->crc;
    uint8_t bytes[4];

    return get(backup, bytes, sizeof bytes) && (get_be32(bytes) == expected || complain("%s: is damaged", backup->path));
}

bool backup_read_header(struct backup_file *backup, struct backup_header *header)
{
    uint8_t bytes[HEADER_SIZE];

    if (!get(backup, bytes, sizeof bytes)) {
        return false;
    }
    if (memcmp(bytes + MAGIC, magic, sizeof magic) != 0) {
        return complain("%s: is not a backup of nbd-track", backup->path);
    }
    header->disk_size = (int64_t)get_be64(bytes + DISK_SIZE);
    memcpy(header->identity, bytes + IDENTITY, BACKUP_ID_SIZE);
    memcpy(header->before, bytes + BEFORE, BACKUP_ID_SIZE);
    return check_crc(backup) && (header->disk_size > 0 || complain("%s: is damaged", backup->path));
}

bool backup_read_piece(struct backup_file *backup, int64_t disk_size, int64_t *offset, uint8_t *data, uint32_t *length)
{
    uint8_t bytes[PIECE_HEADER_SIZE];
    uint64_t start;

    if (!get(backup, bytes, sizeof bytes)) {
        return false;
    }
    start = get_be64(bytes + OFFSET);
    *length = get_be32(bytes + LENGTH);
    *offset = (int64_t)start;
    if (start == UINT64_MAX && *length == 0) {
        return check_crc(backup) && (fgetc(backup->file) == EOF || complain("%s: goes on after its end", backup->path));
    }
    if (*length == 0 || *length > PIECE_MAX || start > (uint64_t)disk_size || *length > (uint64_t)disk_size - start) {
        return complain("%s: is damaged", backup->path);
    }
    return get(backup, data, *length) && check_crc(backup);
}
