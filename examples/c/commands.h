/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What nbd-track can be told to do. Each returns the program's exit code. */
#ifndef COMMANDS_H
#define COMMANDS_H

#include <stdbool.h>

enum { EXIT_GOOD = 0, EXIT_BAD = 1, EXIT_USAGE = 2, EXIT_FULL_BACKUP_NEEDED = 3 };

int command_serve(const char *image, const char *address);
int command_status(const char *image);
int command_backup(const char *image, const char *path, bool full);
/* The first backup is the full one; each other one must be that which follows the one before it. */
int command_restore(const char *image, char **backups, int count);

#endif
