/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "complain.h"

/* NULL if it is not a unix address. */
static const char *unix_path(const char *address)
{
    return strncmp(address, "unix:", 5) == 0 ? address + 5 : NULL;
}

static bool bind_unix(int fd, const char *path)
{
    struct sockaddr_un place = {.sun_family = AF_UNIX};

    if (*path == '\0' || strlen(path) >= sizeof place.sun_path) {
        return complain("%s: too long for a unix socket, or empty", path);
    }
    strcpy(place.sun_path, path);
    /* The image is locked, so nobody else serves it; but the socket may be somebody else's. */
    if (bind(fd, (struct sockaddr *)&place, sizeof place) != 0) {
        return complain("%s: cannot listen there: %s%s", path, strerror(errno),
                        errno == EADDRINUSE ? " (if a server died there, remove the file)" : "");
    }
    printf("nbd+unix:///?socket=%s\n", path);
    return true;
}

static bool bind_tcp(int fd, const char *port)
{
    struct sockaddr_in place = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof place;
    int yes = 1;
    char *end;
    long number = strtol(port, &end, 10);

    if (end == port || *end != '\0' || number < 0 || number > 65535) {
        return complain("%s: not a port, nor unix:PATH", port);
    }
    place.sin_port = htons((uint16_t)number);
    /* A server that ended a moment ago is not in the way of the next one. */
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(fd, (struct sockaddr *)&place, sizeof place) != 0 || getsockname(fd, (struct sockaddr *)&place, &size) != 0) {
        return complain("127.0.0.1:%s: cannot listen there: %s", port, strerror(errno));
    }
    printf("nbd://127.0.0.1:%d\n", ntohs(place.sin_port));
    return true;
}

int listener_open(const char *address)
{
    const char *path = unix_path(address);
    int fd = socket(path ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0) {
        complain("no socket: %s", strerror(errno));
        return -1;
    }
    if (!(path ? bind_unix(fd, path) : bind_tcp(fd, address)) || listen(fd, 8) != 0) {
        close(fd);
        return -1;
    }
    fflush(stdout);
    return fd;
}

void listener_close(int fd, const char *address)
{
    const char *path = unix_path(address);

    close(fd);
    if (path) {
        unlink(path);
    }
}
