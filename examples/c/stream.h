/* SPDX-License-Identifier: GPL-2.0-or-later */
/* All of a message or nothing, over a socket. */
#ifndef STREAM_H
#define STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* False if the client goes away or the server is to stop: either way this connection has ended. */
bool stream_read(int fd, uint8_t *data, size_t size);
bool stream_write(int fd, const uint8_t *data, size_t size);

#endif
