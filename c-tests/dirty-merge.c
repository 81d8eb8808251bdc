/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bdrv_merge_dirty_bitmap and bdrv_dirty_bitmap_merge_internal: states x granularities x nodes x
 * backup x lock.
 */
#include "dirty-tests.h"
#include "merge-case.h"

/* All ways to merge two bitmaps in the given states. */
static void run_states(unsigned dest_state, unsigned src_state, bool with_deaths)
{
    static const uint32_t src_granularities[] = { 1024, 2048, 8192 };

    for (How how = 0; how < HOW_COUNT; how++) {
        for (int bits = 0; bits < 4; bits++) {
            for (size_t i = 0; i < G_N_ELEMENTS(src_granularities); i++) {
                const Case c = {
                    .dest_state = dest_state,
                    .src_state = src_state,
                    .dest_granularity = 2048,
                    .src_granularity = src_granularities[i],
                    .other_node = bits & 1,
                    .with_backup = bits & 2,
                    .how = how,
                };

                if (how == HOW_PUBLIC || !violation(&c) || (with_deaths && i == 1)) {
                    run_case(&c);
                }
            }
        }
    }
}

static void all_pairs_of_states(void)
{
    static const unsigned states[] = { STATE_BUSY, STATE_READONLY, STATE_INCONSISTENT,
                                       STATE_DISABLED };

    for (unsigned pair = 0; pair < 256; pair++) {
        unsigned dest = 0, src = 0;

        for (unsigned i = 0; i < 4; i++) {
            dest |= pair >> i & 1 ? states[i] : 0;
            src |= pair >> (4 + i) & 1 ? states[i] : 0;
        }
        run_states(dest, src, !((dest | src) & STATE_DISABLED));
    }
}

/*
 * The states that a merge ignores, in dest and in src, alone and together. Anonymous: see below.
 */
static void all_states_of_one(void)
{
    for (unsigned state = 0; state < STATE_ANONYMOUS; state++) {
        run_states(state, 0, false);
        run_states(0, state, false);
    }
}

/* A bitmap without a name is named as C's printf does it. */
static void anonymous(void)
{
    BlockDriverState *bs = qdb_node_new(SIZE, 0, NULL);
    BdrvDirtyBitmap *dest = bitmap_new(bs, NULL, 2048, 0, STATE_ANONYMOUS);
    BdrvDirtyBitmap *src = bitmap_new(bs, NULL, 1024, 512, STATE_ANONYMOUS | STATE_DISABLED);
    Error *err = NULL;

    g_assert_true(bdrv_merge_dirty_bitmap(dest, src, NULL, &error_abort));
    g_assert_cmpint(bdrv_get_dirty_count(dest), ==, 2048);
    bdrv_dirty_bitmap_set_busy(src, true);
    g_assert_false(bdrv_merge_dirty_bitmap(dest, src, NULL, &err));
    expect_error(
        &err, "Bitmap '(null)' is currently in use by another operation and cannot be used", NULL);
    bdrv_dirty_bitmap_set_readonly(dest, true);
    g_assert_false(bdrv_merge_dirty_bitmap(dest, src, NULL, &err));
    expect_error(&err, "Bitmap '(null)' is readonly and cannot be modified", NULL);
    node_discard(bs);
}

/* Every pair of granularities from 512 bytes to 16 KiB, in both directions. */
static void all_granularities(void)
{
    for (uint32_t dest = 512; dest <= 16384; dest *= 2) {
        for (uint32_t src = 512; src <= 16384; src *= 2) {
            for (int bits = 0; bits < 4; bits++) {
                for (How how = 0; how < HOW_COUNT; how++) {
                    const Case c = {
                        .dest_granularity = dest,
                        .src_granularity = src,
                        .other_node = bits & 1,
                        .with_backup = bits & 2,
                        .how = how,
                    };

                    run_case(&c);
                }
            }
        }
    }
}

/* A bitmap merged into itself: refused like any other, or as it was. */
static void with_itself(void)
{
    for (unsigned state = 0; state < STATE_SUCCESSOR; state++) {
        for (int bits = 0; bits < 2 * HOW_COUNT; bits++) {
            const Case c = {
                .dest_state = state,
                .src_state = state,
                .dest_granularity = 2048,
                .src_granularity = 2048,
                .with_backup = bits & 1,
                .how = bits / 2,
            };
            BlockDriverState *bs = qdb_node_new(SIZE, 0, NULL);
            BdrvDirtyBitmap *bitmap = bitmap_new(bs, "dest", 2048, 5000, state);
            Pair p = { .c = &c, .dest_bs = bs, .src_bs = bs, .dest = bitmap, .src = bitmap };
            Content before = content_of(bitmap), now;
            HBitmap *backup = NULL;
            const char *hint = NULL;
            const char *message = c.how == HOW_PUBLIC ? refusal(&c, &hint) : NULL;
            Error *err = NULL;

            if (c.how == HOW_PUBLIC || !violation(&c)) {
                bool merged = merge_pair(&p, c.with_backup ? &backup : NULL, &err);

                g_assert_cmpint(merged, ==, message == NULL);
                if (message) {
                    expect_error(&err, message, hint);
                }
                g_assert_cmpint(backup != NULL, ==, c.with_backup && merged);
                now = content_of(bitmap);
                expect_same(&now, &before);
                expect_count(bitmap, &before);
                if (backup) {
                    now = content_of_hbitmap(backup);
                    expect_same(&now, &before);
                    bdrv_restore_dirty_bitmap(bitmap, backup);
                    now = content_of(bitmap);
                    expect_same(&now, &before);
                }
            }
            node_discard(bs);
        }
    }
}

static void different_sizes(void)
{
    for (int bits = 0; bits < 4; bits++) {
        BlockDriverState *bs = qdb_node_new(MIB, 0, NULL);
        BlockDriverState *other = bits & 1 ? qdb_node_new(2 * MIB, 0, NULL) : bs;
        BdrvDirtyBitmap *dest = bitmap_new(bs, "dest", 4096, 4096, 0), *src;
        HBitmap *backup = NULL;
        HBitmap **backup_arg = bits & 2 ? &backup : NULL;
        Error *err = NULL;

        qdb_node_set_length(bs, 2 * MIB);
        src = bitmap_new(other, "src", 4096, 8192, 0);
        g_assert_false(bdrv_merge_dirty_bitmap(dest, src, backup_arg, &err));
        expect_error(
            &err,
            "Bitmaps are of different sizes (destination size is 1048576, source size is 2097152) "
            "and can't be merged",
            NULL);
        g_assert_false(bdrv_merge_dirty_bitmap(src, dest, backup_arg, &err));
        expect_error(
            &err,
            "Bitmaps are of different sizes (destination size is 2097152, source size is 1048576) "
            "and can't be merged",
            NULL);
        /* The states are looked at first. */
        bdrv_dirty_bitmap_set_busy(src, true);
        g_assert_false(bdrv_merge_dirty_bitmap(dest, src, backup_arg, &err));
        expect_error(
            &err, "Bitmap 'src' is currently in use by another operation and cannot be used", NULL);
        g_assert_null(backup);
        g_assert_cmpint(bdrv_get_dirty_count(dest), ==, 4096);
        g_assert_cmpint(bdrv_get_dirty_count(src), ==, 8192);
        node_discard(bs);
        if (bits & 1) {
            node_discard(other);
        }
    }
}

/* Stand-alone, the internal merge answers false and has touched nothing. QEMU's aborts. */
static void different_sizes_internal(void)
{
    BlockDriverState *bs, *other;
    BdrvDirtyBitmap *dest, *src;
    HBitmap *backup = NULL;

    if (skipped_on_qemu(DIFF_MERGE_RESULT)) {
        return;
    }
    bs = qdb_node_new(MIB, 0, NULL);
    other = qdb_node_new(MIB + 512, 0, NULL);
    dest = bitmap_new(bs, "dest", 4096, 4096, 0);
    src = bitmap_new(other, "src", 4096, 8192, 0);
    g_assert_false(bdrv_dirty_bitmap_merge_internal(dest, src, NULL, true));
    g_assert_false(bdrv_dirty_bitmap_merge_internal(dest, src, &backup, true));
    g_assert_null(backup);
    bdrv_dirty_bitmap_lock(dest);
    bdrv_dirty_bitmap_lock(src);
    g_assert_false(bdrv_dirty_bitmap_merge_internal(dest, src, NULL, false));
    g_assert_false(bdrv_dirty_bitmap_merge_internal(src, dest, &backup, false));
    bdrv_dirty_bitmap_unlock(src);
    bdrv_dirty_bitmap_unlock(dest);
    g_assert_null(backup);
    g_assert_cmpint(bdrv_get_dirty_count(dest), ==, 4096);
    g_assert_cmpint(bdrv_get_dirty_count(src), ==, 8192);
    /* The locks are free again. */
    bdrv_set_dirty_bitmap(dest, 0, 1);
    bdrv_set_dirty_bitmap(src, 0, 1);
    node_discard(bs);
    node_discard(other);
}

/* Bitmaps of no items, and empty ones. */
static void nothing_to_merge(void)
{
    for (int64_t size = 0; size <= 1; size++) {
        BlockDriverState *bs = qdb_node_new(size, 0, NULL);
        BdrvDirtyBitmap *dest = bitmap_new(bs, "dest", 512, 0, 0);
        BdrvDirtyBitmap *src = bitmap_new(bs, "src", 1024, 0, 0);
        HBitmap *backup = NULL;

        g_assert_true(bdrv_merge_dirty_bitmap(dest, src, NULL, &error_abort));
        g_assert_true(bdrv_merge_dirty_bitmap(dest, src, &backup, &error_abort));
        g_assert_true(hbitmap_empty(backup));
        hbitmap_free(backup);
        g_assert_cmpint(bdrv_get_dirty_count(dest), ==, 0);
        node_discard(bs);
    }
}

void add_dirty_merge_tests(void)
{
    g_test_add_func("/dirty-bitmap/merge/pairs-of-states", all_pairs_of_states);
    g_test_add_func("/dirty-bitmap/merge/states-of-one", all_states_of_one);
    g_test_add_func("/dirty-bitmap/merge/anonymous", anonymous);
    g_test_add_func("/dirty-bitmap/merge/granularities", all_granularities);
    g_test_add_func("/dirty-bitmap/merge/with-itself", with_itself);
    g_test_add_func("/dirty-bitmap/merge/different-sizes", different_sizes);
    g_test_add_func("/dirty-bitmap/merge/different-sizes-internal", different_sizes_internal);
    g_test_add_func("/dirty-bitmap/merge/nothing", nothing_to_merge);
}
