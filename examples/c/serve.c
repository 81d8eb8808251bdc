/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The server: clients one after another, until a signal ends it. */
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "commands.h"
#include "complain.h"
#include "listener.h"
#include "nbd.h"
#include "stop.h"

static void serve_clients(int listener, struct tracker *tracker, uint8_t *buffer)
{
    while (stop_wait(listener, POLLIN)) {
        int client = accept(listener, NULL, NULL);

        /* Clients that are gone already are no reason to stop. */
        if (client < 0) {
            continue;
        }
        if (nbd_handshake(client, tracker)) {
            nbd_transmission(client, tracker, buffer);
        }
        close(client);
    }
}

static bool serve(struct tracker *tracker, const char *address)
{
    uint8_t *buffer = malloc(NBD_PAYLOAD_MAX);
    int listener;

    if (!buffer) {
        return complain("out of memory");
    }
    stop_begin();
    listener = listener_open(address);
    if (listener < 0) {
        free(buffer);
        return false;
    }
    serve_clients(listener, tracker, buffer);
    listener_close(listener, address);
    free(buffer);
    return true;
}

int command_serve(const char *image, const char *address)
{
    struct tracker tracker;
    bool good;

    if (!tracker_open(&tracker, image)) {
        return EXIT_BAD;
    }
    /* If it is not, stderr says so, and the server runs all the same. */
    tracker_is_trusted(&tracker);
    good = tracker_begin_writes(&tracker) && serve(&tracker, address);
    good = tracker_save(&tracker) && good;
    tracker_close(&tracker);
    return good ? EXIT_GOOD : EXIT_BAD;
}
