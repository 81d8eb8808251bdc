/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The other half of dirty-states.c: what a bitmap in each combination of states does not survive.
 */
#include "dirty-tests.h"
#include "node.h"

#define SIZE ((int64_t)(16 * GRANULARITY))
#define DIRTY ((int64_t)(3 * GRANULARITY))

typedef struct Doomed {
    BlockDriverState *bs;
    BdrvDirtyBitmap *bitmap;
} Doomed;

static void do_set(void *opaque)
{
    bdrv_set_dirty_bitmap(((Doomed *)opaque)->bitmap, 0, 1);
}

static void do_set_locked(void *opaque)
{
    bdrv_dirty_bitmap_lock(((Doomed *)opaque)->bitmap);
    bdrv_set_dirty_bitmap_locked(((Doomed *)opaque)->bitmap, 0, 1);
}

static void do_reset(void *opaque)
{
    bdrv_reset_dirty_bitmap(((Doomed *)opaque)->bitmap, 0, GRANULARITY);
}

static void do_reset_locked(void *opaque)
{
    bdrv_dirty_bitmap_lock(((Doomed *)opaque)->bitmap);
    bdrv_reset_dirty_bitmap_locked(((Doomed *)opaque)->bitmap, 0, GRANULARITY);
}

static void do_clear(void *opaque)
{
    bdrv_clear_dirty_bitmap(((Doomed *)opaque)->bitmap, NULL);
}

static void do_restore(void *opaque)
{
    bdrv_restore_dirty_bitmap(((Doomed *)opaque)->bitmap, hbitmap_alloc((uint64_t)SIZE, 12));
}

static void do_guest_write(void *opaque)
{
    bdrv_set_dirty(((Doomed *)opaque)->bs, 0, 1);
}

static void do_release(void *opaque)
{
    bdrv_release_dirty_bitmap(((Doomed *)opaque)->bitmap);
}

static void do_release_named(void *opaque)
{
    bdrv_release_named_dirty_bitmaps(((Doomed *)opaque)->bs);
}

static void do_truncate(void *opaque)
{
    bdrv_dirty_bitmap_truncate(((Doomed *)opaque)->bs, SIZE);
}

static void do_set_inconsistent(void *opaque)
{
    bdrv_dirty_bitmap_set_persistence(((Doomed *)opaque)->bitmap, false);
    bdrv_dirty_bitmap_set_inconsistent(((Doomed *)opaque)->bitmap);
}

#define READONLY "!bdrv_dirty_bitmap_readonly(bitmap)"
#define NOT_BUSY "!bdrv_dirty_bitmap_busy(bitmap)"
#define NO_SUCCESSOR "!bdrv_dirty_bitmap_has_successor(bitmap)"

static void expect_death(Doomed *doomed, void (*body)(void *), const char *function,
                         const char *condition)
{
    char *pattern = g_strdup_printf("*%s: Assertion `%s' failed.*", function, condition);

    expect_abort(body, doomed, pattern);
    g_free(pattern);
}

static void every_death(void)
{
    for (unsigned state = 0; state < STATE_COMBINATIONS; state++) {
        Doomed d;
        const char *in_use = state & STATE_BUSY        ? NOT_BUSY
                             : state & STATE_SUCCESSOR ? NO_SUCCESSOR
                                                       : NULL;

        /* Storing has no part in it. */
        if (state & STATE_SKIP_STORE) {
            continue;
        }
        d.bs = qdb_node_new(SIZE, 0, "node");
        d.bitmap = bitmap_new(d.bs, "state", GRANULARITY, DIRTY, state);
        if (state & STATE_READONLY) {
            expect_death(&d, do_set, "bdrv_set_dirty_bitmap_locked", READONLY);
            expect_death(&d, do_set_locked, "bdrv_set_dirty_bitmap_locked", READONLY);
            expect_death(&d, do_reset, "bdrv_reset_dirty_bitmap_locked", READONLY);
            expect_death(&d, do_reset_locked, "bdrv_reset_dirty_bitmap_locked", READONLY);
            expect_death(&d, do_clear, "bdrv_clear_dirty_bitmap", READONLY);
            expect_death(&d, do_restore, "bdrv_restore_dirty_bitmap", READONLY);
            if (state_enabled(state)) {
                expect_death(&d, do_guest_write, "bdrv_set_dirty", READONLY);
            }
        }
        if (in_use) {
            expect_death(&d, do_release, "bdrv_release_dirty_bitmap_locked", in_use);
            expect_death(&d, do_truncate, "bdrv_dirty_bitmap_truncate", in_use);
            if (!(state & STATE_ANONYMOUS)) {
                expect_death(&d, do_release_named, "bdrv_release_dirty_bitmap_locked", in_use);
            }
        }
        expect_death(&d, do_set_inconsistent, "bdrv_dirty_bitmap_set_inconsistent",
                     "bitmap->persistent == true");
        node_discard(d.bs);
    }
}

static void do_unlock(void *opaque)
{
    bdrv_dirty_bitmap_unlock(((Doomed *)opaque)->bitmap);
}

static gpointer unlock_elsewhere(gpointer opaque)
{
    do_unlock(opaque);
    return NULL;
}

static void do_unlock_by_another(void *opaque)
{
    bdrv_dirty_bitmap_lock(((Doomed *)opaque)->bitmap);
    g_thread_join(g_thread_new("other", unlock_elsewhere, opaque));
}

static void do_unlock_twice(void *opaque)
{
    bdrv_dirty_bitmap_lock(((Doomed *)opaque)->bitmap);
    do_unlock(opaque);
    do_unlock(opaque);
}

/* Of a lock that the thread does not hold: another one may rely on it. */
static void unlock_not_held(void)
{
    void (*const bodies[])(void *) = { do_unlock, do_unlock_by_another, do_unlock_twice };
    Doomed d;

    if (skipped_on_qemu(DIFF_UNDEFINED_IN_C)) {
        return;
    }
    d.bs = qdb_node_new(SIZE, 0, "node");
    d.bitmap = bitmap_new(d.bs, "b", GRANULARITY, DIRTY, 0);
    for (size_t i = 0; i < G_N_ELEMENTS(bodies); i++) {
        expect_abort(
            bodies[i], &d,
            "*bdrv_dirty_bitmap_unlock: the node's bitmaps are not locked by this thread*");
    }
    node_discard(d.bs);
}

void add_dirty_death_tests(void)
{
    g_test_add_func("/dirty-bitmap/unlock-not-held", unlock_not_held);
    g_test_add_func("/dirty-bitmap/states/every-death", every_death);
}
