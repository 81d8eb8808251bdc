/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Several threads on the same bitmaps: no hang, and no lost bit. A watchdog ends the process if it
 * hangs.
 */
#include "node.h"
#include "threads-tests.h"

#include <signal.h>
#include <unistd.h>

#define MERGES 1000000
#define WATCHDOG 300 /* seconds for each test */

static void bark(int signal_number)
{
    static const char text[] = "the threads hang\n";

    (void)signal_number;
    if (write(STDERR_FILENO, text, sizeof(text) - 1) >= 0) {
        _exit(99);
    }
    _exit(98);
}

void watch(void)
{
    signal(SIGALRM, bark);
    alarm(WATCHDOG);
}

typedef struct Merger {
    BdrvDirtyBitmap *dest, *src;
    int count;
    bool internal;
    bool with_backup;
    int failures;
} Merger;

static gpointer merge_many(gpointer data)
{
    Merger *m = data;

    for (int i = 0; i < m->count; i++) {
        HBitmap *backup = NULL;
        HBitmap **backup_arg = m->with_backup ? &backup : NULL;
        bool merged = m->internal
                          ? bdrv_dirty_bitmap_merge_internal(m->dest, m->src, backup_arg, true)
                          : bdrv_merge_dirty_bitmap(m->dest, m->src, backup_arg, NULL);

        if (backup) {
            hbitmap_free(backup);
        }
        m->failures += !merged;
    }
    return NULL;
}

typedef struct Writer {
    BlockDriverState *bs;    /* guest writes to all bitmaps of it */
    BdrvDirtyBitmap *bitmap; /* or to this one alone */
    int64_t granularity;
    int64_t first, step, granules;
    int lost;
} Writer;

/* Sets every step-th granule, one after the other, and looks at once whether it is there. */
static gpointer write_many(gpointer data)
{
    Writer *w = data;

    for (int64_t granule = w->first; granule < w->granules; granule += w->step) {
        int64_t at = granule * w->granularity;

        if (w->bs) {
            bdrv_set_dirty(w->bs, at, 1);
        } else {
            bdrv_set_dirty_bitmap(w->bitmap, at, 1);
        }
        if (w->bitmap && !bdrv_dirty_bitmap_get(w->bitmap, at)) {
            w->lost++;
        }
    }
    return NULL;
}

/* Merges between two nodes, a million times in each direction at once. */
static void opposite_merges(gconstpointer data)
{
    bool internal = GPOINTER_TO_INT(data);
    BlockDriverState *one, *two;
    Merger mergers[2];
    GThread *threads[2];

    if (skipped_on_qemu(DIFF_LOCK_ORDER)) {
        return;
    }
    watch();
    one = qdb_node_new(MIB, 0, "one");
    two = qdb_node_new(MIB, 0, "two");
    mergers[0] =
        (Merger){ bitmap_new(one, "a", 65536, 65536, 0), NULL, MERGES, internal, false, 0 };
    mergers[1] =
        (Merger){ bitmap_new(two, "b", 32768, 0, 0), mergers[0].dest, MERGES, internal, false, 0 };
    mergers[0].src = mergers[1].dest;
    bdrv_set_dirty_bitmap(mergers[1].dest, MIB - 1, 1);

    for (int i = 0; i < 2; i++) {
        threads[i] = g_thread_new("merge", merge_many, &mergers[i]);
    }
    for (int i = 0; i < 2; i++) {
        g_thread_join(threads[i]);
        g_assert_cmpint(mergers[i].failures, ==, 0);
        g_assert_cmpint(bdrv_get_dirty_count(mergers[i].dest), ==, 2 * 65536);
    }
    alarm(0);
    node_discard(one);
    node_discard(two);
}

/*
 * Three nodes in a ring, and each with itself, so that no order of two nodes alone will do. On a
 * busy machine each thread may be done before the next one begins: then a bitmap has its own range
 * and its source's, and once more around the ring brings the third.
 */
static void ring_of_merges(void)
{
    BlockDriverState *nodes[3];
    BdrvDirtyBitmap *bitmaps[3];
    Merger mergers[6];
    GThread *threads[6];

    if (skipped_on_qemu(DIFF_LOCK_ORDER)) {
        return;
    }
    watch();
    for (int i = 0; i < 3; i++) {
        nodes[i] = qdb_node_new(MIB, 0, NULL);
        bitmaps[i] = bitmap_new(nodes[i], "b", 4096u << i, 0, 0);
        bdrv_set_dirty_bitmap(bitmaps[i], i * 65536, 65536);
    }
    for (int i = 0; i < 6; i++) {
        int step = i < 3 ? 1 : i % 3;

        mergers[i] =
            (Merger){ bitmaps[i % 3], bitmaps[(i + step) % 3], MERGES / 20, i & 1, i > 3, 0 };
        threads[i] = g_thread_new("merge", merge_many, &mergers[i]);
    }
    for (int i = 0; i < 6; i++) {
        g_thread_join(threads[i]);
        g_assert_cmpint(mergers[i].failures, ==, 0);
    }
    alarm(0);
    for (int i = 0; i < 3; i++) {
        for (int k = 0; k < 2; k++) {
            int range = (i + k) % 3;

            for (int64_t at = range * 65536; at < (range + 1) * 65536; at += 4096) {
                g_assert_true(bdrv_dirty_bitmap_get(bitmaps[i], at));
            }
        }
        g_assert_cmpint(bdrv_get_dirty_count(bitmaps[i]), <=, 3 * 65536);
    }
    for (int i = 0; i < 6; i++) {
        g_assert_true(
            bdrv_merge_dirty_bitmap(bitmaps[i % 3], bitmaps[(i + 1) % 3], NULL, &error_abort));
    }
    for (int i = 0; i < 3; i++) {
        g_assert_cmpint(bdrv_get_dirty_count(bitmaps[i]), ==, 3 * 65536);
        node_discard(nodes[i]);
    }
}

/*
 * Two writers and two mergers in opposite directions: what is written is there at once and stays.
 */
static void writers_during_merges(gconstpointer data)
{
    bool with_backup = GPOINTER_TO_INT(data);
    const int64_t granules = 200000;
    BlockDriverState *nodes[2];
    BdrvDirtyBitmap *bitmaps[2];
    Merger mergers[2];
    Writer writers[2];
    GThread *threads[4];

    if (skipped_on_qemu(DIFF_LOCK_ORDER)) {
        return;
    }
    watch();
    for (int i = 0; i < 2; i++) {
        nodes[i] = qdb_node_new(granules * 512, 0, NULL);
        bitmaps[i] = bitmap_new(nodes[i], "b", i ? 512 : 4096, 0, 0);
    }
    for (int i = 0; i < 2; i++) {
        writers[i] = (Writer){ i ? nodes[i] : NULL, bitmaps[i], 512, i, 7, granules, 0 };
        mergers[i] = (Merger){ bitmaps[i], bitmaps[1 - i], 2000, i, with_backup, 0 };
        threads[i] = g_thread_new("write", write_many, &writers[i]);
        threads[2 + i] = g_thread_new("merge", merge_many, &mergers[i]);
    }
    for (int i = 0; i < 4; i++) {
        g_thread_join(threads[i]);
    }
    for (int i = 0; i < 2; i++) {
        g_assert_cmpint(writers[i].lost, ==, 0);
        g_assert_cmpint(mergers[i].failures, ==, 0);
        for (int64_t granule = i; granule < granules; granule += 7) {
            g_assert_true(bdrv_dirty_bitmap_get(bitmaps[i], granule * 512));
        }
    }
    alarm(0);
    node_discard(nodes[0]);
    node_discard(nodes[1]);
}

/* A guest writes while a job freezes the bitmap and gives it back, over and over. */
static void writers_during_successors(void)
{
    const int64_t granules = 150000;
    BlockDriverState *bs;
    BdrvDirtyBitmap *bitmap;
    Writer writers[2];
    GThread *threads[2];

    if (skipped_on_qemu(DIFF_UNDEFINED_IN_C)) {
        return;
    }
    watch();
    bs = qdb_node_new(granules * 512, 0, NULL);
    bitmap = bitmap_new(bs, "b", 512, 0, 0);
    for (int i = 0; i < 2; i++) {
        writers[i] = (Writer){ bs, NULL, 512, i, 2, granules, 0 };
        threads[i] = g_thread_new("write", write_many, &writers[i]);
    }
    for (int i = 0; i < 3000; i++) {
        g_assert_cmpint(bdrv_dirty_bitmap_create_successor(bitmap, &error_abort), ==, 0);
        g_assert_true(bdrv_reclaim_dirty_bitmap(bitmap, &error_abort) == bitmap);
    }
    for (int i = 0; i < 2; i++) {
        g_thread_join(threads[i]);
    }
    g_assert_cmpint(bdrv_get_dirty_count(bitmap), ==, granules * 512);
    alarm(0);
    node_discard(bs);
}

/* One thread changes everything that is read without a lock; others read it. */
static gpointer flip_flags(gpointer data)
{
    BdrvDirtyBitmap *bitmap = data;

    for (int i = 0; i < 100000; i++) {
        bdrv_dirty_bitmap_set_busy(bitmap, i & 1);
        bdrv_dirty_bitmap_skip_store(bitmap, i & 2);
        bdrv_dirty_bitmap_set_persistence(bitmap, i & 4);
        bdrv_set_dirty_bitmap(bitmap, i % 256 * 4096, 4096);
        if (i % 256 == 255) {
            bdrv_clear_dirty_bitmap(bitmap, NULL);
        }
    }
    bdrv_dirty_bitmap_set_busy(bitmap, false);
    return NULL;
}

static void readers_without_lock(void)
{
    BlockDriverState *bs;
    BdrvDirtyBitmap *bitmap;
    GThread *thread;

    if (skipped_on_qemu(DIFF_UNDEFINED_IN_C)) {
        return;
    }
    watch();
    bs = qdb_node_new(MIB, 0, NULL);
    bitmap = bitmap_new(bs, "b", 4096, 0, 0);
    thread = g_thread_new("flip", flip_flags, bitmap);
    for (int i = 0; i < 20000; i++) {
        BlockDirtyInfoList *list = bdrv_query_dirty_bitmaps(bs);
        int64_t count = bdrv_get_dirty_count(bitmap);
        BdrvDirtyBitmapIter *iter = bdrv_dirty_iter_new(bitmap);

        g_assert_cmpint(count % 4096, ==, 0);
        g_assert_cmpint(count, <=, MIB);
        g_assert_cmpint(list->value->count % 4096, ==, 0);
        g_assert_cmpstr(list->value->name, ==, "b");
        g_assert_cmpuint(bdrv_dirty_bitmap_granularity(bitmap), ==, 4096);
        bdrv_dirty_bitmap_get_persistence(bitmap);
        bdrv_dirty_bitmap_check(bitmap, BDRV_BITMAP_DEFAULT, NULL);
        bdrv_dirty_bitmap_lock(bitmap);
        count = bdrv_dirty_iter_next(iter);
        bdrv_dirty_bitmap_unlock(bitmap);
        g_assert_cmpint(count, <, MIB);
        bdrv_dirty_iter_free(iter);
        qdb_dirty_info_list_free(list);
    }
    g_thread_join(thread);
    alarm(0);
    node_discard(bs);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/threads/opposite-merges/public", GINT_TO_POINTER(0), opposite_merges);
    g_test_add_data_func("/threads/opposite-merges/internal", GINT_TO_POINTER(1), opposite_merges);
    g_test_add_func("/threads/ring-of-merges", ring_of_merges);
    g_test_add_data_func("/threads/writers-during-merges/in-place", GINT_TO_POINTER(0),
                         writers_during_merges);
    g_test_add_data_func("/threads/writers-during-merges/backup", GINT_TO_POINTER(1),
                         writers_during_merges);
    g_test_add_func("/threads/writers-during-successors", writers_during_successors);
    g_test_add_func("/threads/readers-without-lock", readers_without_lock);
    add_unlocked_reader_tests();
    return g_test_run();
}
