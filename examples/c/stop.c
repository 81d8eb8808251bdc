/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "stop.h"

#include <poll.h>
#include <signal.h>
#include <stddef.h>

static volatile sig_atomic_t requested;
static sigset_t while_waiting;

static void on_signal(int number)
{
    (void)number;
    requested = 1;
}

void stop_begin(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigset_t kept;

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigemptyset(&kept);
    sigaddset(&kept, SIGINT);
    sigaddset(&kept, SIGTERM);
    sigprocmask(SIG_BLOCK, &kept, &while_waiting);
    sigdelset(&while_waiting, SIGINT);
    sigdelset(&while_waiting, SIGTERM);
}

bool stop_wait(int fd, short events)
{
    struct pollfd waiting = {.fd = fd, .events = events};

    while (!requested) {
        /* An error of poll() shows in what is done with `fd` next. */
        if (ppoll(&waiting, 1, NULL, &while_waiting) != -1) {
            return true;
        }
    }
    return false;
}

bool stop_requested(void)
{
    return requested;
}
