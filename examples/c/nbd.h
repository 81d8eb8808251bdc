/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The numbers of the NBD protocol, and the two halves of a connection. */
#ifndef NBD_H
#define NBD_H

#include <stdbool.h>
#include <stdint.h>

#include "tracker.h"

#define NBD_MAGIC 0x4e42444d41474943u /* "NBDMAGIC" */
#define NBD_IHAVEOPT 0x49484156454f5054u
#define NBD_OPTION_REPLY_MAGIC 0x0003e889045565a9u
#define NBD_REQUEST_MAGIC 0x25609513u
#define NBD_SIMPLE_REPLY_MAGIC 0x67446698u

/* Of server and client alike. */
enum { NBD_FLAG_FIXED_NEWSTYLE = 1, NBD_FLAG_NO_ZEROES = 2 };

enum { NBD_OPT_EXPORT_NAME = 1, NBD_OPT_ABORT = 2, NBD_OPT_LIST = 3, NBD_OPT_INFO = 6, NBD_OPT_GO = 7 };

#define NBD_REP_ACK 1u
#define NBD_REP_SERVER 2u
#define NBD_REP_INFO 3u
#define NBD_REP_ERR_UNSUP 0x80000001u
#define NBD_REP_ERR_INVALID 0x80000003u
#define NBD_REP_ERR_UNKNOWN 0x80000006u

enum { NBD_INFO_EXPORT = 0 };

/* What the server can do: say flags at all, flush, write through. */
enum { NBD_TRANSMISSION_FLAGS = 1 | 4 | 8 };

enum { NBD_CMD_READ = 0, NBD_CMD_WRITE = 1, NBD_CMD_DISC = 2, NBD_CMD_FLUSH = 3 };
enum { NBD_CMD_FLAG_FUA = 1 };

enum { NBD_OK = 0, NBD_EIO = 5, NBD_EINVAL = 22, NBD_ENOSPC = 28 };

/* The most that a request may ask for; clients keep to it unless they are told another size. */
#define NBD_PAYLOAD_MAX (32 * 1024 * 1024)

#define NBD_EXPORT "disk"

/* Agrees with the client on the export. False if the connection ends instead. */
bool nbd_handshake(int fd, const struct tracker *tracker);

/* Serves requests until the connection ends. `buffer` has NBD_PAYLOAD_MAX bytes. */
void nbd_transmission(int fd, struct tracker *tracker, uint8_t *buffer);

#endif
