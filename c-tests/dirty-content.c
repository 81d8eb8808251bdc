/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Writing and reading a bitmap's content: set, reset, clear, restore, get, searches, sha256. */
#include "dirty-tests.h"
#include "node.h"

#include <stdlib.h>

static void set_reset_get(void)
{
    BlockDriverState *bs = qdb_node_new(16 * KIB, 0, NULL);
    BdrvDirtyBitmap *bitmap = bitmap_new(bs, "b", 1024, 0, 0);

    expect_picture(bitmap, 1024, "0000000000000000");
    bdrv_set_dirty_bitmap(bitmap, 1023, 2);
    expect_picture(bitmap, 1024, "1100000000000000");
    bdrv_set_dirty_bitmap(bitmap, 16 * KIB - 1, 1);
    bdrv_set_dirty_bitmap(bitmap, 5 * KIB, 4 * KIB);
    expect_picture(bitmap, 1024, "1100011110000001");
    g_assert_cmpint(bdrv_get_dirty_count(bitmap), ==, 7 * KIB);
    bdrv_reset_dirty_bitmap(bitmap, 0, KIB);
    bdrv_reset_dirty_bitmap(bitmap, 6 * KIB, 2 * KIB);
    expect_picture(bitmap, 1024, "0100010010000001");
    bdrv_set_dirty_bitmap(bitmap, 0, 0);
    bdrv_reset_dirty_bitmap(bitmap, 1 * KIB, 0);
    expect_picture(bitmap, 1024, "0100010010000001");
    g_assert_true(bdrv_dirty_bitmap_get(bitmap, 2047));
    g_assert_false(bdrv_dirty_bitmap_get(bitmap, 2048));
    node_discard(bs);
}

static void locked_variants(void)
{
    BlockDriverState *bs = qdb_node_new(16 * KIB, 0, NULL);
    BdrvDirtyBitmap *bitmap = bitmap_new(bs, "b", 1024, 0, STATE_DISABLED);

    bdrv_dirty_bitmap_lock(bitmap);
    bdrv_set_dirty_bitmap_locked(bitmap, 100, 3000);
    g_assert_true(bdrv_dirty_bitmap_get_locked(bitmap, 0));
    g_assert_true(bdrv_dirty_bitmap_get_locked(bitmap, 3 * KIB));
    g_assert_false(bdrv_dirty_bitmap_get_locked(bitmap, 4 * KIB));
    bdrv_reset_dirty_bitmap_locked(bitmap, 1 * KIB, KIB);
    g_assert_false(bdrv_dirty_bitmap_get_locked(bitmap, 1 * KIB));
    g_assert_cmpint(bdrv_get_dirty_count(bitmap), ==, 3 * KIB);
    g_assert_false(bdrv_dirty_bitmap_enabled(bitmap));
    bdrv_enable_dirty_bitmap_locked(bitmap);
    g_assert_true(bdrv_dirty_bitmap_enabled(bitmap));
    bdrv_dirty_bitmap_unlock(bitmap);
    expect_picture(bitmap, 1024, "1011000000000000");
    node_discard(bs);
}

static void clear(void)
{
    BlockDriverState *bs = qdb_node_new(16 * KIB, 0, NULL);
    BdrvDirtyBitmap *bitmap = bitmap_new(bs, "b", 1024, 5 * KIB, 0);
    HBitmap *old = NULL;

    bdrv_clear_dirty_bitmap(bitmap, NULL);
    g_assert_cmpint(bdrv_get_dirty_count(bitmap), ==, 0);
    bdrv_clear_dirty_bitmap(bitmap, NULL);
    expect_picture(bitmap, 1024, "0000000000000000");

    /* With @out the old content goes to the caller, who frees it. */
    bdrv_set_dirty_bitmap(bitmap, 3 * KIB, 2 * KIB);
    bdrv_clear_dirty_bitmap(bitmap, &old);
    g_assert_nonnull(old);
    expect_picture(bitmap, 1024, "0000000000000000");
    g_assert_cmpint(bdrv_get_dirty_count(bitmap), ==, 0);
    g_assert_cmpuint(bdrv_dirty_bitmap_granularity(bitmap), ==, 1024);
    g_assert_cmpuint(hbitmap_count(old), ==, 2 * KIB);
    g_assert_cmpint(hbitmap_granularity(old), ==, 10);
    g_assert_true(hbitmap_get(old, 3 * KIB));
    bdrv_set_dirty_bitmap(bitmap, 0, KIB);
    g_assert_false(hbitmap_get(old, 0));
    hbitmap_free(old);
    node_discard(bs);
}

/* A failed transaction: what clear gave out comes back, and what was written in between is gone. */
static void restore(void)
{
    BlockDriverState *bs = qdb_node_new(16 * KIB, 0, NULL);
    BdrvDirtyBitmap *bitmap = bitmap_new(bs, "b", 1024, 5 * KIB, 0);
    HBitmap *old = NULL;

    bdrv_clear_dirty_bitmap(bitmap, &old);
    bdrv_set_dirty_bitmap(bitmap, 10 * KIB, KIB);
    bdrv_restore_dirty_bitmap(bitmap, old);
    expect_picture(bitmap, 1024, "1111100000000000");
    g_assert_cmpint(bdrv_get_dirty_count(bitmap), ==, 5 * KIB);
    bdrv_set_dirty_bitmap(bitmap, 15 * KIB, KIB);
    expect_picture(bitmap, 1024, "1111100000000001");
    node_discard(bs);
}

static void searches(void)
{
    BlockDriverState *bs = qdb_node_new(100 * KIB, 0, NULL);
    BdrvDirtyBitmap *bitmap = bitmap_new(bs, "b", 1024, 0, 0);
    int64_t start = -1, length = -2, run;

    g_assert_false(bitmap_next_dirty_area(bitmap, 0, INT64_MAX, INT64_MAX, &start, &length));
    g_assert_cmpint(start, ==, -1);
    g_assert_cmpint(length, ==, -2);
    bdrv_set_dirty_bitmap(bitmap, 10 * KIB, 5 * KIB);
    bdrv_set_dirty_bitmap(bitmap, 99 * KIB, KIB);

    g_assert_cmpint(bitmap_next_dirty(bitmap, 0, INT64_MAX), ==, 10 * KIB);
    g_assert_cmpint(bitmap_next_dirty(bitmap, 0, 10 * KIB), ==, -1);
    g_assert_cmpint(bitmap_next_dirty(bitmap, 0, 10 * KIB + 1), ==, 10 * KIB);
    g_assert_cmpint(bitmap_next_dirty(bitmap, 11 * KIB + 7, 1), ==, 11 * KIB + 7);
    g_assert_cmpint(bitmap_next_dirty(bitmap, 15 * KIB, INT64_MAX), ==, 99 * KIB);
    g_assert_cmpint(bitmap_next_zero(bitmap, 0, INT64_MAX), ==, 0);
    g_assert_cmpint(bitmap_next_zero(bitmap, 10 * KIB, INT64_MAX), ==, 15 * KIB);
    g_assert_cmpint(bitmap_next_zero(bitmap, 10 * KIB, 5 * KIB), ==, -1);
    g_assert_cmpint(bitmap_next_zero(bitmap, 99 * KIB, INT64_MAX), ==, -1);

    g_assert_true(bitmap_next_dirty_area(bitmap, 0, 100 * KIB, INT64_MAX, &start, &length));
    g_assert_cmpint(start, ==, 10 * KIB);
    g_assert_cmpint(length, ==, 5 * KIB);
    g_assert_true(bitmap_next_dirty_area(bitmap, 12 * KIB, 100 * KIB, KIB, &start, &length));
    g_assert_cmpint(start, ==, 12 * KIB);
    g_assert_cmpint(length, ==, KIB);
    g_assert_true(bitmap_next_dirty_area(bitmap, 20 * KIB, INT64_MAX, INT64_MAX, &start, &length));
    g_assert_cmpint(start, ==, 99 * KIB);
    g_assert_cmpint(length, ==, KIB);

    g_assert_false(bitmap_status(bitmap, 0, 100 * KIB, &run));
    g_assert_cmpint(run, ==, 10 * KIB);
    g_assert_true(bitmap_status(bitmap, 10 * KIB, 90 * KIB, &run));
    g_assert_cmpint(run, ==, 5 * KIB);
    g_assert_true(bitmap_status(bitmap, 99 * KIB, KIB, &run));
    g_assert_cmpint(run, ==, KIB);
    node_discard(bs);
}

/*
 * A disk that ends within a bit: the states of its ranges add up to its length, in C's own code as
 * well.
 */
static void status_at_the_end(void)
{
    static const int64_t tails[] = { 1, 511, 512, 513, 65535, 65536 };

    for (unsigned i = 0; i < G_N_ELEMENTS(tails); i++) {
        const int64_t size = 130 * 65536 + tails[i];
        BlockDriverState *bs = qdb_node_new(size, 0, NULL);
        BdrvDirtyBitmap *bitmap = bitmap_new(bs, "b", 65536, 0, 0);
        HBitmap *hb = hbitmap_alloc((uint64_t)size, 16);
        int64_t run, offset;

        for (unsigned dirty = 0; dirty < 2; dirty++) {
            g_assert_cmpint(bitmap_status(bitmap, size - 1, 1, &run), ==, dirty);
            g_assert_cmpint(run, ==, 1);
            g_assert_cmpint(bitmap_status(bitmap, size - tails[i], tails[i], &run), ==, dirty);
            g_assert_cmpint(run, ==, tails[i]);
            g_assert_cmpint(hbitmap_status(hb, size - tails[i], tails[i], &run), ==, dirty);
            g_assert_cmpint(run, ==, tails[i]);
            bdrv_set_dirty(bs, size - 1, 1);
            hbitmap_set(hb, (uint64_t)size - 1, 1);
        }
        bdrv_set_dirty(bs, 5 * 65536, 1);
        for (offset = 0; offset < size; offset += run) {
            bitmap_status(bitmap, offset, size - offset, &run);
            g_assert_cmpint(run, >, 0);
        }
        g_assert_cmpint(offset, ==, size);
        /* The count is of whole bits, and may be more than the disk has. */
        g_assert_cmpint(bdrv_get_dirty_count(bitmap), ==, 2 * 65536);
        hbitmap_free(hb);
        node_discard(bs);
    }
}

static void sha256(void)
{
    BlockDriverState *bs = qdb_node_new(64 * KIB, 0, NULL);
    BdrvDirtyBitmap *bitmap = bitmap_new(bs, "b", 1024, 0, 0);
    char *empty = bdrv_dirty_bitmap_sha256(bitmap, &error_abort);
    char *one;

    g_assert_cmpstr(empty, ==, "af5570f5a1810b7af78caf4bc70a660f0df51e42baf91d4de5b2328de0e83dfc");
    bdrv_set_dirty_bitmap(bitmap, 512, 1);
    one = bdrv_dirty_bitmap_sha256(bitmap, &error_abort);
    g_assert_cmpstr(one, ==, "7c9fa136d4413fa6173637e883b6998d32e1d675f88cddff9dcbcf331820f4b8");
    free(empty);
    free(one);
    node_discard(bs);
}

/* A disk of 1 EiB, in 2^32 granules of 256 MiB. */
static void largest_disk(void)
{
    const int64_t size = INT64_C(1) << 60;
    const uint32_t granularity = 256 * MIB;
    BlockDriverState *bs;
    BdrvDirtyBitmap *bitmap;

    bs = qdb_node_new(size, 0, NULL);
    bitmap = bitmap_new(bs, "b", granularity, 0, 0);
    bdrv_set_dirty_bitmap(bitmap, size - 1, 1);
    g_assert_cmpint(bitmap_next_dirty(bitmap, 0, INT64_MAX), ==, size - granularity);
    bdrv_set_dirty_bitmap(bitmap, 0, size);
    g_assert_cmpint(bdrv_get_dirty_count(bitmap), ==, size);
    node_discard(bs);
}

void add_dirty_content_tests(void)
{
    g_test_add_func("/dirty-bitmap/content/set-reset-get", set_reset_get);
    g_test_add_func("/dirty-bitmap/content/locked", locked_variants);
    g_test_add_func("/dirty-bitmap/content/clear", clear);
    g_test_add_func("/dirty-bitmap/content/restore", restore);
    g_test_add_func("/dirty-bitmap/content/searches", searches);
    g_test_add_func("/dirty-bitmap/content/status-at-the-end", status_at_the_end);
    g_test_add_func("/dirty-bitmap/content/sha256", sha256);
    g_test_add_func("/dirty-bitmap/content/largest-disk", largest_disk);
}
