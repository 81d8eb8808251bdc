/* SPDX-License-Identifier: GPL-2.0-or-later */
/* BdrvDirtyBitmapIter: walking, jumping, several at once, and bitmaps that change meanwhile. */
#include "dirty-tests.h"
#include "node.h"

#define SIZE ((int64_t)(16 * GRANULARITY))

static int64_t next(BdrvDirtyBitmap *bitmap, BdrvDirtyBitmapIter *iter)
{
    int64_t item;

    bdrv_dirty_bitmap_lock(bitmap);
    item = bdrv_dirty_iter_next(iter);
    bdrv_dirty_bitmap_unlock(bitmap);
    return item;
}

static void jump(BdrvDirtyBitmap *bitmap, BdrvDirtyBitmapIter *iter, int64_t offset)
{
    bdrv_dirty_bitmap_lock(bitmap);
    bdrv_set_dirty_iter(iter, offset);
    bdrv_dirty_bitmap_unlock(bitmap);
}

static void walk(void)
{
    BlockDriverState *bs = qdb_node_new(SIZE, 0, NULL);
    BdrvDirtyBitmap *bitmap = bitmap_new(bs, "b", GRANULARITY, 0, 0);
    BdrvDirtyBitmapIter *iter = bdrv_dirty_iter_new(bitmap);

    g_assert_cmpint(next(bitmap, iter), ==, -1);
    g_assert_cmpint(next(bitmap, iter), ==, -1);
    bdrv_dirty_iter_free(iter);

    bdrv_set_dirty_bitmap(bitmap, 3 * GRANULARITY + 7, GRANULARITY);
    bdrv_set_dirty_bitmap(bitmap, SIZE - 1, 1);
    iter = bdrv_dirty_iter_new(bitmap);
    g_assert_cmpint(next(bitmap, iter), ==, 3 * GRANULARITY);
    g_assert_cmpint(next(bitmap, iter), ==, 4 * GRANULARITY);
    g_assert_cmpint(next(bitmap, iter), ==, SIZE - GRANULARITY);
    g_assert_cmpint(next(bitmap, iter), ==, -1);
    bdrv_dirty_iter_free(iter);
    node_discard(bs);
}

static void jumps(void)
{
    BlockDriverState *bs = qdb_node_new(SIZE, 0, NULL);
    BdrvDirtyBitmap *bitmap = bitmap_new(bs, "b", GRANULARITY, SIZE, 0);
    BdrvDirtyBitmapIter *iter = bdrv_dirty_iter_new(bitmap);

    bdrv_reset_dirty_bitmap(bitmap, 8 * GRANULARITY, 4 * GRANULARITY);
    for (int64_t at = 0; at < SIZE; at += 100) {
        int64_t granule = at / GRANULARITY;
        int64_t expected = granule >= 8 && granule < 12 ? 12 : granule;

        jump(bitmap, iter, at);
        g_assert_cmpint(next(bitmap, iter), ==, expected * GRANULARITY);
    }
    jump(bitmap, iter, SIZE - 1);
    g_assert_cmpint(next(bitmap, iter), ==, SIZE - GRANULARITY);
    g_assert_cmpint(next(bitmap, iter), ==, -1);
    /* From the end back to the start. */
    jump(bitmap, iter, 0);
    g_assert_cmpint(next(bitmap, iter), ==, 0);
    bdrv_dirty_iter_free(iter);
    node_discard(bs);
}

static void several(void)
{
    BlockDriverState *bs = qdb_node_new(SIZE, 0, NULL);
    BdrvDirtyBitmap *bitmap = bitmap_new(bs, "b", GRANULARITY, 3 * GRANULARITY, 0);
    BdrvDirtyBitmapIter *iters[20];

    for (size_t i = 0; i < G_N_ELEMENTS(iters); i++) {
        iters[i] = bdrv_dirty_iter_new(bitmap);
        for (size_t k = 0; k <= i; k++) {
            g_assert_cmpint(next(bitmap, iters[k]), ==,
                            i - k < 3 ? (int64_t)(i - k) * GRANULARITY : -1);
        }
    }
    /* In any order; the bitmap can be truncated and released when the last is gone. */
    for (size_t i = 0; i < G_N_ELEMENTS(iters); i++) {
        bdrv_dirty_iter_free(iters[i * 7 % G_N_ELEMENTS(iters)]);
    }
    bdrv_dirty_bitmap_truncate(bs, GRANULARITY);
    bdrv_release_dirty_bitmap(bitmap);
    node_discard(bs);
}

/* Bits that are reset ahead are skipped, bits in later words that are set ahead are found. */
static void changes(void)
{
    BlockDriverState *bs = qdb_node_new(300 * GRANULARITY, 0, NULL);
    BdrvDirtyBitmap *bitmap = bitmap_new(bs, "b", GRANULARITY, 0, 0);
    BdrvDirtyBitmapIter *iter;

    bdrv_set_dirty_bitmap(bitmap, 0, 100 * GRANULARITY);
    bdrv_set_dirty_bitmap(bitmap, 250 * GRANULARITY, 1);
    iter = bdrv_dirty_iter_new(bitmap);
    g_assert_cmpint(next(bitmap, iter), ==, 0);
    bdrv_reset_dirty_bitmap(bitmap, 1 * GRANULARITY, 98 * GRANULARITY);
    g_assert_cmpint(next(bitmap, iter), ==, 99 * GRANULARITY);
    bdrv_set_dirty_bitmap(bitmap, 251 * GRANULARITY, 1);
    g_assert_cmpint(next(bitmap, iter), ==, 250 * GRANULARITY);
    bdrv_clear_dirty_bitmap(bitmap, NULL);
    g_assert_cmpint(next(bitmap, iter), ==, -1);
    bdrv_dirty_iter_free(iter);
    node_discard(bs);
}

/*
 * A merge in place whose source has one bit left of two hundred, and that one is set here already.
 * Nothing is added, so the iterator returns all the rest.
 */
static void merge_adds_nothing(void)
{
    const int64_t far = INT64_C(32768) * GRANULARITY, bit = far + 5 * GRANULARITY;
    BlockDriverState *bs = qdb_node_new(4 * far, 0, NULL);
    BdrvDirtyBitmap *bitmap = bitmap_new(bs, "a", GRANULARITY, 0, 0);
    BdrvDirtyBitmap *source = bitmap_new(bs, "b", GRANULARITY, 0, 0);
    BdrvDirtyBitmapIter *iter;

    bdrv_set_dirty_bitmap(source, far, 200 * GRANULARITY);
    bdrv_reset_dirty_bitmap(source, far, bit - far);
    bdrv_reset_dirty_bitmap(source, bit + GRANULARITY, 194 * GRANULARITY);
    for (int64_t granule = 10; granule <= 1000; granule *= 10) {
        bdrv_set_dirty_bitmap(bitmap, granule * GRANULARITY, 1);
    }
    bdrv_set_dirty_bitmap(bitmap, bit, 1);
    iter = bdrv_dirty_iter_new(bitmap);
    g_assert_cmpint(next(bitmap, iter), ==, 10 * GRANULARITY);
    g_assert_cmpint(next(bitmap, iter), ==, 100 * GRANULARITY);
    check_merged(bdrv_merge_dirty_bitmap(bitmap, source, NULL, &error_abort));
    g_assert_cmpint(next(bitmap, iter), ==, 1000 * GRANULARITY);
    g_assert_cmpint(next(bitmap, iter), ==, bit);
    g_assert_cmpint(next(bitmap, iter), ==, -1);
    bdrv_dirty_iter_free(iter);
    node_discard(bs);
}

/*
 * The iterator walks what the bitmap holds now, also when its HBitmap was taken away and replaced.
 */
static void content_replaced(void)
{
    BlockDriverState *bs;
    BdrvDirtyBitmap *bitmap;
    BdrvDirtyBitmapIter *iter;
    HBitmap *old = NULL;

    if (skipped_on_qemu(DIFF_UNDEFINED_IN_C)) {
        return;
    }
    bs = qdb_node_new(SIZE, 0, NULL);
    bitmap = bitmap_new(bs, "b", GRANULARITY, 10 * GRANULARITY, 0);
    iter = bdrv_dirty_iter_new(bitmap);
    g_assert_cmpint(next(bitmap, iter), ==, 0);
    bdrv_clear_dirty_bitmap(bitmap, &old);
    hbitmap_free(old);
    g_assert_cmpint(next(bitmap, iter), ==, -1);
    jump(bitmap, iter, 0);
    g_assert_cmpint(next(bitmap, iter), ==, -1);
    bdrv_set_dirty_bitmap(bitmap, 5 * GRANULARITY, 1);
    jump(bitmap, iter, 2 * GRANULARITY);
    g_assert_cmpint(next(bitmap, iter), ==, 5 * GRANULARITY);

    bdrv_clear_dirty_bitmap(bitmap, &old);
    bdrv_set_dirty_bitmap(bitmap, 7 * GRANULARITY, 1);
    bdrv_restore_dirty_bitmap(bitmap, old);
    jump(bitmap, iter, 0);
    g_assert_cmpint(next(bitmap, iter), ==, 5 * GRANULARITY);
    g_assert_cmpint(next(bitmap, iter), ==, -1);
    g_assert_true(bdrv_merge_dirty_bitmap(bitmap, bitmap, &old, &error_abort));
    hbitmap_free(old);
    jump(bitmap, iter, 1);
    g_assert_cmpint(next(bitmap, iter), ==, 5 * GRANULARITY);
    bdrv_dirty_iter_free(iter);
    node_discard(bs);
}

/* All of a bitmap across chunk boundaries, against next_dirty. */
static void long_walk(void)
{
    const int64_t size = 3 * 32768 * 512 + 512;
    BlockDriverState *bs = qdb_node_new(size, 0, NULL);
    BdrvDirtyBitmap *bitmap = bitmap_new(bs, "b", 512, 0, 0);
    BdrvDirtyBitmapIter *iter;
    int64_t item, expected = 0;

    for (int n = 0; n < 3000; n++) {
        bdrv_set_dirty_bitmap(bitmap, (int64_t)random_below((uint64_t)size), 1);
    }
    bdrv_set_dirty_bitmap(bitmap, 32767 * 512, 1024);
    bdrv_set_dirty_bitmap(bitmap, size - 1, 1);
    iter = bdrv_dirty_iter_new(bitmap);
    while ((item = next(bitmap, iter)) >= 0) {
        expected = bitmap_next_dirty(bitmap, expected, INT64_MAX);
        g_assert_cmpint(item, ==, expected);
        expected += 512;
    }
    g_assert_cmpint(expected, ==, size);
    bdrv_dirty_iter_free(iter);
    node_discard(bs);
}

void add_dirty_iter_tests(void)
{
    g_test_add_func("/dirty-bitmap/iter/walk", walk);
    g_test_add_func("/dirty-bitmap/iter/jumps", jumps);
    g_test_add_func("/dirty-bitmap/iter/several", several);
    g_test_add_func("/dirty-bitmap/iter/changes", changes);
    g_test_add_func("/dirty-bitmap/iter/merge-adds-nothing", merge_adds_nothing);
    g_test_add_func("/dirty-bitmap/iter/content-replaced", content_replaced);
    g_test_add_func("/dirty-bitmap/iter/long-walk", long_walk);
}
