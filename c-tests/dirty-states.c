/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every state, and every combination of states, against every function: what it answers or refuses.
 */
#include "dirty-tests.h"
#include "node.h"

#include <stdlib.h>

#define SIZE ((int64_t)(16 * GRANULARITY))
#define DIRTY ((int64_t)(3 * GRANULARITY))
#define PICTURE "1110000000000000"

static void expect_content(BdrvDirtyBitmap *bitmap, const char *picture)
{
    expect_picture(bitmap, GRANULARITY, picture);
    g_assert_cmpint(bdrv_dirty_bitmap_size(bitmap), ==, SIZE);
}

/* The message of bdrv_dirty_bitmap_check, NULL if the bitmap passes. */
static char *check_message(const BdrvDirtyBitmap *bitmap, unsigned state, uint32_t flags,
                           const char **hint)
{
    const char *name = bitmap_display_name(bitmap);

    *hint = NULL;
    if ((flags & BDRV_BITMAP_BUSY) && (state & STATE_BUSY)) {
        return g_strdup_printf(
            "Bitmap '%s' is currently in use by another operation and cannot be used", name);
    }
    if ((flags & BDRV_BITMAP_RO) && (state & STATE_READONLY)) {
        return g_strdup_printf("Bitmap '%s' is readonly and cannot be modified", name);
    }
    if ((flags & BDRV_BITMAP_INCONSISTENT) && (state & STATE_INCONSISTENT)) {
        *hint = "Try block-dirty-bitmap-remove to delete this bitmap from disk\n";
        return g_strdup_printf("Bitmap '%s' is inconsistent and cannot be used", name);
    }
    return NULL;
}

static void test_check(BdrvDirtyBitmap *bitmap, unsigned state)
{
    for (uint32_t flags = 0; flags < 8; flags++) {
        const char *hint;
        char *message = check_message(bitmap, state, flags, &hint);
        Error *err = NULL;

        g_assert_cmpint(bdrv_dirty_bitmap_check(bitmap, flags, &err), ==, message ? -1 : 0);
        g_assert_cmpint(bdrv_dirty_bitmap_check(bitmap, flags, NULL), ==, message ? -1 : 0);
        if (message) {
            expect_error(&err, message, hint);
        } else {
            g_assert_null(err);
        }
        g_free(message);
    }
}

static void test_flags(BdrvDirtyBitmap *bitmap, unsigned state)
{
    bool persistent = state & (STATE_PERSISTENT | STATE_INCONSISTENT);

    g_assert_cmpint(bdrv_dirty_bitmap_readonly(bitmap), ==, !!(state & STATE_READONLY));
    g_assert_cmpint(bdrv_dirty_bitmap_inconsistent(bitmap), ==, !!(state & STATE_INCONSISTENT));
    g_assert_cmpint(bdrv_dirty_bitmap_get_persistence(bitmap), ==,
                    persistent && !(state & STATE_SKIP_STORE));
    g_assert_cmpint(bdrv_dirty_bitmap_has_successor(bitmap), ==, !!(state & STATE_SUCCESSOR));
    g_assert_cmpint(bdrv_dirty_bitmap_enabled(bitmap), ==, state_enabled(state));
    g_assert_cmpstr(bdrv_dirty_bitmap_name(bitmap), ==, state & STATE_ANONYMOUS ? NULL : "state");
}

/* Reading works in every state. */
static void test_reads(BdrvDirtyBitmap *bitmap)
{
    BdrvDirtyBitmapIter *iter = bdrv_dirty_iter_new(bitmap);
    uint64_t buffer = 0;
    char *digest;
    int64_t run;

    expect_content(bitmap, PICTURE);
    g_assert_cmpint(bdrv_get_dirty_count(bitmap), ==, DIRTY);
    g_assert_cmpuint(bdrv_dirty_bitmap_granularity(bitmap), ==, GRANULARITY);
    g_assert_cmpint(bitmap_next_dirty(bitmap, DIRTY, SIZE), ==, -1);
    g_assert_cmpint(bitmap_next_zero(bitmap, 0, SIZE), ==, DIRTY);
    g_assert_true(bitmap_status(bitmap, 0, SIZE, &run));
    g_assert_cmpint(run, ==, DIRTY);
    bdrv_dirty_bitmap_lock(bitmap);
    for (int64_t at = 0; at < DIRTY; at += GRANULARITY) {
        g_assert_cmpint(bdrv_dirty_iter_next(iter), ==, at);
    }
    g_assert_cmpint(bdrv_dirty_iter_next(iter), ==, -1);
    bdrv_dirty_bitmap_unlock(bitmap);
    bdrv_dirty_iter_free(iter);
    g_assert_cmpuint(bdrv_dirty_bitmap_serialization_size(bitmap, 0, (uint64_t)SIZE), ==, 8);
    bdrv_dirty_bitmap_serialize_part(bitmap, (uint8_t *)&buffer, 0, (uint64_t)SIZE);
    g_assert_cmphex(GUINT64_FROM_LE(buffer), ==, 7);
    digest = bdrv_dirty_bitmap_sha256(bitmap, &error_abort);
    g_assert_cmpuint(strlen(digest), ==, 64);
    free(digest);
}

/* Deserialising is for whoever owns the bitmap, and asks for no state. */
static void test_deserialize(BdrvDirtyBitmap *bitmap)
{
    uint64_t buffer = GUINT64_TO_LE(UINT64_C(7));

    bdrv_dirty_bitmap_deserialize_zeroes(bitmap, 0, (uint64_t)SIZE, true);
    expect_content(bitmap, "0000000000000000");
    /* 16 granules fill no word: QEMU's C would keep ones past the end (DIFF_BITS_PAST_END). */
    if (!on_qemu()) {
        bdrv_dirty_bitmap_deserialize_ones(bitmap, 0, (uint64_t)SIZE, false);
        bdrv_dirty_bitmap_deserialize_finish(bitmap);
        expect_content(bitmap, "1111111111111111");
    }
    bdrv_dirty_bitmap_deserialize_part(bitmap, (uint8_t *)&buffer, 0, (uint64_t)SIZE, true);
    expect_content(bitmap, PICTURE);
}

static void test_query(BlockDriverState *bs, BdrvDirtyBitmap *bitmap, unsigned state)
{
    BlockDirtyInfoList *list = bdrv_query_dirty_bitmaps(bs);
    BlockDirtyInfoList *entry = list;
    const BlockDirtyInfo *info;

    /* The successor was created later, so it comes first; it has no name. */
    if (state & STATE_SUCCESSOR) {
        g_assert_null(entry->value->name);
        g_assert_cmpint(entry->value->recording, ==, !(state & STATE_DISABLED));
        entry = entry->next;
    }
    g_assert_null(entry->next);
    info = entry->value;
    g_assert_cmpstr(info->name, ==, bdrv_dirty_bitmap_name(bitmap));
    g_assert_cmpint(info->count, ==, DIRTY);
    g_assert_cmpuint(info->granularity, ==, GRANULARITY);
    g_assert_cmpint(info->recording, ==, state_recording(state));
    g_assert_cmpint(info->busy, ==, !!(state & STATE_BUSY));
    /* What is asked for, whether it will be stored or not. */
    g_assert_cmpint(info->persistent, ==, !!(state & (STATE_PERSISTENT | STATE_INCONSISTENT)));
    g_assert_cmpint(info->has_inconsistent, ==, !!(state & STATE_INCONSISTENT));
    g_assert_cmpint(info->inconsistent, ==, !!(state & STATE_INCONSISTENT));
    qdb_dirty_info_list_free(list);
}

static void test_node_queries(BlockDriverState *bs, BdrvDirtyBitmap *bitmap, unsigned state)
{
    g_assert_cmpint(bdrv_has_readonly_bitmaps(bs), ==, !!(state & STATE_READONLY));
    g_assert_cmpint(bdrv_has_named_bitmaps(bs), ==, !(state & STATE_ANONYMOUS));
    g_assert_true(bdrv_find_dirty_bitmap(bs, "state") == (state & STATE_ANONYMOUS ? NULL : bitmap));
}

static void test_write(BdrvDirtyBitmap *bitmap)
{
    bdrv_set_dirty_bitmap(bitmap, 15 * GRANULARITY, 1);
    expect_content(bitmap, "1110000000000001");
    bdrv_reset_dirty_bitmap(bitmap, 0, 2 * GRANULARITY);
    expect_content(bitmap, "0010000000000001");
    bdrv_clear_dirty_bitmap(bitmap, NULL);
    expect_content(bitmap, "0000000000000000");
    bdrv_set_dirty_bitmap(bitmap, 0, DIRTY);
    expect_content(bitmap, PICTURE);
}

static void test_restore(BdrvDirtyBitmap *bitmap)
{
    HBitmap *backup = NULL;

    bdrv_clear_dirty_bitmap(bitmap, &backup);
    expect_content(bitmap, "0000000000000000");
    bdrv_restore_dirty_bitmap(bitmap, backup);
    expect_content(bitmap, PICTURE);
}

/* A guest write goes to each bitmap that is enabled, and to the successor if that is. */
static void test_guest_write(BlockDriverState *bs, BdrvDirtyBitmap *bitmap, unsigned state)
{
    BdrvDirtyBitmap *successor = state & STATE_SUCCESSOR ? bdrv_dirty_bitmap_first(bs) : NULL;

    bdrv_set_dirty(bs, 8 * GRANULARITY, 1);
    expect_content(bitmap, state_enabled(state) ? "1110000010000000" : PICTURE);
    if (state_enabled(state)) {
        bdrv_reset_dirty_bitmap(bitmap, 8 * GRANULARITY, GRANULARITY);
    }
    if (successor) {
        expect_content(successor, state & STATE_DISABLED ? "0000000000000000" : "0000000010000000");
        bdrv_reset_dirty_bitmap(successor, 0, SIZE);
    }
}

static void test_create_successor(BlockDriverState *bs, BdrvDirtyBitmap *bitmap, unsigned state)
{
    int before = node_bitmap_count(bs);
    const char *hint;
    char *message = check_message(bitmap, state, BDRV_BITMAP_BUSY, &hint);
    Error *err = NULL;

    if (!message && (state & STATE_SUCCESSOR)) {
        message = g_strdup("Cannot create a successor for a bitmap that already has one");
    }
    if (!message) {
        bool enabled = bdrv_dirty_bitmap_enabled(bitmap);

        g_assert_cmpint(bdrv_dirty_bitmap_create_successor(bitmap, &error_abort), ==, 0);
        g_assert_cmpint(node_bitmap_count(bs), ==, before + 1);
        g_assert_true(bdrv_dirty_bitmap_has_successor(bitmap));
        g_assert_cmpint(bdrv_dirty_bitmap_check(bitmap, BDRV_BITMAP_BUSY, NULL), ==, -1);
        g_assert_true(bdrv_reclaim_dirty_bitmap(bitmap, &error_abort) == bitmap);
        g_assert_cmpint(bdrv_dirty_bitmap_enabled(bitmap), ==, enabled);
        g_assert_cmpint(bdrv_dirty_bitmap_check(bitmap, BDRV_BITMAP_BUSY, NULL), ==, 0);
        g_assert_cmpint(node_bitmap_count(bs), ==, before);
        return;
    }
    g_assert_cmpint(bdrv_dirty_bitmap_create_successor(bitmap, &err), ==, -1);
    expect_error(&err, message, NULL);
    g_assert_cmpint(bdrv_dirty_bitmap_create_successor(bitmap, NULL), ==, -1);
    g_assert_cmpint(node_bitmap_count(bs), ==, before);
    test_flags(bitmap, state);
    g_free(message);
}

static void test_without_successor(BdrvDirtyBitmap *bitmap, unsigned state)
{
    Error *err = NULL;

    if (state & STATE_SUCCESSOR) {
        return;
    }
    g_assert_null(bdrv_dirty_bitmap_abdicate(bitmap, &err));
    expect_error(&err, "Cannot relinquish control if there's no successor present", NULL);
    g_assert_null(bdrv_dirty_bitmap_abdicate(bitmap, NULL));
    g_assert_null(bdrv_reclaim_dirty_bitmap(bitmap, &err));
    expect_error(&err, "Cannot reclaim a successor when none is present", NULL);
    bdrv_dirty_bitmap_lock(bitmap);
    g_assert_null(bdrv_reclaim_dirty_bitmap_locked(bitmap, &err));
    bdrv_dirty_bitmap_unlock(bitmap);
    expect_error(&err, "Cannot reclaim a successor when none is present", NULL);
    test_flags(bitmap, state);
}

static void test_enable_disable(BdrvDirtyBitmap *bitmap, unsigned state)
{
    bdrv_disable_dirty_bitmap(bitmap);
    g_assert_false(bdrv_dirty_bitmap_enabled(bitmap));
    bdrv_enable_dirty_bitmap(bitmap);
    g_assert_true(bdrv_dirty_bitmap_enabled(bitmap));
    if (!state_enabled(state)) {
        bdrv_disable_dirty_bitmap(bitmap);
    }
}

static void test_other_flags(BdrvDirtyBitmap *bitmap, unsigned state)
{
    bool persistent = state & (STATE_PERSISTENT | STATE_INCONSISTENT);

    bdrv_dirty_bitmap_skip_store(bitmap, !(state & STATE_SKIP_STORE));
    test_flags(bitmap, state ^ STATE_SKIP_STORE);
    bdrv_dirty_bitmap_skip_store(bitmap, state & STATE_SKIP_STORE);
    bdrv_dirty_bitmap_set_persistence(bitmap, true);
    g_assert_cmpint(bdrv_dirty_bitmap_get_persistence(bitmap), ==, !(state & STATE_SKIP_STORE));
    bdrv_dirty_bitmap_set_persistence(bitmap, false);
    g_assert_false(bdrv_dirty_bitmap_get_persistence(bitmap));
    /* An inconsistent bitmap stays one whatever is asked for. */
    g_assert_cmpint(bdrv_dirty_bitmap_inconsistent(bitmap), ==, !!(state & STATE_INCONSISTENT));
    bdrv_dirty_bitmap_set_persistence(bitmap, persistent);
    bdrv_dirty_bitmap_set_readonly(bitmap, !(state & STATE_READONLY));
    test_check(bitmap, state ^ STATE_READONLY);
    bdrv_dirty_bitmap_set_readonly(bitmap, state & STATE_READONLY);
    bdrv_dirty_bitmap_set_busy(bitmap, !(state & STATE_BUSY));
    test_check(bitmap, state ^ STATE_BUSY);
    bdrv_dirty_bitmap_set_busy(bitmap, state & STATE_BUSY);
    test_flags(bitmap, state);
}

/* Truncating asks that nobody is at work with a bitmap; nothing else keeps it from happening. */
static void test_truncate(BlockDriverState *bs, BdrvDirtyBitmap *bitmap, unsigned state)
{
    if (state & (STATE_BUSY | STATE_SUCCESSOR)) {
        return;
    }
    bdrv_dirty_bitmap_truncate(bs, 2 * GRANULARITY);
    g_assert_cmpint(bdrv_dirty_bitmap_size(bitmap), ==, 2 * GRANULARITY);
    g_assert_cmpint(bdrv_get_dirty_count(bitmap), ==, 2 * GRANULARITY);
    bdrv_dirty_bitmap_truncate(bs, SIZE);
    expect_content(bitmap, "1100000000000000");
}

static void every_state(void)
{
    for (unsigned state = 0; state < STATE_COMBINATIONS; state++) {
        BlockDriverState *bs = qdb_node_new(SIZE, 0, "node");
        BdrvDirtyBitmap *bitmap = bitmap_new(bs, "state", GRANULARITY, DIRTY, state);

        test_flags(bitmap, state);
        test_check(bitmap, state);
        test_reads(bitmap);
        test_query(bs, bitmap, state);
        test_node_queries(bs, bitmap, state);
        if (!(state & STATE_READONLY)) {
            test_write(bitmap);
            test_restore(bitmap);
        }
        if (!(state & STATE_READONLY) || !state_enabled(state)) {
            test_guest_write(bs, bitmap, state);
        }
        test_deserialize(bitmap);
        test_create_successor(bs, bitmap, state);
        test_without_successor(bitmap, state);
        test_enable_disable(bitmap, state);
        test_other_flags(bitmap, state);
        test_flags(bitmap, state);
        test_truncate(bs, bitmap, state);
        node_discard(bs);
    }
}

/* Marking a bitmap inconsistent also disables it, for good or until somebody enables it. */
static void inconsistent_disables(void)
{
    BlockDriverState *bs = qdb_node_new(SIZE, 0, NULL);
    BdrvDirtyBitmap *bitmap = bitmap_new(bs, "b", GRANULARITY, 0, STATE_PERSISTENT);

    g_assert_true(bdrv_dirty_bitmap_enabled(bitmap));
    bdrv_dirty_bitmap_set_inconsistent(bitmap);
    g_assert_false(bdrv_dirty_bitmap_enabled(bitmap));
    bdrv_set_dirty(bs, 0, SIZE);
    g_assert_cmpint(bdrv_get_dirty_count(bitmap), ==, 0);
    bdrv_dirty_bitmap_set_inconsistent(bitmap);
    g_assert_true(bdrv_dirty_bitmap_inconsistent(bitmap));
    node_discard(bs);
}

void add_dirty_state_tests(void)
{
    g_test_add_func("/dirty-bitmap/states/every-function", every_state);
    g_test_add_func("/dirty-bitmap/states/inconsistent-disables", inconsistent_disables);
}
