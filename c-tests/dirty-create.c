/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Creating, finding and releasing bitmaps. */
#include "dirty-tests.h"
#include "node.h"

#include <errno.h>

static char *name_of_length(size_t length)
{
    char *name = g_malloc(length + 1);

    for (size_t i = 0; i < length; i++) {
        name[i] = (char)('a' + i % 26);
    }
    name[length] = '\0';
    return name;
}

static void create_fresh(void)
{
    BlockDriverState *bs = qdb_node_new(10 * MIB + 512, 0, "disk");
    BdrvDirtyBitmap *bitmap = bdrv_create_dirty_bitmap(bs, 65536, "fresh", &error_abort);

    g_assert_cmpint(bdrv_dirty_bitmap_size(bitmap), ==, 10 * MIB + 512);
    g_assert_cmpuint(bdrv_dirty_bitmap_granularity(bitmap), ==, 65536);
    g_assert_cmpstr(bdrv_dirty_bitmap_name(bitmap), ==, "fresh");
    g_assert_cmpint(bdrv_get_dirty_count(bitmap), ==, 0);
    g_assert_true(bdrv_dirty_bitmap_enabled(bitmap));
    g_assert_false(bdrv_dirty_bitmap_readonly(bitmap));
    g_assert_false(bdrv_dirty_bitmap_inconsistent(bitmap));
    g_assert_false(bdrv_dirty_bitmap_get_persistence(bitmap));
    g_assert_false(bdrv_dirty_bitmap_has_successor(bitmap));
    g_assert_cmpint(bdrv_dirty_bitmap_check(bitmap, BDRV_BITMAP_DEFAULT, &error_abort), ==, 0);
    g_assert_cmpint(bitmap_next_dirty(bitmap, 0, INT64_MAX), ==, -1);
    node_discard(bs);
}

static void create_granularities(void)
{
    BlockDriverState *bs = qdb_node_new(GIB, 0, NULL);

    for (int shift = 9; shift < 32; shift++) {
        BdrvDirtyBitmap *bitmap =
            bdrv_create_dirty_bitmap(bs, UINT32_C(1) << shift, NULL, &error_abort);

        g_assert_cmpuint(bdrv_dirty_bitmap_granularity(bitmap), ==, UINT32_C(1) << shift);
        bdrv_set_dirty_bitmap(bitmap, GIB - 1, 1);
        g_assert_cmpint(bdrv_get_dirty_count(bitmap), ==, INT64_C(1) << shift);
        bdrv_release_dirty_bitmap(bitmap);
    }
    node_discard(bs);
}

static void create_names(void)
{
    const size_t good[] = { 0, 1, 2, 255, 256, 1022, 1023 };
    const size_t bad[] = { 1024, 1025, 5000 };
    BlockDriverState *bs = qdb_node_new(MIB, 0, NULL);

    for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
        char *name = name_of_length(good[i]);
        BdrvDirtyBitmap *bitmap = bdrv_create_dirty_bitmap(bs, 4096, name, &error_abort);

        g_assert_cmpstr(bdrv_dirty_bitmap_name(bitmap), ==, name);
        /* The library keeps a copy of its own. */
        g_assert_true(bdrv_dirty_bitmap_name(bitmap) != name);
        g_assert_true(bdrv_find_dirty_bitmap(bs, name) == bitmap);
        g_free(name);
        g_assert_cmpuint(strlen(bdrv_dirty_bitmap_name(bitmap)), ==, good[i]);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        char *name = name_of_length(bad[i]);
        char *message = g_strdup_printf("Bitmap name too long: %s", name);
        Error *err = NULL;

        g_assert_null(bdrv_create_dirty_bitmap(bs, 4096, name, &err));
        expect_error(&err, message, NULL);
        g_assert_null(bdrv_create_dirty_bitmap(bs, 4096, name, NULL));
        g_assert_null(bdrv_find_dirty_bitmap(bs, name));
        g_free(message);
        g_free(name);
    }
    g_assert_cmpint(node_bitmap_count(bs), ==, (int)G_N_ELEMENTS(good));
    node_discard(bs);
}

/* A name is any bytes but NUL: also some that are no UTF-8. */
static void create_strange_names(void)
{
    static const char *const names[] = {
        "\xff\xfe", "a b", "%s%n", "\n", "\xc3\x28", "\xe2\x82\xac"
    };
    BlockDriverState *bs = qdb_node_new(MIB, 0, NULL);

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        BdrvDirtyBitmap *bitmap = bdrv_create_dirty_bitmap(bs, 4096, names[i], &error_abort);
        char *message = g_strdup_printf("Bitmap '%s' is readonly and cannot be modified", names[i]);
        char *taken = g_strdup_printf("Bitmap already exists: %s", names[i]);
        Error *err = NULL;

        g_assert_true(bdrv_find_dirty_bitmap(bs, names[i]) == bitmap);
        bdrv_dirty_bitmap_set_readonly(bitmap, true);
        g_assert_cmpint(bdrv_dirty_bitmap_check(bitmap, BDRV_BITMAP_RO, &err), ==, -1);
        expect_error(&err, message, NULL);
        g_assert_null(bdrv_create_dirty_bitmap(bs, 4096, names[i], &err));
        expect_error(&err, taken, NULL);
        g_free(message);
        g_free(taken);
    }
    node_discard(bs);
}

static void create_name_taken(void)
{
    BlockDriverState *bs = qdb_node_new(MIB, 0, NULL);
    BlockDriverState *other = qdb_node_new(MIB, 0, NULL);
    BdrvDirtyBitmap *first = bdrv_create_dirty_bitmap(bs, 4096, "taken", &error_abort);
    Error *err = NULL;

    bdrv_set_dirty_bitmap(first, 0, 4096);
    g_assert_null(bdrv_create_dirty_bitmap(bs, 512, "taken", &err));
    expect_error(&err, "Bitmap already exists: taken", NULL);
    g_assert_cmpint(node_bitmap_count(bs), ==, 1);
    g_assert_cmpint(bdrv_get_dirty_count(first), ==, 4096);

    /* Other case, a prefix, another node, or no name at all is no conflict. */
    g_assert_nonnull(bdrv_create_dirty_bitmap(bs, 4096, "Taken", &error_abort));
    g_assert_nonnull(bdrv_create_dirty_bitmap(bs, 4096, "take", &error_abort));
    g_assert_nonnull(bdrv_create_dirty_bitmap(other, 4096, "taken", &error_abort));
    g_assert_nonnull(bdrv_create_dirty_bitmap(bs, 4096, NULL, &error_abort));
    g_assert_nonnull(bdrv_create_dirty_bitmap(bs, 4096, NULL, &error_abort));

    /* A released name is free again. */
    bdrv_release_dirty_bitmap(first);
    g_assert_null(bdrv_find_dirty_bitmap(bs, "taken"));
    g_assert_nonnull(bdrv_create_dirty_bitmap(bs, 4096, "taken", &error_abort));
    node_discard(bs);
    node_discard(other);
}

static void create_length_fails(void)
{
    const int errors[] = { ENOMEDIUM, EIO, EPERM, ENOTSUP, EFBIG };
    BlockDriverState *bs = qdb_node_new(-ENOMEDIUM, 0, NULL);

    for (size_t i = 0; i < G_N_ELEMENTS(errors); i++) {
        char *message =
            g_strdup_printf("could not get length of device: %s", g_strerror(errors[i]));
        Error *err = NULL;

        qdb_node_set_length(bs, -errors[i]);
        g_assert_cmpint(qdb_node_length(bs), ==, -errors[i]);
        errno = 0;
        g_assert_null(bdrv_create_dirty_bitmap(bs, 4096, "name", &err));
        g_assert_cmpint(errno, ==, errors[i]);
        expect_error(&err, message, NULL);
        errno = 0;
        g_assert_null(bdrv_create_dirty_bitmap(bs, 4096, "name", NULL));
        g_assert_cmpint(errno, ==, errors[i]);
        g_assert_cmpint(node_bitmap_count(bs), ==, 0);
        g_free(message);
    }
    qdb_node_set_length(bs, MIB);
    g_assert_nonnull(bdrv_create_dirty_bitmap(bs, 4096, "name", &error_abort));
    node_discard(bs);
}

/* The name is looked at before the length. */
static void create_order_of_checks(void)
{
    BlockDriverState *bs = qdb_node_new(MIB, 0, NULL);
    char *name = name_of_length(1024);
    char *message = g_strdup_printf("Bitmap name too long: %s", name);
    Error *err = NULL;

    g_assert_nonnull(bdrv_create_dirty_bitmap(bs, 4096, "name", &error_abort));
    qdb_node_set_length(bs, -EIO);
    g_assert_null(bdrv_create_dirty_bitmap(bs, 4096, "name", &err));
    expect_error(&err, "Bitmap already exists: name", NULL);
    g_assert_null(bdrv_create_dirty_bitmap(bs, 4096, name, &err));
    expect_error(&err, message, NULL);
    g_free(message);
    g_free(name);
    node_discard(bs);
}

static void create_no_length(void)
{
    BlockDriverState *bs = qdb_node_new(0, 0, NULL);
    BdrvDirtyBitmap *bitmap = bdrv_create_dirty_bitmap(bs, 4096, "empty", &error_abort);

    g_assert_cmpint(bdrv_dirty_bitmap_size(bitmap), ==, 0);
    g_assert_cmpint(bdrv_get_dirty_count(bitmap), ==, 0);
    g_assert_cmpint(bitmap_next_dirty(bitmap, 0, INT64_MAX), ==, -1);
    g_assert_cmpint(bitmap_next_zero(bitmap, 0, INT64_MAX), ==, -1);
    bdrv_set_dirty_bitmap(bitmap, 0, 0);
    bdrv_reset_dirty_bitmap(bitmap, 0, 0);
    bdrv_clear_dirty_bitmap(bitmap, NULL);
    node_discard(bs);
}

static void default_granularity(void)
{
    static const struct {
        int64_t cluster_size;
        uint32_t granularity;
    } cases[] = {
        { 0, 65536 },     { -1, 65536 },     { 1, 4096 },        { 512, 4096 },
        { 4096, 4096 },   { 8192, 8192 },    { 16384, 16384 },   { 32768, 32768 },
        { 65536, 65536 }, { 131072, 65536 }, { 2097152, 65536 },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        BlockDriverState *bs = qdb_node_new(GIB, cases[i].cluster_size, NULL);

        g_assert_cmpuint(bdrv_get_default_bitmap_granularity(bs), ==, cases[i].granularity);
        node_discard(bs);
    }
}

/* New bitmaps go to the front; the order of the others stays when one is released. */
static void list_order(void)
{
    BlockDriverState *bs = qdb_node_new(MIB, 0, NULL);
    BdrvDirtyBitmap *a, *b, *c;

    g_assert_null(bdrv_dirty_bitmap_first(bs));
    a = bdrv_create_dirty_bitmap(bs, 4096, "a", &error_abort);
    g_assert_true(bdrv_dirty_bitmap_first(bs) == a);
    g_assert_null(bdrv_dirty_bitmap_next(a));
    b = bdrv_create_dirty_bitmap(bs, 4096, NULL, &error_abort);
    c = bdrv_create_dirty_bitmap(bs, 4096, "c", &error_abort);
    g_assert_true(bdrv_dirty_bitmap_first(bs) == c);
    g_assert_true(bdrv_dirty_bitmap_next(c) == b);
    g_assert_true(bdrv_dirty_bitmap_next(b) == a);
    g_assert_null(bdrv_dirty_bitmap_next(a));

    bdrv_release_dirty_bitmap(b);
    g_assert_true(bdrv_dirty_bitmap_next(c) == a);
    bdrv_release_dirty_bitmap(c);
    g_assert_true(bdrv_dirty_bitmap_first(bs) == a);
    c = bdrv_create_dirty_bitmap(bs, 4096, "c", &error_abort);
    g_assert_true(bdrv_dirty_bitmap_first(bs) == c);
    bdrv_release_dirty_bitmap(a);
    g_assert_null(bdrv_dirty_bitmap_next(c));
    bdrv_release_dirty_bitmap(c);
    g_assert_null(bdrv_dirty_bitmap_first(bs));
    node_discard(bs);
}

static void many_bitmaps(void)
{
    BlockDriverState *bs = qdb_node_new(MIB, 0, NULL);

    for (int i = 0; i < 500; i++) {
        char *name = g_strdup_printf("bitmap-%d", i);

        bdrv_create_dirty_bitmap(bs, 65536, name, &error_abort);
        g_free(name);
    }
    g_assert_cmpint(node_bitmap_count(bs), ==, 500);
    for (int i = 0; i < 500; i += 3) {
        char *name = g_strdup_printf("bitmap-%d", i);

        bdrv_release_dirty_bitmap(bdrv_find_dirty_bitmap(bs, name));
        g_assert_null(bdrv_find_dirty_bitmap(bs, name));
        g_free(name);
    }
    g_assert_cmpint(node_bitmap_count(bs), ==, 333);
    bdrv_release_named_dirty_bitmaps(bs);
    g_assert_cmpint(node_bitmap_count(bs), ==, 0);
    node_discard(bs);
}

static void release_named(void)
{
    BlockDriverState *bs = qdb_node_new(MIB, 0, NULL);
    BdrvDirtyBitmap *anonymous;

    bdrv_release_named_dirty_bitmaps(bs);
    bitmap_new(bs, "one", 4096, 0, 0);
    anonymous = bitmap_new(bs, NULL, 4096, 4096, STATE_ANONYMOUS);
    bitmap_new(bs, "two", 4096, 0, STATE_READONLY);
    bitmap_new(bs, "three", 4096, 0, STATE_PERSISTENT | STATE_INCONSISTENT);
    bitmap_new(bs, "", 4096, 0, STATE_DISABLED | STATE_SKIP_STORE);
    bdrv_release_named_dirty_bitmaps(bs);
    g_assert_true(bdrv_dirty_bitmap_first(bs) == anonymous);
    g_assert_null(bdrv_dirty_bitmap_next(anonymous));
    g_assert_cmpint(bdrv_get_dirty_count(anonymous), ==, 4096);
    node_discard(bs);
}

static void free_nothing(void)
{
    qdb_node_free(NULL);
    qdb_error_free(NULL);
    qdb_dirty_info_list_free(NULL);
    bdrv_dirty_iter_free(NULL);
}

void add_dirty_create_tests(void)
{
    g_test_add_func("/dirty-bitmap/create/fresh", create_fresh);
    g_test_add_func("/dirty-bitmap/create/granularities", create_granularities);
    g_test_add_func("/dirty-bitmap/create/names", create_names);
    g_test_add_func("/dirty-bitmap/create/strange-names", create_strange_names);
    g_test_add_func("/dirty-bitmap/create/name-taken", create_name_taken);
    g_test_add_func("/dirty-bitmap/create/length-fails", create_length_fails);
    g_test_add_func("/dirty-bitmap/create/order-of-checks", create_order_of_checks);
    g_test_add_func("/dirty-bitmap/create/no-length", create_no_length);
    g_test_add_func("/dirty-bitmap/create/default-granularity", default_granularity);
    g_test_add_func("/dirty-bitmap/list/order", list_order);
    g_test_add_func("/dirty-bitmap/list/many", many_bitmaps);
    g_test_add_func("/dirty-bitmap/list/release-named", release_named);
    g_test_add_func("/dirty-bitmap/list/free-nothing", free_nothing);
}
