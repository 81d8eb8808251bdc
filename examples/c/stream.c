/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "stream.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "stop.h"

static bool try_again(void)
{
    return errno == EAGAIN || errno == EINTR;
}

bool stream_read(int fd, uint8_t *data, size_t size)
{
    while (size > 0) {
        ssize_t got;

        if (!stop_wait(fd, POLLIN)) {
            return false;
        }
        got = recv(fd, data, size, MSG_DONTWAIT);
        if (got < 0 && try_again()) {
            continue;
        }
        if (got <= 0) {
            return false;
        }
        data += got;
        size -= (size_t)got;
    }
    return true;
}

bool stream_write(int fd, const uint8_t *data, size_t size)
{
    while (size > 0) {
        ssize_t put;

        if (!stop_wait(fd, POLLOUT)) {
            return false;
        }
        put = send(fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (put < 0 && try_again()) {
            continue;
        }
        if (put < 0) {
            return false;
        }
        data += put;
        size -= (size_t)put;
    }
    return true;
}
