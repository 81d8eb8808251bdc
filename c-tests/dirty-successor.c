/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Successors: a job freezes a bitmap, writes go to its successor, and in the end one of the two
 * goes on.
 */
#include "dirty-tests.h"
#include "node.h"

#include <errno.h>

#define SIZE ((int64_t)(8 * GRANULARITY))

static BdrvDirtyBitmap *successor_of(BlockDriverState *bs, BdrvDirtyBitmap *parent)
{
    BdrvDirtyBitmap *first = bdrv_dirty_bitmap_first(bs);

    g_assert_true(bdrv_dirty_bitmap_has_successor(parent));
    g_assert_true(first != parent);
    return first;
}

static void create(void)
{
    for (int disabled = 0; disabled < 2; disabled++) {
        BlockDriverState *bs = qdb_node_new(SIZE, 0, NULL);
        BdrvDirtyBitmap *parent =
            bitmap_new(bs, "p", GRANULARITY, GRANULARITY, disabled ? STATE_DISABLED : 0);
        BdrvDirtyBitmap *child;

        g_assert_cmpint(bdrv_dirty_bitmap_create_successor(parent, &error_abort), ==, 0);
        child = successor_of(bs, parent);
        g_assert_null(bdrv_dirty_bitmap_name(child));
        g_assert_cmpint(bdrv_dirty_bitmap_size(child), ==, SIZE);
        g_assert_cmpuint(bdrv_dirty_bitmap_granularity(child), ==, GRANULARITY);
        g_assert_cmpint(bdrv_get_dirty_count(child), ==, 0);
        g_assert_cmpint(bdrv_dirty_bitmap_enabled(child), ==, !disabled);
        g_assert_false(bdrv_dirty_bitmap_enabled(parent));
        g_assert_false(bdrv_dirty_bitmap_get_persistence(child));
        g_assert_cmpint(bdrv_dirty_bitmap_check(child, BDRV_BITMAP_DEFAULT, &error_abort), ==, 0);
        g_assert_cmpint(bdrv_dirty_bitmap_check(parent, BDRV_BITMAP_BUSY, NULL), ==, -1);
        node_discard(bs);
    }
}

/* Creating one fails when the node's length can't be read, and then nothing has changed. */
static void create_fails(void)
{
    BlockDriverState *bs = qdb_node_new(SIZE, 0, NULL);
    BdrvDirtyBitmap *parent = bitmap_new(bs, "p", GRANULARITY, GRANULARITY, 0);
    char *message = g_strdup_printf("could not get length of device: %s", g_strerror(EIO));
    Error *err = NULL;

    qdb_node_set_length(bs, -EIO);
    g_assert_cmpint(bdrv_dirty_bitmap_create_successor(parent, &err), ==, -1);
    expect_error(&err, message, NULL);
    g_assert_false(bdrv_dirty_bitmap_has_successor(parent));
    g_assert_true(bdrv_dirty_bitmap_enabled(parent));
    g_assert_cmpint(bdrv_dirty_bitmap_check(parent, BDRV_BITMAP_BUSY, &error_abort), ==, 0);
    g_assert_cmpint(node_bitmap_count(bs), ==, 1);
    expect_picture(parent, GRANULARITY, "10000000");
    g_free(message);
    node_discard(bs);
}

/*
 * The backup succeeded: the successor takes over name and persistence; the old content has been
 * backed up.
 */
static void abdicate(void)
{
    for (int persistent = 0; persistent < 2; persistent++) {
        BlockDriverState *bs = qdb_node_new(SIZE, 0, NULL);
        BdrvDirtyBitmap *parent =
            bitmap_new(bs, "p", GRANULARITY, GRANULARITY, persistent ? STATE_PERSISTENT : 0);
        BdrvDirtyBitmap *other = bitmap_new(bs, "other", GRANULARITY, 0, 0);
        const char *name = bdrv_dirty_bitmap_name(parent);
        BdrvDirtyBitmap *child;

        bdrv_dirty_bitmap_create_successor(parent, &error_abort);
        child = successor_of(bs, parent);
        bdrv_set_dirty(bs, 7 * GRANULARITY, 1);
        expect_picture(parent, GRANULARITY, "10000000");
        expect_picture(child, GRANULARITY, "00000001");

        g_assert_true(bdrv_dirty_bitmap_abdicate(parent, &error_abort) == child);
        g_assert_cmpint(node_bitmap_count(bs), ==, 2);
        /* The name itself goes over, not a copy: who holds it may go on reading it. */
        g_assert_true(bdrv_dirty_bitmap_name(child) == name);
        g_assert_cmpstr(name, ==, "p");
        g_assert_true(bdrv_find_dirty_bitmap(bs, "p") == child);
        g_assert_cmpint(bdrv_dirty_bitmap_get_persistence(child), ==, persistent);
        g_assert_false(bdrv_dirty_bitmap_has_successor(child));
        g_assert_true(bdrv_dirty_bitmap_enabled(child));
        g_assert_cmpint(bdrv_dirty_bitmap_check(child, BDRV_BITMAP_DEFAULT, &error_abort), ==, 0);
        expect_picture(child, GRANULARITY, "00000001");
        expect_picture(other, GRANULARITY, "00000001");
        node_discard(bs);
    }
}

/* The backup failed: what was written meanwhile joins what was dirty before. */
static void reclaim(void)
{
    for (int locked = 0; locked < 2; locked++) {
        BlockDriverState *bs = qdb_node_new(SIZE, 0, NULL);
        BdrvDirtyBitmap *parent =
            bitmap_new(bs, "p", GRANULARITY, 2 * GRANULARITY, STATE_PERSISTENT);

        bdrv_dirty_bitmap_create_successor(parent, &error_abort);
        bdrv_set_dirty(bs, GRANULARITY, GRANULARITY);
        bdrv_set_dirty(bs, 5 * GRANULARITY + 1, 2 * GRANULARITY);
        if (locked) {
            bdrv_dirty_bitmap_lock(parent);
            g_assert_true(bdrv_reclaim_dirty_bitmap_locked(parent, &error_abort) == parent);
            bdrv_dirty_bitmap_unlock(parent);
        } else {
            g_assert_true(bdrv_reclaim_dirty_bitmap(parent, &error_abort) == parent);
        }
        g_assert_cmpint(node_bitmap_count(bs), ==, 1);
        expect_picture(parent, GRANULARITY, "11000111");
        g_assert_cmpint(bdrv_get_dirty_count(parent), ==, 5 * GRANULARITY);
        g_assert_true(bdrv_dirty_bitmap_enabled(parent));
        g_assert_true(bdrv_dirty_bitmap_get_persistence(parent));
        g_assert_false(bdrv_dirty_bitmap_has_successor(parent));
        g_assert_cmpint(bdrv_dirty_bitmap_check(parent, BDRV_BITMAP_DEFAULT, &error_abort), ==, 0);
        bdrv_set_dirty(bs, 3 * GRANULARITY, 1);
        expect_picture(parent, GRANULARITY, "11010111");
        node_discard(bs);
    }
}

/* The parent goes on as the successor was when it came back: on or off. */
static void reclaim_takes_the_successors_state(void)
{
    for (int before = 0; before < 2; before++) {
        for (int after = 0; after < 2; after++) {
            BlockDriverState *bs = qdb_node_new(SIZE, 0, NULL);
            BdrvDirtyBitmap *parent =
                bitmap_new(bs, "p", GRANULARITY, 0, before ? 0 : STATE_DISABLED);
            BdrvDirtyBitmap *child;

            bdrv_dirty_bitmap_create_successor(parent, &error_abort);
            child = successor_of(bs, parent);
            if (after) {
                bdrv_dirty_bitmap_enable_successor(parent);
            } else {
                bdrv_disable_dirty_bitmap(child);
            }
            g_assert_cmpint(bdrv_dirty_bitmap_enabled(child), ==, after);
            g_assert_false(bdrv_dirty_bitmap_enabled(parent));
            bdrv_reclaim_dirty_bitmap(parent, &error_abort);
            g_assert_cmpint(bdrv_dirty_bitmap_enabled(parent), ==, after);
            node_discard(bs);
        }
    }
}

/* As the migration of bitmaps does it: the successor of a disabled bitmap is switched on later. */
static void enable_successor(void)
{
    BlockDriverState *bs = qdb_node_new(SIZE, 0, NULL);
    BdrvDirtyBitmap *parent = bitmap_new(bs, "p", GRANULARITY, GRANULARITY, STATE_DISABLED);

    bdrv_dirty_bitmap_create_successor(parent, &error_abort);
    bdrv_set_dirty(bs, 2 * GRANULARITY, 1);
    bdrv_dirty_bitmap_enable_successor(parent);
    bdrv_dirty_bitmap_enable_successor(parent);
    bdrv_set_dirty(bs, 4 * GRANULARITY, 1);
    bdrv_reclaim_dirty_bitmap(parent, &error_abort);
    expect_picture(parent, GRANULARITY, "10001000");
    g_assert_true(bdrv_dirty_bitmap_enabled(parent));
    node_discard(bs);
}

/* A bitmap that was abdicated to can have a successor of its own, and so on. */
static void generations(void)
{
    BlockDriverState *bs = qdb_node_new(SIZE, 0, NULL);
    BdrvDirtyBitmap *bitmap = bitmap_new(bs, "p", GRANULARITY, SIZE, STATE_PERSISTENT);

    for (int generation = 0; generation < 200; generation++) {
        int64_t at = generation % 8 * GRANULARITY;

        g_assert_cmpint(bdrv_dirty_bitmap_create_successor(bitmap, &error_abort), ==, 0);
        bdrv_set_dirty(bs, at, GRANULARITY);
        if (generation % 3 == 0) {
            g_assert_true(bdrv_reclaim_dirty_bitmap(bitmap, &error_abort) == bitmap);
            g_assert_true(bdrv_dirty_bitmap_get(bitmap, at));
        } else {
            bitmap = bdrv_dirty_bitmap_abdicate(bitmap, &error_abort);
            g_assert_cmpint(bdrv_get_dirty_count(bitmap), ==, GRANULARITY);
            g_assert_true(bdrv_dirty_bitmap_get(bitmap, at));
        }
        g_assert_cmpstr(bdrv_dirty_bitmap_name(bitmap), ==, "p");
        g_assert_true(bdrv_dirty_bitmap_get_persistence(bitmap));
        g_assert_cmpint(node_bitmap_count(bs), ==, 1);
    }
    node_discard(bs);
}

static void expect_granules(BdrvDirtyBitmap *bitmap, unsigned granules)
{
    for (int i = 0; i < 8; i++) {
        g_assert_cmpint(bdrv_dirty_bitmap_get(bitmap, i * GRANULARITY), ==, granules >> i & 1);
    }
    g_assert_cmpint(bdrv_get_dirty_count(bitmap), ==, __builtin_popcount(granules) * GRANULARITY);
}

/*
 * Random writes, freezes, failures and successes of a job, against two words that say what must be
 * where.
 */
static void nothing_is_lost(void)
{
    BlockDriverState *bs = qdb_node_new(SIZE, 0, NULL);
    BdrvDirtyBitmap *bitmap = bitmap_new(bs, "p", GRANULARITY, 0, 0);
    unsigned current = 0, since = 0;

    for (int step = 0; step < 5000; step++) {
        unsigned granule = (unsigned)random_below(8);
        bool frozen = bdrv_dirty_bitmap_has_successor(bitmap);

        bdrv_set_dirty(bs, (int64_t)granule * GRANULARITY + 5, 1);
        *(frozen ? &since : &current) |= 1u << granule;
        switch (random_below(6)) {
        case 0:
            if (!frozen) {
                g_assert_cmpint(bdrv_dirty_bitmap_create_successor(bitmap, &error_abort), ==, 0);
                since = 0;
            }
            break;
        case 1:
            if (frozen) {
                g_assert_true(bdrv_reclaim_dirty_bitmap(bitmap, &error_abort) == bitmap);
                current |= since;
            }
            break;
        case 2:
            if (frozen) {
                bitmap = bdrv_dirty_bitmap_abdicate(bitmap, &error_abort);
                current = since;
            }
            break;
        default:
            break;
        }
        expect_granules(bitmap, current);
        if (bdrv_dirty_bitmap_has_successor(bitmap)) {
            expect_granules(successor_of(bs, bitmap), since);
        }
    }
    node_discard(bs);
}

/* Other bitmaps of the node are not touched by any of it. */
static void others_stay(void)
{
    BlockDriverState *bs = qdb_node_new(SIZE, 0, NULL);
    BdrvDirtyBitmap *on = bitmap_new(bs, "on", GRANULARITY, 0, 0);
    BdrvDirtyBitmap *off = bitmap_new(bs, "off", GRANULARITY, GRANULARITY, STATE_DISABLED);
    BdrvDirtyBitmap *bitmap = bitmap_new(bs, "p", GRANULARITY, 0, 0);

    bdrv_dirty_bitmap_create_successor(bitmap, &error_abort);
    g_assert_cmpint(bdrv_dirty_bitmap_check(on, BDRV_BITMAP_DEFAULT, &error_abort), ==, 0);
    bdrv_set_dirty(bs, SIZE - 1, 1);
    bdrv_reclaim_dirty_bitmap(bitmap, &error_abort);
    expect_picture(on, GRANULARITY, "00000001");
    expect_picture(off, GRANULARITY, "10000000");
    g_assert_true(bdrv_dirty_bitmap_enabled(on));
    g_assert_false(bdrv_dirty_bitmap_enabled(off));
    node_discard(bs);
}

void add_dirty_successor_tests(void)
{
    g_test_add_func("/dirty-bitmap/successor/create", create);
    g_test_add_func("/dirty-bitmap/successor/create-fails", create_fails);
    g_test_add_func("/dirty-bitmap/successor/abdicate", abdicate);
    g_test_add_func("/dirty-bitmap/successor/reclaim", reclaim);
    g_test_add_func("/dirty-bitmap/successor/reclaim-state", reclaim_takes_the_successors_state);
    g_test_add_func("/dirty-bitmap/successor/enable", enable_successor);
    g_test_add_func("/dirty-bitmap/successor/generations", generations);
    g_test_add_func("/dirty-bitmap/successor/nothing-is-lost", nothing_is_lost);
    g_test_add_func("/dirty-bitmap/successor/others-stay", others_stay);
}
