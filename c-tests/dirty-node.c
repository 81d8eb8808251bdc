/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What happens to all bitmaps of a node at once: guest writes and a change of its length. */
#include "dirty-tests.h"
#include "node.h"

#define SIZE ((int64_t)(8 * GRANULARITY))

static void write_without_bitmaps(void)
{
    BlockDriverState *bs = qdb_node_new(SIZE, 0, NULL);

    bdrv_set_dirty(bs, 0, SIZE);
    /* Nobody looks at the range when there is no bitmap. */
    bdrv_set_dirty(bs, 100 * SIZE, SIZE);
    bdrv_dirty_bitmap_truncate(bs, 5);
    node_discard(bs);
}

static void write_to_several(void)
{
    BlockDriverState *bs = qdb_node_new(SIZE, 0, NULL);
    BlockDriverState *other = qdb_node_new(SIZE, 0, NULL);
    BdrvDirtyBitmap *fine = bitmap_new(bs, "fine", 512, 0, 0);
    BdrvDirtyBitmap *coarse =
        bitmap_new(bs, "coarse", 2 * GRANULARITY, 0, STATE_BUSY | STATE_PERSISTENT);
    BdrvDirtyBitmap *off = bitmap_new(bs, "off", GRANULARITY, 0, STATE_DISABLED | STATE_READONLY);
    BdrvDirtyBitmap *anonymous = bitmap_new(bs, NULL, GRANULARITY, 0, STATE_ANONYMOUS);
    BdrvDirtyBitmap *elsewhere = bitmap_new(other, "fine", GRANULARITY, 0, 0);

    bdrv_set_dirty(bs, 3 * GRANULARITY + 511, 2);
    expect_picture(fine, GRANULARITY, "00010000");
    g_assert_cmpint(bdrv_get_dirty_count(fine), ==, 1024);
    expect_picture(coarse, GRANULARITY, "00110000");
    expect_picture(anonymous, GRANULARITY, "00010000");
    expect_picture(off, GRANULARITY, "00000000");
    expect_picture(elsewhere, GRANULARITY, "00000000");
    bdrv_set_dirty(bs, 0, 0);
    g_assert_cmpint(bdrv_get_dirty_count(fine), ==, 1024);
    bdrv_set_dirty(bs, 0, SIZE);
    expect_picture(fine, GRANULARITY, "11111111");
    expect_picture(coarse, GRANULARITY, "11111111");
    expect_picture(anonymous, GRANULARITY, "11111111");
    expect_picture(off, GRANULARITY, "00000000");

    bdrv_dirty_bitmap_set_readonly(off, false);
    bdrv_enable_dirty_bitmap(off);
    bdrv_disable_dirty_bitmap(fine);
    bdrv_clear_dirty_bitmap(fine, NULL);
    bdrv_set_dirty(bs, SIZE - 1, 1);
    expect_picture(off, GRANULARITY, "00000001");
    expect_picture(fine, GRANULARITY, "00000000");
    node_discard(bs);
    node_discard(other);
}

static void truncate_all(void)
{
    BlockDriverState *bs = qdb_node_new(SIZE, 0, NULL);
    BlockDriverState *other = qdb_node_new(SIZE, 0, NULL);
    BdrvDirtyBitmap *fine = bitmap_new(bs, "fine", 512, SIZE, 0);
    BdrvDirtyBitmap *coarse =
        bitmap_new(bs, "coarse", 2 * GRANULARITY, SIZE, STATE_DISABLED | STATE_READONLY);
    BdrvDirtyBitmap *anonymous = bitmap_new(bs, NULL, GRANULARITY, 0, STATE_ANONYMOUS);
    BdrvDirtyBitmap *elsewhere = bitmap_new(other, "fine", GRANULARITY, SIZE, STATE_BUSY);

    bdrv_dirty_bitmap_truncate(bs, 5 * GRANULARITY + 1);
    g_assert_cmpint(bdrv_dirty_bitmap_size(fine), ==, 5 * GRANULARITY + 1);
    g_assert_cmpint(bdrv_dirty_bitmap_size(coarse), ==, 5 * GRANULARITY + 1);
    g_assert_cmpint(bdrv_get_dirty_count(fine), ==, 5 * GRANULARITY + 512);
    g_assert_cmpint(bdrv_get_dirty_count(coarse), ==, 6 * GRANULARITY);
    bdrv_dirty_bitmap_truncate(bs, 9 * GRANULARITY);
    expect_picture(fine, GRANULARITY, "111111000");
    expect_picture(coarse, GRANULARITY, "111111000");
    expect_picture(anonymous, GRANULARITY, "000000000");
    expect_picture(elsewhere, GRANULARITY, "11111111");
    bdrv_set_dirty(bs, 8 * GRANULARITY, 1);
    expect_picture(fine, GRANULARITY, "111111001");
    expect_picture(anonymous, GRANULARITY, "000000001");
    bdrv_dirty_bitmap_truncate(bs, 0);
    g_assert_cmpint(bdrv_get_dirty_count(fine), ==, 0);
    g_assert_cmpint(bdrv_dirty_bitmap_size(anonymous), ==, 0);
    bdrv_dirty_bitmap_truncate(bs, SIZE);
    expect_picture(fine, GRANULARITY, "00000000");
    node_discard(bs);
    node_discard(other);
}

/*
 * Only a bitmap that is created later takes the node's new length; the others wait for the
 * truncate.
 */
static void length_changes(void)
{
    BlockDriverState *bs = qdb_node_new(SIZE, 0, NULL);
    BdrvDirtyBitmap *before = bitmap_new(bs, "before", GRANULARITY, 0, 0);
    BdrvDirtyBitmap *after;

    g_assert_cmpint(qdb_node_length(bs), ==, SIZE);
    qdb_node_set_length(bs, 2 * SIZE);
    g_assert_cmpint(qdb_node_length(bs), ==, 2 * SIZE);
    after = bitmap_new(bs, "after", GRANULARITY, 0, 0);
    g_assert_cmpint(bdrv_dirty_bitmap_size(before), ==, SIZE);
    g_assert_cmpint(bdrv_dirty_bitmap_size(after), ==, 2 * SIZE);
    bdrv_dirty_bitmap_truncate(bs, 2 * SIZE);
    g_assert_true(bdrv_merge_dirty_bitmap(after, before, NULL, &error_abort));
    node_discard(bs);
}

void add_dirty_node_tests(void)
{
    g_test_add_func("/dirty-bitmap/node/write-without-bitmaps", write_without_bitmaps);
    g_test_add_func("/dirty-bitmap/node/write-to-several", write_to_several);
    g_test_add_func("/dirty-bitmap/node/truncate", truncate_all);
    g_test_add_func("/dirty-bitmap/node/length-changes", length_changes);
}
