/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the threads do. */
#include "stress.h"

/*
 * Cells by their number modulo 4: those of the two writers, those of the clearer, and those that
 * nobody writes.
 */
#define PARTS 4
#define CLEARERS_PART 2
#define WRITES 12000 /* of each writer, in a round: fewer than it has cells */
#define PRIME 7919   /* how far one write is from the next; it does not divide the number of cells \
                      */

uint64_t worker_random(Worker *w, uint64_t limit)
{
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    w->random ^= w->random << 17;
    return w->random % limit;
}

void worker_does(Worker *w, const char *what)
{
    g_atomic_pointer_set(&w->doing, what);
}

void worker_progresses(Worker *w)
{
    g_atomic_int_inc(&w->progress);
}

/* Some bytes of a cell. */
static void somewhere(Worker *w, int64_t cell, int64_t *offset, int64_t *bytes)
{
    int64_t first = (int64_t)worker_random(w, CELL);

    *offset = cell * CELL + first;
    *bytes = 1 + (int64_t)worker_random(w, (uint64_t)(CELL - first));
}

static Slot *merged_slot(Worker *w)
{
    return &w->round->slots[worker_random(w, (uint64_t)w->round->merged_count)];
}

static Slot *slot_of(Worker *w, Kind kind, int node)
{
    for (int i = 0; i < w->round->slot_count; i++) {
        if (w->round->slots[i].kind == kind && w->round->slots[i].node == node) {
            return &w->round->slots[i];
        }
    }
    g_assert_not_reached();
}

static void write_to_slot(Worker *w, Slot *slot, int64_t cell)
{
    int64_t offset, bytes;

    somewhere(w, cell, &offset, &bytes);
    bdrv_set_dirty_bitmap(slot->bitmap, offset, bytes);
    log_add(&w->to_slot[slot - w->round->slots], offset, bytes);
}

/*
 * Each cell of its own at most once, in an order that jumps: to all bitmaps of a node as a guest
 * does, or to one.
 */
static void writer(Worker *w)
{
    int64_t size = MIN(w->round->smallest[0], w->round->smallest[1]);
    int64_t cells = size / CELL / PARTS;

    g_assert_cmpint(cells, >, WRITES);
    cells -= cells % PRIME == 0;
    for (int64_t i = 0; i < WRITES; i++) {
        Slot *slot = worker_random(w, 3) == 0 ? merged_slot(w) : NULL;
        int node = (int)worker_random(w, NODES);
        int64_t cell = i * PRIME % cells * PARTS + w->index;
        int64_t offset, bytes;

        if (slot) {
            worker_does(w, "bdrv_set_dirty_bitmap");
            write_to_slot(w, slot, cell);
        } else {
            worker_does(w, "bdrv_set_dirty");
            somewhere(w, cell, &offset, &bytes);
            bdrv_set_dirty(w->round->nodes[node], offset, bytes);
            log_add(&w->to_node[node], offset, bytes);
        }
        worker_progresses(w);
    }
}

/* Any two bitmaps in any order, also of different sizes, which is refused. */
static void merger(Worker *w)
{
    Slot *dest = merged_slot(w);
    Slot *src =
        worker_random(w, 5) ? merged_slot(w) : slot_of(w, KIND_ASIDE, (int)worker_random(w, NODES));
    HBitmap *backup = NULL;
    bool merged;

    worker_does(w, "bdrv_merge_dirty_bitmap");
    if (worker_random(w, 3)) {
        Error *err = NULL;

        merged = bdrv_merge_dirty_bitmap(dest->bitmap, src->bitmap,
                                         worker_random(w, 2) ? &backup : NULL, &err);
        g_assert_true(merged == !err);
        qdb_error_free(err);
    } else {
        worker_does(w, "bdrv_dirty_bitmap_merge_internal");
        merged = bdrv_dirty_bitmap_merge_internal(dest->bitmap, src->bitmap,
                                                  worker_random(w, 2) ? &backup : NULL, true);
        g_assert_true(merged == (dest->family == src->family));
    }
    g_assert_true(dest->family == src->family || !merged);
    w->refused += !merged;
    if (backup) {
        g_assert_true(merged);
        hbitmap_free(backup);
    }
}

/*
 * Empties a bitmap that others write to and merge into meanwhile, and adds what it had: nothing may
 * be lost.
 */
static void clear_and_add(Worker *w)
{
    Slot *slot = merged_slot(w);
    HBitmap *old = NULL;
    int64_t start = 0, count = 0;

    worker_does(w, "bdrv_clear_dirty_bitmap");
    bdrv_clear_dirty_bitmap(slot->bitmap, &old);
    while (hbitmap_next_dirty_area(old, start, slot->size, INT64_MAX, &start, &count)) {
        bdrv_set_dirty_bitmap(slot->bitmap, start, count);
        start += count;
    }
    hbitmap_free(old);
}

/*
 * A transaction that is undone, on a bitmap that this thread alone changes: its content is the same
 * again.
 */
static void clear_and_restore(Worker *w)
{
    Slot *slot = slot_of(w, KIND_ASIDE, (int)worker_random(w, NODES));
    int64_t cells = slot->size / CELL / PARTS;
    HBitmap *old = NULL;
    char *before, *after;

    worker_does(w, "clear and restore");
    write_to_slot(w, slot, (int64_t)worker_random(w, (uint64_t)cells) * PARTS + CLEARERS_PART);
    before = bdrv_dirty_bitmap_sha256(slot->bitmap, &error_abort);
    if (worker_random(w, 2)) {
        bdrv_clear_dirty_bitmap(slot->bitmap, &old);
    } else {
        bdrv_dirty_bitmap_merge_internal(slot->bitmap, merged_slot(w)->bitmap, &old, true);
    }
    if (old) {
        bdrv_restore_dirty_bitmap(slot->bitmap, old);
    }
    after = bdrv_dirty_bitmap_sha256(slot->bitmap, &error_abort);
    g_assert_cmpstr(before, ==, after);
    g_free(before);
    g_free(after);
}

static void clearer(Worker *w)
{
    if (worker_random(w, 2)) {
        clear_and_add(w);
    } else {
        clear_and_restore(w);
    }
}

/*
 * With the lock held, a walk finds as many units as the bitmap says it has; without it in between,
 * ascending dirty ones.
 */
static void iterator(Worker *w)
{
    Slot *slot = merged_slot(w);
    BdrvDirtyBitmapIter *iter;
    int64_t at, last = -1, units = 0;

    worker_does(w, "bdrv_dirty_iter_next");
    iter = bdrv_dirty_iter_new(slot->bitmap);
    bdrv_dirty_bitmap_lock(slot->bitmap);
    while ((at = bdrv_dirty_iter_next(iter)) >= 0) {
        g_assert_cmpint(at, >, last);
        g_assert_cmpint(at % slot->granularity, ==, 0);
        g_assert_true(bdrv_dirty_bitmap_get_locked(slot->bitmap, at));
        last = at;
        units++;
    }
    g_assert_cmpint(units * slot->granularity, ==, bdrv_get_dirty_count(slot->bitmap));
    bdrv_set_dirty_iter(iter, 0);
    last = -1;
    for (int i = 0; i < 100; i++) {
        bdrv_dirty_bitmap_unlock(slot->bitmap);
        bdrv_dirty_bitmap_lock(slot->bitmap);
        at = bdrv_dirty_iter_next(iter);
        if (at < 0) {
            break;
        }
        g_assert_cmpint(at, >, last);
        g_assert_true(bdrv_dirty_bitmap_get_locked(slot->bitmap, at));
        last = at;
    }
    bdrv_dirty_bitmap_unlock(slot->bitmap);
    bdrv_dirty_iter_free(iter);
}

/* All that may be read without the lock. */
static void reader(Worker *w)
{
    Slot *slot = merged_slot(w);
    int64_t count;

    worker_does(w, "reading without the lock");
    count = bdrv_get_dirty_count(slot->bitmap);
    g_assert_cmpint(count % slot->granularity, ==, 0);
    g_assert_cmpint(count, <=, slot->size + slot->granularity);
    g_assert_cmpuint(bdrv_dirty_bitmap_granularity(slot->bitmap), ==, slot->granularity);
    g_assert_cmpint(bdrv_dirty_bitmap_size(slot->bitmap), ==, slot->size);
    g_assert_cmpstr(bdrv_dirty_bitmap_name(slot->bitmap), ==, slot->name);
    g_assert_false(bdrv_dirty_bitmap_readonly(slot->bitmap));
    g_assert_false(bdrv_dirty_bitmap_inconsistent(slot->bitmap));
    bdrv_dirty_bitmap_enabled(slot->bitmap);
    bdrv_dirty_bitmap_get_persistence(slot->bitmap);
    bdrv_dirty_bitmap_has_successor(slot->bitmap);
    bdrv_dirty_bitmap_check(slot->bitmap, BDRV_BITMAP_DEFAULT, NULL);
    if (worker_random(w, 100) == 0) {
        g_usleep(100); /* no more than its share of a processor */
    }
}

/*
 * The list of a node, while bitmaps come and go in it: first as a query, then with the lock held.
 */
static void lister(Worker *w)
{
    int node = (int)worker_random(w, NODES);
    BlockDriverState *bs = w->round->nodes[node];
    Slot *slot = slot_of(w, KIND_ASIDE, node);
    BlockDirtyInfoList *list;
    BdrvDirtyBitmap *bitmap;
    int named = 0;

    worker_does(w, "bdrv_query_dirty_bitmaps");
    list = bdrv_query_dirty_bitmaps(bs);
    for (BlockDirtyInfoList *entry = list; entry; entry = entry->next) {
        named += entry->value->name != NULL;
        g_assert_cmpint(entry->value->count % entry->value->granularity, ==, 0);
    }
    qdb_dirty_info_list_free(list);
    /* Neither more nor less, also while a successor takes a name over. */
    g_assert_cmpint(named, ==, w->round->merged_count / NODES + 2);

    worker_does(w, "walking the list");
    named = 0;
    bdrv_dirty_bitmap_lock(slot->bitmap);
    for (bitmap = bdrv_dirty_bitmap_first(bs); bitmap; bitmap = bdrv_dirty_bitmap_next(bitmap)) {
        named += bdrv_dirty_bitmap_name(bitmap) != NULL;
        bdrv_dirty_bitmap_next_dirty(bitmap, 0, INT64_MAX);
        bdrv_dirty_bitmap_next_zero(bitmap, 0, INT64_MAX);
    }
    bdrv_dirty_bitmap_unlock(slot->bitmap);
    g_assert_cmpint(named, ==, w->round->merged_count / NODES + 2);
    g_assert_true(bdrv_has_named_bitmaps(bs));
    g_assert_false(bdrv_has_readonly_bitmaps(bs));
}

/*
 * A backup that fails: what was written meanwhile comes back. While it runs, merges with the bitmap
 * are refused.
 */
static void freeze_and_reclaim(Worker *w, int node)
{
    Slot *slot = merged_slot(w);

    if (slot->node != node) {
        return; /* the other job's */
    }
    worker_does(w, "freeze and reclaim");
    /*
     * A successor is as long as the node is when it is made, and no other thread makes one on this
     * node.
     */
    qdb_node_set_length(w->round->nodes[node], slot->size);
    g_assert_cmpint(bdrv_dirty_bitmap_create_successor(slot->bitmap, &error_abort), ==, 0);
    bdrv_dirty_bitmap_set_persistence(slot->bitmap, worker_random(w, 2));
    for (uint64_t i = worker_random(w, 100); i > 0; i--) {
        g_thread_yield();
    }
    g_assert_true(bdrv_reclaim_dirty_bitmap(slot->bitmap, &error_abort) == slot->bitmap);
}

/*
 * A backup that succeeds: what the bitmap has is saved, and the successor, which has the rest,
 * replaces it.
 */
static void freeze_and_abdicate(Worker *w, int node)
{
    Slot *slot = slot_of(w, KIND_JOB, node);

    worker_does(w, "freeze and abdicate");
    qdb_node_set_length(w->round->nodes[node], slot->size);
    g_assert_cmpint(bdrv_dirty_bitmap_create_successor(slot->bitmap, &error_abort), ==, 0);
    log_add_bitmap(&slot->saved, slot->bitmap);
    if (worker_random(w, 2)) {
        /* The first bitmap is of the same size. Both may be busy. */
        g_assert_true(
            bdrv_dirty_bitmap_merge_internal(w->round->slots[0].bitmap, slot->bitmap, NULL, true));
    }
    slot->bitmap = bdrv_dirty_bitmap_abdicate(slot->bitmap, &error_abort);
    g_assert_nonnull(slot->bitmap);
    g_assert_cmpstr(bdrv_dirty_bitmap_name(slot->bitmap), ==, slot->name);
}

static void job(Worker *w)
{
    if (worker_random(w, 2)) {
        freeze_and_reclaim(w, w->index);
    } else {
        freeze_and_abdicate(w, w->index);
    }
}

static void add_worker(Round *round, const char *role, void (*work)(Worker *), int index)
{
    Worker *w = &round->workers[round->worker_count++];

    w->role = role;
    w->work = work;
    w->round = round;
    w->index = index;
    w->random = random_below(UINT64_MAX) | 1;
    for (int i = 0; i < round->slot_count; i++) {
        w->to_slot[i] = log_new(round->slots[i].size);
    }
    for (int i = 0; i < NODES; i++) {
        w->to_node[i] = log_new(round->smallest[i]);
    }
}

void add_workers(Round *round)
{
    add_worker(round, "writer", writer, 0);
    add_worker(round, "writer", writer, 1);
    add_worker(round, "merger", merger, 0);
    add_worker(round, "merger", merger, 1);
    add_worker(round, "clearer", clearer, 0);
    add_worker(round, "iterator", iterator, 0);
    add_worker(round, "reader", reader, 0);
    add_worker(round, "lister", lister, 0);
    add_worker(round, "job", job, 0);
    add_worker(round, "job", job, 1);
}
