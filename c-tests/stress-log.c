/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "stress.h"

static int64_t word_count(const Log *log)
{
    return (log->bytes / SECTOR + 64) / 64;
}

Log log_new(int64_t bytes)
{
    Log log = { NULL, bytes + CELL };

    log.words = g_new0(uint64_t, (gsize)word_count(&log));
    return log;
}

void log_free(Log *log)
{
    g_clear_pointer(&log->words, g_free);
}

void log_add(Log *log, int64_t offset, int64_t bytes)
{
    g_assert_cmpint(bytes, >, 0);
    for (int64_t sector = offset / SECTOR; sector <= (offset + bytes - 1) / SECTOR; sector++) {
        g_assert_cmpint(sector, <, log->bytes / SECTOR);
        log->words[sector / 64] |= UINT64_C(1) << sector % 64;
    }
}

void log_add_rounded(Log *log, const Log *other, int64_t granularity)
{
    for (int64_t word = 0; word < word_count(other); word++) {
        for (uint64_t left = other->words[word]; left; left &= left - 1) {
            int64_t at = (word * 64 + __builtin_ctzll(left)) * SECTOR;

            log_add(log, at / granularity * granularity, granularity);
        }
    }
}

int64_t log_first_beyond(const Log *log, const Log *other)
{
    for (int64_t word = 0; word < word_count(log); word++) {
        uint64_t known = word < word_count(other) ? other->words[word] : 0;
        uint64_t beyond = log->words[word] & ~known;

        if (beyond) {
            return (word * 64 + __builtin_ctzll(beyond)) * SECTOR;
        }
    }
    return -1;
}

void log_add_bitmap(Log *log, BdrvDirtyBitmap *bitmap)
{
    int64_t granularity = bdrv_dirty_bitmap_granularity(bitmap);
    int64_t size = bdrv_dirty_bitmap_size(bitmap);
    int64_t start = 0, count = 0, units = 0;

    bdrv_dirty_bitmap_lock(bitmap);
    while (bdrv_dirty_bitmap_next_dirty_area(bitmap, start, size, INT64_MAX, &start, &count)) {
        log_add(log, start, count);
        units += (count + granularity - 1) / granularity;
        start += count;
    }
    g_assert_cmpint(units * granularity, ==, bdrv_get_dirty_count(bitmap));
    bdrv_dirty_bitmap_unlock(bitmap);
}
