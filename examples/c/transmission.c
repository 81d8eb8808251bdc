/* SPDX-License-Identifier: GPL-2.0-or-later */
/* NBD's transmission phase: requests, one after another, each with a simple reply. */
#include <unistd.h>

#include "bytes.h"
#include "complain.h"
#include "file_io.h"
#include "nbd.h"
#include "stream.h"

struct request {
    uint16_t flags, type;
    uint64_t cookie, offset;
    uint32_t length;
};

static bool read_request(int fd, struct request *request)
{
    uint8_t bytes[28];

    if (!stream_read(fd, bytes, sizeof bytes)) {
        return false;
    }
    if (get_be32(bytes) != NBD_REQUEST_MAGIC) {
        return complain("a client sends a request that is none");
    }
    request->flags = get_be16(bytes + 4);
    request->type = get_be16(bytes + 6);
    request->cookie = get_be64(bytes + 8);
    request->offset = get_be64(bytes + 16);
    request->length = get_be32(bytes + 24);
    return true;
}

static bool reply(int fd, const struct request *request, uint32_t error)
{
    uint8_t bytes[16];

    put_be32(bytes, NBD_SIMPLE_REPLY_MAGIC);
    put_be32(bytes + 4, error);
    put_be64(bytes + 8, request->cookie);
    return stream_write(fd, bytes, sizeof bytes);
}

static bool is_inside(const struct request *request, const struct disk *disk)
{
    return request->offset <= (uint64_t)disk->size && request->length <= (uint64_t)disk->size - request->offset;
}

static uint32_t make_durable(const struct disk *disk)
{
    if (fdatasync(disk->fd) != 0) {
        complain_errno(disk->path, "make it durable");
        return NBD_EIO;
    }
    return NBD_OK;
}

static uint32_t read_disk(const struct disk *disk, const struct request *request, uint8_t *buffer)
{
    if (!is_inside(request, disk)) {
        return NBD_EINVAL;
    }
    if (read_at(disk->fd, buffer, request->length, (int64_t)request->offset) != request->length) {
        complain("%s: cannot read %u bytes at %llu", disk->path, request->length, (unsigned long long)request->offset);
        return NBD_EIO;
    }
    return NBD_OK;
}

static uint32_t write_disk(struct tracker *tracker, const struct request *request, const uint8_t *data)
{
    const struct disk *disk = &tracker->disk;

    if (!is_inside(request, disk)) {
        return NBD_ENOSPC;
    }
    /* Before the write: one that fails may have changed something as well. */
    tracker_record(tracker, (int64_t)request->offset, request->length);
    if (!write_at(disk->fd, data, request->length, (int64_t)request->offset)) {
        complain_errno(disk->path, "write to it");
        return NBD_EIO;
    }
    return request->flags & NBD_CMD_FLAG_FUA ? make_durable(disk) : NBD_OK;
}

static bool has_known_flags(const struct request *request)
{
    return (request->flags & ~NBD_CMD_FLAG_FUA) == 0;
}

/* Whether the connection goes on. */
static bool serve(int fd, struct tracker *tracker, const struct request *request, uint8_t *buffer)
{
    uint32_t error;

    if (request->type == NBD_CMD_DISC) {
        return false;
    }
    if ((request->type == NBD_CMD_READ || request->type == NBD_CMD_WRITE) && request->length > NBD_PAYLOAD_MAX) {
        return complain("a client asks for %u bytes at once", request->length);
    }
    /* The data of a write that is refused has to be taken off the line too. */
    if (request->type == NBD_CMD_WRITE && !stream_read(fd, buffer, request->length)) {
        return false;
    }
    if (!has_known_flags(request)) {
        return reply(fd, request, NBD_EINVAL);
    }
    switch (request->type) {
    case NBD_CMD_READ:
        error = read_disk(&tracker->disk, request, buffer);
        return reply(fd, request, error) && (error != NBD_OK || stream_write(fd, buffer, request->length));
    case NBD_CMD_WRITE:
        return reply(fd, request, write_disk(tracker, request, buffer));
    case NBD_CMD_FLUSH:
        return reply(fd, request, make_durable(&tracker->disk));
    default:
        return reply(fd, request, NBD_EINVAL);
    }
}

void nbd_transmission(int fd, struct tracker *tracker, uint8_t *buffer)
{
    struct request request = {0};

    while (read_request(fd, &request) && serve(fd, tracker, &request, buffer)) {
    }
}
