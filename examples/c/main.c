/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "commands.h"

static int usage(FILE *to)
{
    fputs("nbd-track serve IMAGE PORT|unix:PATH      NBD server on 127.0.0.1 or a unix socket, until SIGINT or SIGTERM\n"
          "nbd-track status IMAGE                    what changed since the last backup\n"
          "nbd-track backup --full IMAGE FILE        a backup of everything; from here on changes count\n"
          "nbd-track backup IMAGE FILE               a backup of what changed since the backup before\n"
          "nbd-track restore IMAGE FULL [BACKUP...]  makes a new image from a full backup and those after it, in order\n"
          "\n"
          "IMAGE is a raw disk image, IMAGE.bitmap knows what changed in it. Backups are made while no server runs.\n"
          "The exit code is 3 if a full backup is needed.\n",
          to);
    return to == stdout ? EXIT_GOOD : EXIT_USAGE;
}

int main(int count, char **words)
{
    const char *command = count > 1 ? words[1] : "";
    bool full = count > 2 && strcmp(words[2], "--full") == 0;

    if (strcmp(command, "--help") == 0) {
        return usage(stdout);
    }
    if (strcmp(command, "serve") == 0 && count == 4) {
        return command_serve(words[2], words[3]);
    }
    if (strcmp(command, "status") == 0 && count == 3) {
        return command_status(words[2]);
    }
    if (strcmp(command, "backup") == 0 && count == (full ? 5 : 4)) {
        return command_backup(words[count - 2], words[count - 1], full);
    }
    if (strcmp(command, "restore") == 0 && count >= 4) {
        return command_restore(words[2], words + 3, count - 3);
    }
    return usage(stderr);
}
