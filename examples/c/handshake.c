/* SPDX-License-Identifier: GPL-2.0-or-later */
/* NBD's fixed newstyle handshake: the client haggles over options until it goes on to the export or gives up. */
#include <string.h>

#include "bytes.h"
#include "complain.h"
#include "nbd.h"
#include "stream.h"

/* Longer than any option that the server knows: a name of at most 4096 bytes and a few numbers. */
#define OPTION_MAX 8192

struct option {
    uint32_t type, length;
    uint8_t data[OPTION_MAX];
};

enum outcome { GO_ON, TRANSMIT, END };

static bool greet(int fd, bool *zeroes)
{
    uint8_t hello[18], answer[4];
    uint32_t flags;

    put_be64(hello, NBD_MAGIC);
    put_be64(hello + 8, NBD_IHAVEOPT);
    put_be16(hello + 16, NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES);
    if (!stream_write(fd, hello, sizeof hello) || !stream_read(fd, answer, sizeof answer)) {
        return false;
    }
    flags = get_be32(answer);
    *zeroes = !(flags & NBD_FLAG_NO_ZEROES);
    if ((flags & ~(uint32_t)NBD_FLAG_NO_ZEROES) != NBD_FLAG_FIXED_NEWSTYLE) {
        return complain("a client wants flags 0x%x, which are not fixed newstyle", flags);
    }
    return true;
}

static bool read_option(int fd, struct option *option)
{
    uint8_t header[16];

    if (!stream_read(fd, header, sizeof header)) {
        return false;
    }
    option->type = get_be32(header + 8);
    option->length = get_be32(header + 12);
    if (get_be64(header) != NBD_IHAVEOPT) {
        return complain("a client does not speak NBD");
    }
    if (option->length > OPTION_MAX) {
        return complain("a client sends an option of %u bytes", option->length);
    }
    return stream_read(fd, option->data, option->length);
}

static enum outcome reply(int fd, const struct option *option, uint32_t type, const uint8_t *data, uint32_t length)
{
    uint8_t header[20];

    put_be64(header, NBD_OPTION_REPLY_MAGIC);
    put_be32(header + 8, option->type);
    put_be32(header + 12, type);
    put_be32(header + 16, length);
    return stream_write(fd, header, sizeof header) && stream_write(fd, data, length) ? GO_ON : END;
}

/* The only export is also the default one, whose name is empty. */
static bool is_export(const uint8_t *name, uint32_t length)
{
    return length == 0 || (length == strlen(NBD_EXPORT) && memcmp(name, NBD_EXPORT, length) == 0);
}

static void put_export(uint8_t *bytes, const struct tracker *tracker)
{
    put_be64(bytes, (uint64_t)tracker->disk.size);
    put_be16(bytes + 8, NBD_TRANSMISSION_FLAGS);
}

/* The oldest way to the export: there is no reply that could be an error. */
static enum outcome export_name(int fd, const struct option *option, const struct tracker *tracker, bool zeroes)
{
    uint8_t answer[10 + 124] = {0};

    if (!is_export(option->data, option->length)) {
        complain("a client wants an export that there is not");
        return END;
    }
    put_export(answer, tracker);
    return stream_write(fd, answer, zeroes ? sizeof answer : 10) ? TRANSMIT : END;
}

/* Length and name, number of wishes and two bytes for each of them. The wishes may be ignored, and are. */
static bool is_well_formed(const struct option *option, uint32_t *name_length)
{
    if (option->length < 6) {
        return false;
    }
    *name_length = get_be32(option->data);
    return *name_length <= option->length - 6 &&
           option->length - 6 - *name_length == 2u * get_be16(option->data + 4 + *name_length);
}

static enum outcome info_or_go(int fd, const struct option *option, const struct tracker *tracker)
{
    uint8_t information[12];
    uint32_t name_length;

    if (!is_well_formed(option, &name_length)) {
        return reply(fd, option, NBD_REP_ERR_INVALID, NULL, 0);
    }
    if (!is_export(option->data + 4, name_length)) {
        return reply(fd, option, NBD_REP_ERR_UNKNOWN, NULL, 0);
    }
    put_be16(information, NBD_INFO_EXPORT);
    put_export(information + 2, tracker);
    if (reply(fd, option, NBD_REP_INFO, information, sizeof information) == END ||
        reply(fd, option, NBD_REP_ACK, NULL, 0) == END) {
        return END;
    }
    return option->type == NBD_OPT_GO ? TRANSMIT : GO_ON;
}

static enum outcome list(int fd, const struct option *option)
{
    uint8_t entry[4 + sizeof NBD_EXPORT - 1];

    if (option->length != 0) {
        return reply(fd, option, NBD_REP_ERR_INVALID, NULL, 0);
    }
    put_be32(entry, sizeof NBD_EXPORT - 1);
    memcpy(entry + 4, NBD_EXPORT, sizeof NBD_EXPORT - 1);
    return reply(fd, option, NBD_REP_SERVER, entry, sizeof entry) == END ? END : reply(fd, option, NBD_REP_ACK, NULL, 0);
}

static enum outcome answer(int fd, const struct option *option, const struct tracker *tracker, bool zeroes)
{
    switch (option->type) {
    case NBD_OPT_EXPORT_NAME:
        return export_name(fd, option, tracker, zeroes);
    case NBD_OPT_ABORT:
        reply(fd, option, NBD_REP_ACK, NULL, 0);
        return END;
    case NBD_OPT_LIST:
        return list(fd, option);
    case NBD_OPT_INFO:
    case NBD_OPT_GO:
        return info_or_go(fd, option, tracker);
    default:
        return reply(fd, option, NBD_REP_ERR_UNSUP, NULL, 0);
    }
}

bool nbd_handshake(int fd, const struct tracker *tracker)
{
    struct option option;
    bool zeroes = true;
    enum outcome outcome = GO_ON;

    if (!greet(fd, &zeroes)) {
        return false;
    }
    while (outcome == GO_ON) {
        outcome = read_option(fd, &option) ? answer(fd, &option, tracker, zeroes) : END;
    }
    return outcome == TRANSMIT;
}
