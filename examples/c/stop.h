/* SPDX-License-Identifier: GPL-2.0-or-later */
/* SIGINT and SIGTERM end the server, but only where it waits: so no request is left half done, and no signal is missed. */
#ifndef STOP_H
#define STOP_H

#include <stdbool.h>

/* From here on the signals are kept until stop_wait(). */
void stop_begin(void);

/* Waits until `fd` is ready for `events` (of poll()). False if the server is to stop. */
bool stop_wait(int fd, short events);

bool stop_requested(void);

#endif
