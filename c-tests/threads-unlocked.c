/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Readers that do not hold the node's lock, as in QEMU's block-copy.c and copy-before-write.c
 * (which hold one of their own), while another thread changes the bitmap.
 */
#include "node.h"
#include "threads-tests.h"

#include <unistd.h>

#define UNIT 65536
#define UNITS (1 << 20)
#define LENGTH ((int64_t)UNITS * UNIT)
#define MILLISECONDS 1200 /* for each scene */

typedef struct Readers {
    BdrvDirtyBitmap *bitmap;
    BdrvDirtyBitmap *most;   /* nothing but its bits is ever set in @bitmap; NULL: all may be */
    bool ends_stay;          /* the first and the last unit are set all the time */
    gint stop;
    gint looked;             /* at least once */
} Readers;

/* A unit that a reader found dirty may be so. */
static void expect_possible(Readers *r, int64_t offset)
{
    g_assert_cmpint(offset % UNIT, ==, 0);
    g_assert_cmpint(offset, <, LENGTH);
    g_assert_true(!r->most || bdrv_dirty_bitmap_get(r->most, offset));
}

static gpointer read_unlocked(gpointer data)
{
    Readers *r = data;
    uint32_t random = 1;

    while (!g_atomic_int_get(&r->stop)) {
        int64_t at, start = -1, count = -1;
        bool dirty;

        random = random * 1103515245 + 12345;
        at = (int64_t)(random % UNITS) * UNIT;

        if (bdrv_dirty_bitmap_next_dirty_area(r->bitmap, at, LENGTH, MIB, &start, &count)) {
            g_assert_cmpint(start, >=, at);
            g_assert_cmpint(count, >, 0);
            g_assert_cmpint(count, <=, MIB);
            expect_possible(r, start);
            expect_possible(r, start + count - UNIT);
        } else {
            g_assert_false(r->ends_stay);
        }
        start = bdrv_dirty_bitmap_next_dirty(r->bitmap, 0, INT64_MAX);
        if (start >= 0) {
            expect_possible(r, start);
        }
        g_assert_true(!r->ends_stay || start == 0);
        start = bdrv_dirty_bitmap_next_zero(r->bitmap, at, LENGTH - at);
        g_assert_true(start == -1 || (start >= at && start < LENGTH && start % UNIT == 0));
        dirty = bdrv_dirty_bitmap_status(r->bitmap, LENGTH - UNIT, UNIT, &count);
        g_assert_true(!r->ends_stay || dirty);
        g_assert_cmpint(count, ==, UNIT);
        dirty = bdrv_dirty_bitmap_get_locked(r->bitmap, 0);
        g_assert_true(!r->ends_stay || dirty);

        /* A reader that holds the lock does not take it again. */
        bdrv_dirty_bitmap_lock(r->bitmap);
        start = bdrv_dirty_bitmap_next_dirty(r->bitmap, at, LENGTH - at);
        g_assert_true(start < 0 || bdrv_dirty_bitmap_get_locked(r->bitmap, start));
        g_assert_true(start < 0 || bdrv_dirty_bitmap_next_zero(r->bitmap, start, UNIT) == -1);
        bdrv_dirty_bitmap_unlock(r->bitmap);
        g_atomic_int_set(&r->looked, 1);
    }
    return NULL;
}

static BdrvDirtyBitmap *disabled_bitmap(BlockDriverState *bs, const char *name)
{
    BdrvDirtyBitmap *bitmap = bdrv_create_dirty_bitmap(bs, UNIT, name, &error_abort);

    bdrv_disable_dirty_bitmap(bitmap);
    bdrv_set_dirty_bitmap(bitmap, 0, 1);
    bdrv_set_dirty_bitmap(bitmap, LENGTH - 1, 1);
    return bitmap;
}

/* A guest's writes near both ends: how bits are stored changes again and again. */
static void set_many(Readers *r, BdrvDirtyBitmap *source, int64_t end)
{
    uint32_t random = 7;

    (void)source;
    while (g_get_monotonic_time() < end) {
        for (int i = 0; i < 100; i++) {
            int64_t unit;

            random = random * 1103515245 + 12345;
            unit = (random >> 8) % 4096;
            bdrv_set_dirty_bitmap(r->bitmap, (random >> 7 & 1 ? unit : UNITS - 1 - unit) * UNIT, 1);
        }
    }
}

/* What backup.c does at a checkpoint. */
static void clear_and_merge(Readers *r, BdrvDirtyBitmap *source, int64_t end)
{
    while (g_get_monotonic_time() < end) {
        bdrv_clear_dirty_bitmap(r->bitmap, NULL);
        bdrv_dirty_bitmap_merge_internal(r->bitmap, source, NULL, true);
    }
}

/* A transaction that is undone. */
static void merge_and_restore(Readers *r, BdrvDirtyBitmap *source, int64_t end)
{
    while (g_get_monotonic_time() < end) {
        HBitmap *backup = NULL;

        bdrv_dirty_bitmap_merge_internal(r->bitmap, source, &backup, true);
        g_assert_nonnull(backup);
        bdrv_restore_dirty_bitmap(r->bitmap, backup);
    }
}

typedef struct Scene {
    const char *path;
    void (*change)(Readers *r, BdrvDirtyBitmap *source, int64_t end);
    bool only_source, ends_stay;
    int nodes; /* one after the other */
} Scene;

static const Scene scenes[] = {
    { "/threads/unlocked-readers/set", set_many, false, true, 24 },
    { "/threads/unlocked-readers/clear-and-merge", clear_and_merge, true, false, 1 },
    { "/threads/unlocked-readers/merge-and-restore", merge_and_restore, true, true, 1 },
};

static void play(const Scene *scene)
{
    BlockDriverState *bs = qdb_node_new(LENGTH, 0, NULL);
    BdrvDirtyBitmap *source = disabled_bitmap(bs, "source");
    Readers r = { .ends_stay = scene->ends_stay };
    GThread *reader;

    for (int i = 0; i < 20000; i++) {
        bdrv_set_dirty_bitmap(source, random_below(UNITS) * UNIT, 1);
    }
    r.bitmap = disabled_bitmap(bs, "read");
    r.most = scene->only_source ? source : NULL;

    reader = g_thread_new("read", read_unlocked, &r);
    scene->change(&r, source, g_get_monotonic_time() + MILLISECONDS * 1000 / scene->nodes);
    while (!g_atomic_int_get(&r.looked)) {
        g_usleep(1000);
    }
    g_atomic_int_set(&r.stop, 1);
    g_thread_join(reader);
    node_discard(bs);
}

static void unlocked_readers(gconstpointer data)
{
    const Scene *scene = data;

    if (skipped_on_qemu(DIFF_UNDEFINED_IN_C)) {
        return;
    }
    watch();
    for (int i = 0; i < scene->nodes; i++) {
        play(scene);
    }
    alarm(0);
}

void add_unlocked_reader_tests(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(scenes); i++) {
        g_test_add_data_func(scenes[i].path, &scenes[i], unlocked_readers);
    }
}
