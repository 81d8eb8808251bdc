/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The three questions that a node passes on to its driver: may bitmaps be stored, may this one,
 * remove that one.
 */
#include "dirty-tests.h"
#include "node.h"

#include <errno.h>

/* What the driver of a test was asked, and what it shall answer. */
typedef struct Driver {
    BlockDriverState *bs;
    const char *name;
    uint32_t granularity;
    int calls;
    bool answer;
    int result;
    const char *error;
} Driver;

static bool driver_supports(BlockDriverState *bs, void *opaque)
{
    Driver *d = opaque;

    g_assert_true(bs == d->bs);
    d->calls++;
    return d->answer;
}

static bool driver_can_store(BlockDriverState *bs, const char *name, uint32_t granularity,
                             void *opaque, Error **errp)
{
    Driver *d = opaque;

    g_assert_true(bs == d->bs);
    g_assert_cmpstr(name, ==, d->name);
    g_assert_cmpuint(granularity, ==, d->granularity);
    d->calls++;
    if (d->error) {
        qdb_error_set(errp, d->error);
    }
    return d->answer;
}

static int driver_remove(BlockDriverState *bs, const char *name, void *opaque, Error **errp)
{
    Driver *d = opaque;

    g_assert_true(bs == d->bs);
    g_assert_cmpstr(name, ==, d->name);
    d->calls++;
    if (d->error) {
        qdb_error_set(errp, d->error);
    }
    return d->result;
}

static const QdbDriver full = {
    .supports_persistent = driver_supports,
    .can_store = driver_can_store,
    .remove = driver_remove,
};
static const QdbDriver bare = { NULL, NULL, NULL };

static void no_driver(void)
{
    static const char *const names[] = { "node0", "", NULL };

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        BlockDriverState *bs = qdb_node_new(MIB, 0, names[i]);
        char *message = g_strdup_printf("Can't store persistent bitmaps to %s: %s",
                                        names[i] ? names[i] : "", g_strerror(ENOMEDIUM));
        Error *err = NULL;

        g_assert_false(bdrv_supports_persistent_dirty_bitmap(bs));
        g_assert_false(bdrv_can_store_new_dirty_bitmap(bs, "b", 4096, &err));
        expect_error(&err, message, NULL);
        g_assert_false(bdrv_co_can_store_new_dirty_bitmap(bs, "b", 4096, &err));
        expect_error(&err, message, NULL);
        g_assert_false(bdrv_can_store_new_dirty_bitmap(bs, "b", 4096, NULL));
        /* Nothing stored is nothing to remove. */
        g_assert_cmpint(bdrv_remove_persistent_dirty_bitmap(bs, "b", &error_abort), ==, 0);
        g_assert_cmpint(bdrv_co_remove_persistent_dirty_bitmap(bs, "b", &error_abort), ==, 0);
        g_free(message);
        node_discard(bs);
    }
}

static void driver_without_functions(void)
{
    BlockDriverState *bs = qdb_node_new(MIB, 0, "raw");
    char *message =
        g_strdup_printf("Can't store persistent bitmaps to raw: %s", g_strerror(ENOTSUP));
    Error *err = NULL;

    qdb_node_set_driver(bs, &bare, NULL);
    g_assert_false(bdrv_supports_persistent_dirty_bitmap(bs));
    g_assert_false(bdrv_can_store_new_dirty_bitmap(bs, "b", 4096, &err));
    expect_error(&err, message, NULL);
    g_assert_false(bdrv_co_can_store_new_dirty_bitmap(bs, "b", 4096, &err));
    expect_error(&err, message, NULL);
    g_assert_cmpint(bdrv_remove_persistent_dirty_bitmap(bs, "b", &error_abort), ==, 0);
    g_free(message);
    node_discard(bs);
}

static void driver_answers(void)
{
    BlockDriverState *bs = qdb_node_new(MIB, 0, "qcow2");
    Driver d = { .bs = bs, .name = "b", .granularity = 8192, .answer = true };
    Error *err = NULL;

    qdb_node_set_driver(bs, &full, &d);
    g_assert_true(bdrv_supports_persistent_dirty_bitmap(bs));
    g_assert_true(bdrv_can_store_new_dirty_bitmap(bs, "b", 8192, &error_abort));
    g_assert_true(bdrv_co_can_store_new_dirty_bitmap(bs, "b", 8192, &error_abort));
    g_assert_cmpint(bdrv_remove_persistent_dirty_bitmap(bs, "b", &error_abort), ==, 0);
    g_assert_cmpint(bdrv_co_remove_persistent_dirty_bitmap(bs, "b", &error_abort), ==, 0);
    g_assert_cmpint(d.calls, ==, 5);

    d.answer = false;
    d.result = -EIO;
    d.error = "the driver's own words";
    g_assert_false(bdrv_supports_persistent_dirty_bitmap(bs));
    g_assert_false(bdrv_can_store_new_dirty_bitmap(bs, "b", 8192, &err));
    expect_error(&err, "the driver's own words", NULL);
    g_assert_false(bdrv_co_can_store_new_dirty_bitmap(bs, "b", 8192, NULL));
    g_assert_cmpint(bdrv_remove_persistent_dirty_bitmap(bs, "b", &err), ==, -EIO);
    expect_error(&err, "the driver's own words", NULL);
    g_assert_cmpint(bdrv_co_remove_persistent_dirty_bitmap(bs, "b", NULL), ==, -EIO);
    g_assert_cmpint(d.calls, ==, 10);

    /* The driver can be taken away again. */
    qdb_node_set_driver(bs, NULL, NULL);
    g_assert_false(bdrv_supports_persistent_dirty_bitmap(bs));
    g_assert_cmpint(bdrv_remove_persistent_dirty_bitmap(bs, "b", &error_abort), ==, 0);
    g_assert_cmpint(d.calls, ==, 10);
    node_discard(bs);
}

static void driver_with_some_functions(void)
{
    static const QdbDriver partial = { .supports_persistent = driver_supports };
    BlockDriverState *bs = qdb_node_new(MIB, 0, "part");
    Driver d = { .bs = bs, .answer = true };
    char *message =
        g_strdup_printf("Can't store persistent bitmaps to part: %s", g_strerror(ENOTSUP));
    Error *err = NULL;

    qdb_node_set_driver(bs, &partial, &d);
    g_assert_true(bdrv_supports_persistent_dirty_bitmap(bs));
    g_assert_false(bdrv_can_store_new_dirty_bitmap(bs, "b", 4096, &err));
    expect_error(&err, message, NULL);
    g_assert_cmpint(bdrv_remove_persistent_dirty_bitmap(bs, "b", &error_abort), ==, 0);
    g_assert_cmpint(d.calls, ==, 1);
    g_free(message);
    node_discard(bs);
}

/* Removing from storage has nothing to do with the bitmap in memory. */
static void remove_leaves_the_bitmap(void)
{
    BlockDriverState *bs = qdb_node_new(MIB, 0, NULL);
    Driver d = { .bs = bs, .name = "b" };
    BdrvDirtyBitmap *bitmap = bitmap_new(bs, "b", 4096, 4096, STATE_PERSISTENT);

    qdb_node_set_driver(bs, &full, &d);
    g_assert_cmpint(bdrv_remove_persistent_dirty_bitmap(bs, "b", &error_abort), ==, 0);
    g_assert_true(bdrv_find_dirty_bitmap(bs, "b") == bitmap);
    g_assert_true(bdrv_dirty_bitmap_get_persistence(bitmap));
    node_discard(bs);
}

void add_dirty_driver_tests(void)
{
    g_test_add_func("/dirty-bitmap/driver/none", no_driver);
    g_test_add_func("/dirty-bitmap/driver/without-functions", driver_without_functions);
    g_test_add_func("/dirty-bitmap/driver/answers", driver_answers);
    g_test_add_func("/dirty-bitmap/driver/some-functions", driver_with_some_functions);
    g_test_add_func("/dirty-bitmap/driver/remove-leaves-bitmap", remove_leaves_the_bitmap);
}
