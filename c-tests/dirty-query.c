/* SPDX-License-Identifier: GPL-2.0-or-later */
/* bdrv_query_dirty_bitmaps and the questions about a whole node. */
#include "dirty-tests.h"
#include "node.h"

#include <stddef.h>

static void query_nothing(void)
{
    BlockDriverState *bs = qdb_node_new(MIB, 0, NULL);

    g_assert_null(bdrv_query_dirty_bitmaps(bs));
    node_discard(bs);
}

static void query_several(void)
{
    BlockDriverState *bs = qdb_node_new(MIB, 0, NULL);
    BlockDirtyInfoList *list, *entry;
    BdrvDirtyBitmap *busy;

    bitmap_new(bs, "plain", 4096, 10000, 0);
    busy = bitmap_new(bs, "in use", 65536, 1, 0);
    bitmap_new(bs, NULL, 512, 0, STATE_ANONYMOUS | STATE_DISABLED);
    bitmap_new(bs, "broken", 1048576, 1, STATE_INCONSISTENT | STATE_SKIP_STORE);
    bdrv_dirty_bitmap_create_successor(busy, &error_abort);
    bdrv_set_dirty(bs, MIB - 1, 1);

    list = entry = bdrv_query_dirty_bitmaps(bs);
    /* The successor of "in use" is the newest. */
    g_assert_null(entry->value->name);
    g_assert_cmpint(entry->value->count, ==, 65536);
    g_assert_true(entry->value->recording);
    g_assert_false(entry->value->busy);

    entry = entry->next;
    g_assert_cmpstr(entry->value->name, ==, "broken");
    g_assert_cmpint(entry->value->count, ==, 1048576);
    g_assert_cmpuint(entry->value->granularity, ==, 1048576);
    g_assert_false(entry->value->recording);
    g_assert_true(entry->value->persistent);
    g_assert_true(entry->value->has_inconsistent);
    g_assert_true(entry->value->inconsistent);

    entry = entry->next;
    g_assert_null(entry->value->name);
    g_assert_cmpint(entry->value->count, ==, 0);
    g_assert_false(entry->value->recording);
    g_assert_false(entry->value->persistent);
    g_assert_false(entry->value->has_inconsistent);
    g_assert_false(entry->value->inconsistent);

    entry = entry->next;
    g_assert_cmpstr(entry->value->name, ==, "in use");
    g_assert_cmpint(entry->value->count, ==, 65536);
    g_assert_true(entry->value->busy);
    g_assert_true(entry->value->recording);

    entry = entry->next;
    g_assert_cmpstr(entry->value->name, ==, "plain");
    g_assert_cmpint(entry->value->count, ==, 4 * 4096);
    g_assert_cmpuint(entry->value->granularity, ==, 4096);
    g_assert_true(entry->value->recording);
    g_assert_false(entry->value->busy);
    g_assert_null(entry->next);
    qdb_dirty_info_list_free(list);
    node_discard(bs);
}

/* The answer is a copy: it stays when the bitmaps go. */
static void query_is_a_copy(void)
{
    BlockDriverState *bs = qdb_node_new(MIB, 0, NULL);
    BlockDirtyInfoList *list;

    bitmap_new(bs, "gone", 4096, 4096, 0);
    list = bdrv_query_dirty_bitmaps(bs);
    node_discard(bs);
    g_assert_cmpstr(list->value->name, ==, "gone");
    g_assert_cmpint(list->value->count, ==, 4096);
    qdb_dirty_info_list_free(list);
}

/*
 * QAPI's generated layout in QEMU 10.0: a caller that was compiled against it reads the right
 * fields.
 */
static void query_layout(void)
{
    g_assert_cmpuint(sizeof(BlockDirtyInfo), ==, 32);
    g_assert_cmpuint(offsetof(BlockDirtyInfo, name), ==, 0);
    g_assert_cmpuint(offsetof(BlockDirtyInfo, count), ==, 8);
    g_assert_cmpuint(offsetof(BlockDirtyInfo, granularity), ==, 16);
    g_assert_cmpuint(offsetof(BlockDirtyInfo, recording), ==, 20);
    g_assert_cmpuint(offsetof(BlockDirtyInfo, busy), ==, 21);
    g_assert_cmpuint(offsetof(BlockDirtyInfo, persistent), ==, 22);
    g_assert_cmpuint(offsetof(BlockDirtyInfo, has_inconsistent), ==, 23);
    g_assert_cmpuint(offsetof(BlockDirtyInfo, inconsistent), ==, 24);
    g_assert_cmpuint(offsetof(BlockDirtyInfoList, next), ==, 0);
    g_assert_cmpuint(offsetof(BlockDirtyInfoList, value), ==, 8);
}

static void has_named(void)
{
    BlockDriverState *bs = qdb_node_new(MIB, 0, NULL);
    BdrvDirtyBitmap *named;

    g_assert_false(bdrv_has_named_bitmaps(bs));
    bitmap_new(bs, NULL, 4096, 0, STATE_ANONYMOUS);
    g_assert_false(bdrv_has_named_bitmaps(bs));
    named = bitmap_new(bs, "", 4096, 0, 0);
    g_assert_true(bdrv_has_named_bitmaps(bs));
    bitmap_new(bs, NULL, 4096, 0, STATE_ANONYMOUS);
    g_assert_true(bdrv_has_named_bitmaps(bs));
    bdrv_release_dirty_bitmap(named);
    g_assert_false(bdrv_has_named_bitmaps(bs));
    node_discard(bs);
}

static void has_readonly(void)
{
    BlockDriverState *bs = qdb_node_new(MIB, 0, NULL);
    BdrvDirtyBitmap *one, *two;

    g_assert_false(bdrv_has_readonly_bitmaps(bs));
    one = bitmap_new(bs, "one", 4096, 0, 0);
    two = bitmap_new(bs, NULL, 4096, 0, STATE_ANONYMOUS | STATE_DISABLED);
    g_assert_false(bdrv_has_readonly_bitmaps(bs));
    bdrv_dirty_bitmap_set_readonly(two, true);
    g_assert_true(bdrv_has_readonly_bitmaps(bs));
    bdrv_dirty_bitmap_set_readonly(one, true);
    bdrv_dirty_bitmap_set_readonly(two, false);
    g_assert_true(bdrv_has_readonly_bitmaps(bs));
    bdrv_dirty_bitmap_set_readonly(one, false);
    g_assert_false(bdrv_has_readonly_bitmaps(bs));
    node_discard(bs);
}

static void find(void)
{
    BlockDriverState *bs = qdb_node_new(MIB, 0, NULL);
    BdrvDirtyBitmap *a, *empty;

    g_assert_null(bdrv_find_dirty_bitmap(bs, "a"));
    bitmap_new(bs, NULL, 4096, 0, STATE_ANONYMOUS);
    a = bitmap_new(bs, "a", 4096, 0, 0);
    /* A bitmap without a name is not the one whose name is empty. */
    g_assert_null(bdrv_find_dirty_bitmap(bs, ""));
    empty = bitmap_new(bs, "", 4096, 0, 0);
    g_assert_true(bdrv_find_dirty_bitmap(bs, "") == empty);
    g_assert_true(bdrv_find_dirty_bitmap(bs, "a") == a);
    g_assert_null(bdrv_find_dirty_bitmap(bs, "A"));
    g_assert_null(bdrv_find_dirty_bitmap(bs, "ab"));
    node_discard(bs);
}

void add_dirty_query_tests(void)
{
    g_test_add_func("/dirty-bitmap/query/nothing", query_nothing);
    g_test_add_func("/dirty-bitmap/query/several", query_several);
    g_test_add_func("/dirty-bitmap/query/is-a-copy", query_is_a_copy);
    g_test_add_func("/dirty-bitmap/query/layout", query_layout);
    g_test_add_func("/dirty-bitmap/query/has-named", has_named);
    g_test_add_func("/dirty-bitmap/query/has-readonly", has_readonly);
    g_test_add_func("/dirty-bitmap/query/find", find);
}
