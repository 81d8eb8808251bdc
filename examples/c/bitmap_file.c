/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "bitmap_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bytes.h"
#include "complain.h"
#include "crc32.h"
#include "file_io.h"

/* Offsets in the header. It is small enough for a disk to write it as a whole or not at all. */
enum {
    MAGIC = 0,
    STATE = 8,
    GRANULARITY = 12,
    DISK_SIZE = 16,
    SECONDS = 24,
    NANOSECONDS = 32,
    LAST_BACKUP = 36,
    HEADER_CRC = LAST_BACKUP + BACKUP_ID_SIZE,
    HEADER_SIZE = HEADER_CRC + 4,
    HASH = HEADER_SIZE, /* of the bits: SHA-256 in hexadecimal digits */
    HASH_SIZE = 64,
    BITS = HASH + HASH_SIZE,
};

static const char magic[8] = "QDBTRACK";

static void encode(uint8_t *bytes, const struct bitmap_header *header)
{
    memcpy(bytes + MAGIC, magic, sizeof magic);
    put_be32(bytes + STATE, header->state);
    put_be32(bytes + GRANULARITY, header->granularity);
    put_be64(bytes + DISK_SIZE, (uint64_t)header->disk_size);
    put_be64(bytes + SECONDS, (uint64_t)header->changed.tv_sec);
    put_be32(bytes + NANOSECONDS, (uint32_t)header->changed.tv_nsec);
    memcpy(bytes + LAST_BACKUP, header->last_backup, BACKUP_ID_SIZE);
    put_be32(bytes + HEADER_CRC, crc32_add(0, bytes, HEADER_CRC));
}

static bool decode(const uint8_t *bytes, struct bitmap_header *header)
{
    uint32_t state = get_be32(bytes + STATE);

    header->granularity = get_be32(bytes + GRANULARITY);
    header->disk_size = (int64_t)get_be64(bytes + DISK_SIZE);
    header->changed.tv_sec = (time_t)get_be64(bytes + SECONDS);
    header->changed.tv_nsec = (long)get_be32(bytes + NANOSECONDS);
    memcpy(header->last_backup, bytes + LAST_BACKUP, BACKUP_ID_SIZE);
    if (memcmp(bytes + MAGIC, magic, sizeof magic) != 0 || get_be32(bytes + HEADER_CRC) != crc32_add(0, bytes, HEADER_CRC) ||
        state < BITMAP_CLEAN || state > BITMAP_LOST) {
        return false;
    }
    header->state = (enum bitmap_state)state;
    /* The library aborts on other granularities. */
    return header->granularity >= 512 && (header->granularity & (header->granularity - 1)) == 0 && header->disk_size > 0;
}

bool bitmap_file_read_header(const char *path, struct bitmap_header *header, const char **why)
{
    uint8_t bytes[HEADER_SIZE];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool good;

    if (fd < 0) {
        *why = errno == ENOENT ? "there is none" : strerror(errno);
        return false;
    }
    good = read_at(fd, bytes, sizeof bytes, 0) == HEADER_SIZE && decode(bytes, header);
    close(fd);
    if (!good) {
        *why = "its header is damaged";
    }
    return good;
}

/* Reads hash and bits. */
static bool read_bits(int fd, BdrvDirtyBitmap *bitmap, char *hash, const char **why)
{
    uint64_t covered = (uint64_t)bdrv_dirty_bitmap_size(bitmap);
    uint64_t size = bdrv_dirty_bitmap_serialization_size(bitmap, 0, covered);
    uint8_t *bits = malloc(size);
    bool good = bits && read_at(fd, hash, HASH_SIZE, HASH) == HASH_SIZE && read_at(fd, bits, size, BITS) == (int64_t)size;

    if (good) {
        bdrv_dirty_bitmap_deserialize_part(bitmap, bits, 0, covered, true);
    } else {
        *why = bits ? "it is too short" : "there is not enough memory for it";
    }
    free(bits);
    return good;
}

bool bitmap_file_read_bits(const char *path, BdrvDirtyBitmap *bitmap, const char **why)
{
    char hash[HASH_SIZE];
    char *found;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool good;

    if (fd < 0) {
        *why = strerror(errno);
        return false;
    }
    good = read_bits(fd, bitmap, hash, why);
    close(fd);
    if (!good) {
        return false;
    }
    found = bdrv_dirty_bitmap_sha256(bitmap, NULL);
    good = memcmp(found, hash, HASH_SIZE) == 0;
    free(found);
    if (!good) {
        *why = "its bits are damaged";
    }
    return good;
}

static bool write_all(int fd, const struct bitmap_header *header, BdrvDirtyBitmap *bitmap)
{
    uint64_t covered = (uint64_t)bdrv_dirty_bitmap_size(bitmap);
    uint64_t size = bdrv_dirty_bitmap_serialization_size(bitmap, 0, covered);
    char *hash = bdrv_dirty_bitmap_sha256(bitmap, NULL);
    uint8_t *bytes = malloc(BITS + size);
    bool good = false;

    if (bytes) {
        encode(bytes, header);
        memcpy(bytes + HASH, hash, HASH_SIZE);
        bdrv_dirty_bitmap_serialize_part(bitmap, bytes + BITS, 0, covered);
        good = write_at(fd, bytes, BITS + size, 0);
    }
    free(bytes);
    free(hash);
    return good;
}

bool bitmap_file_write(const char *path, const struct bitmap_header *header, BdrvDirtyBitmap *bitmap)
{
    struct new_file file;

    if (!new_file_begin(&file, path)) {
        return false;
    }
    if (!write_all(file.fd, header, bitmap)) {
        complain_errno(path, "write it");
        new_file_abandon(&file);
        return false;
    }
    return new_file_finish(&file, true);
}

bool bitmap_file_mark_in_use(const char *path, struct bitmap_header *header)
{
    uint8_t bytes[HEADER_SIZE];
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool good;

    header->state = BITMAP_IN_USE;
    encode(bytes, header);
    good = fd >= 0 && write_at(fd, bytes, sizeof bytes, 0) && fsync(fd) == 0;
    if (!good) {
        complain_errno(path, "mark it as in use");
    }
    if (fd >= 0) {
        close(fd);
    }
    return good;
}
