/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Transactions: clear and merge with a backup, undone in reverse order, as QEMU's blockdev does on
 * failure.
 */
#include "dirty-tests.h"
#include "node.h"

#define SIZE ((int64_t)(16 * GRANULARITY))

static void undo_in_reverse(void)
{
    BlockDriverState *bs = qdb_node_new(SIZE, 0, NULL);
    BdrvDirtyBitmap *dest = bitmap_new(bs, "dest", GRANULARITY, 0, 0);
    HBitmap *backups[50] = { NULL };
    char *pictures[G_N_ELEMENTS(backups)];

    bdrv_set_dirty_bitmap(dest, 0, 1);
    for (size_t i = 0; i < G_N_ELEMENTS(backups); i++) {
        pictures[i] = bitmap_picture(dest, GRANULARITY);
        if (i % 7 == 3) {
            bdrv_clear_dirty_bitmap(dest, &backups[i]);
        } else {
            BdrvDirtyBitmap *src = bitmap_new(bs, NULL, 512u << i % 5, 0, STATE_ANONYMOUS);

            bdrv_set_dirty_bitmap(src, (int64_t)random_below((uint64_t)SIZE), 1);
            g_assert_true(bdrv_merge_dirty_bitmap(dest, src, &backups[i], &error_abort));
            bdrv_release_dirty_bitmap(src);
        }
        g_assert_nonnull(backups[i]);
    }
    for (size_t i = G_N_ELEMENTS(backups); i-- > 0;) {
        bdrv_restore_dirty_bitmap(dest, backups[i]);
        expect_picture(dest, GRANULARITY, pictures[i]);
        g_free(pictures[i]);
    }
    g_assert_cmpint(bdrv_get_dirty_count(dest), ==, GRANULARITY);
    node_discard(bs);
}

/* A merge after a merge with a backup must not reach into the backup. */
static void backup_is_apart(void)
{
    BlockDriverState *bs = qdb_node_new(SIZE, 0, NULL);
    BdrvDirtyBitmap *dest = bitmap_new(bs, "dest", GRANULARITY, GRANULARITY, 0);
    BdrvDirtyBitmap *src = bitmap_new(bs, "src", GRANULARITY, 0, 0);
    HBitmap *backup = NULL;

    bdrv_set_dirty_bitmap(src, 3 * GRANULARITY, 2 * GRANULARITY);
    g_assert_true(bdrv_merge_dirty_bitmap(dest, src, &backup, &error_abort));
    bdrv_set_dirty_bitmap(src, 0, SIZE);
    g_assert_true(bdrv_merge_dirty_bitmap(dest, src, NULL, &error_abort));
    bdrv_reset_dirty_bitmap(dest, 0, 2 * GRANULARITY);
    g_assert_cmpuint(hbitmap_count(backup), ==, GRANULARITY);
    g_assert_true(hbitmap_get(backup, 0));
    hbitmap_set(backup, 8 * GRANULARITY, 1);
    expect_picture(dest, GRANULARITY, "0011111111111111");
    hbitmap_free(backup);
    node_discard(bs);
}

/* The backup outlives bitmap and node. */
static void backup_outlives_node(void)
{
    BlockDriverState *bs = qdb_node_new(SIZE, 0, NULL);
    BdrvDirtyBitmap *dest = bitmap_new(bs, "dest", GRANULARITY, 2 * GRANULARITY, 0);
    HBitmap *cleared = NULL, *merged = NULL;

    bdrv_clear_dirty_bitmap(dest, &cleared);
    bdrv_set_dirty_bitmap(dest, SIZE - 1, 1);
    g_assert_true(bdrv_merge_dirty_bitmap(dest, dest, &merged, &error_abort));
    node_discard(bs);
    g_assert_cmpuint(hbitmap_count(cleared), ==, 2 * GRANULARITY);
    g_assert_cmpuint(hbitmap_count(merged), ==, GRANULARITY);
    g_assert_true(hbitmap_get(merged, SIZE - 1));
    hbitmap_free(cleared);
    hbitmap_free(merged);
}

void add_dirty_backup_tests(void)
{
    g_test_add_func("/dirty-bitmap/backup/undo-in-reverse", undo_in_reverse);
    g_test_add_func("/dirty-bitmap/backup/is-apart", backup_is_apart);
    g_test_add_func("/dirty-bitmap/backup/outlives-node", backup_outlives_node);
}
