/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LISTENER_H
#define LISTENER_H

/*
 * A socket that listens at "unix:PATH", or at a TCP port of 127.0.0.1 (port 0: a free one). -1 after saying on stderr what went wrong.
 * Where it listens is told on stdout as an NBD address.
 */
int listener_open(const char *address);

/* Removes what a unix socket leaves in its folder. */
void listener_close(int fd, const char *address);

#endif
