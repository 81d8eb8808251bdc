/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>
#include <stdio.h>

#include "commands.h"
#include "tracker.h"

int command_status(const char *image)
{
    struct tracker tracker;
    int64_t offset, bytes, from = 0;
    unsigned long areas = 0;
    bool trusted;

    if (!tracker_open(&tracker, image)) {
        return EXIT_BAD;
    }
    trusted = tracker_is_trusted(&tracker);
    while (trusted && tracker_next_area(&tracker, from, INT64_MAX, &offset, &bytes)) {
        areas++;
        from = offset + bytes;
    }
    if (trusted) {
        printf("%" PRId64 " of %" PRId64 " bytes changed since the last backup; areas: %lu\n",
               bdrv_get_dirty_count(tracker.bitmap), tracker.disk.size, areas);
    }
    tracker_close(&tracker);
    return trusted ? EXIT_GOOD : EXIT_FULL_BACKUP_NEEDED;
}
