/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qdb_check_geometry and qdb_check_hbitmap_geometry: what they accept can be made, and what they
 * refuse aborts or is refused by the functions that make it.
 */
#include "node.h"

#include <errno.h>
#include <sys/resource.h>
#include <sys/wait.h>

struct geometry {
    int64_t size;
    uint64_t granularity;
    int log2;
};

static void make_dirty_bitmap(void *opaque)
{
    const struct geometry *geometry = opaque;
    BlockDriverState *bs = qdb_node_new(geometry->size, 0, NULL);
    uint32_t granularity = (uint32_t)geometry->granularity;
    BdrvDirtyBitmap *bitmap = bdrv_create_dirty_bitmap(bs, granularity, NULL, &error_fatal);

    g_assert_cmpint(bdrv_dirty_bitmap_size(bitmap), ==, geometry->size);
    /* A number that C cut off is another number. */
    if (bdrv_dirty_bitmap_granularity(bitmap) != geometry->granularity) {
        exit(2);
    }
    bdrv_release_dirty_bitmap(bitmap);
    qdb_node_free(bs);
}

static void make_hbitmap(void *opaque)
{
    const struct geometry *geometry = opaque;
    HBitmap *hb = hbitmap_alloc((uint64_t)geometry->size, geometry->log2);

    hbitmap_free(hb);
}

/* Whether a child that makes a bitmap ends well. */
static bool can_be_made(void (*make)(void *), struct geometry *geometry)
{
    char *text;
    int status = run_in_child(make, geometry, &text);

    g_free(text);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static const int64_t sizes[] = {
    0, 1, 511, 512, 513, MIB, MIB + 1, GIB, INT64_C(1) << 41, (INT64_C(1) << 41) + 1,
    (INT64_C(1) << 50) - 1, INT64_C(1) << 50, (INT64_C(1) << 50) + 1, (INT64_C(1) << 50) + 512,
    INT64_C(1) << 56, INT64_C(1) << 57, INT64_MAX - 512, INT64_MAX, INT64_MIN, -1, -ENOMEDIUM,
};

static void dirty_bitmaps(void)
{
    static const uint64_t odd[] = { 0, 3, 511, 513, 65535, UINT64_C(3) << 20, UINT64_MAX };
    unsigned accepted = 0;

    for (unsigned i = 0; i < G_N_ELEMENTS(sizes) * (64 + G_N_ELEMENTS(odd)); i++) {
        unsigned kind = i % (64 + G_N_ELEMENTS(odd));
        struct geometry geometry = { .size = sizes[i / (64 + G_N_ELEMENTS(odd))] };
        Error *err = NULL;
        bool good;

        geometry.granularity = kind < 64 ? UINT64_C(1) << kind : odd[kind - 64];
        good = qdb_check_geometry(geometry.size, geometry.granularity, &err);
        g_assert_true(good == (err == NULL));
        qdb_error_free(err);
        g_test_message("%" PRId64 " %" PRIu64 ": %d", geometry.size, geometry.granularity, good);
        g_assert_cmpint(can_be_made(make_dirty_bitmap, &geometry), ==, good);
        accepted += good;
    }
    g_assert_cmpuint(accepted, >, 100);
}

static void hbitmaps(void)
{
    unsigned accepted = 0;

    for (unsigned i = 0; i < G_N_ELEMENTS(sizes); i++) {
        for (int log2 = -2; log2 < 67; log2++) {
            struct geometry geometry = { .size = sizes[i], .log2 = log2 };
            Error *err = NULL;
            bool good = qdb_check_hbitmap_geometry((uint64_t)geometry.size, log2, &err);

            g_assert_true(good == (err == NULL));
            qdb_error_free(err);
            g_test_message("%" PRId64 " %d: %d", geometry.size, log2, good);
            g_assert_cmpint(can_be_made(make_hbitmap, &geometry), ==, good);
            accepted += good;
        }
    }
    g_assert_cmpuint(accepted, >, 500);
}

static void texts(void)
{
    Error *err = NULL;

    g_assert_false(qdb_check_geometry(MIB, 1000, &err));
    expect_error(&err, "granularity 1000 is not a power of two from 512 to 2147483648", NULL);
    g_assert_false(qdb_check_geometry(INT64_MAX, 512, &err));
    expect_error(&err, "size 9223372036854775807 at granularity 512 is more than a bitmap can have",
                 NULL);
    g_assert_false(qdb_check_geometry(-1, 65536, &err));
    expect_error(&err, "size -1 is negative", NULL);
    g_assert_false(qdb_check_hbitmap_geometry(0, 64, &err));
    expect_error(&err, "granularity 64 is not a number from 0 to 63", NULL);
    g_assert_false(qdb_check_geometry(MIB, 0, NULL));
}

/* In a process that may have 2 GiB. */
static void check_with_little_memory(void *opaque)
{
    struct rlimit limit = { 2 * GIB, 2 * GIB };
    Error *err = NULL;

    (void)opaque;
    setrlimit(RLIMIT_AS, &limit);
    g_assert_true(qdb_check_geometry(GIB * 4096, 512, NULL));
    g_assert_false(qdb_check_geometry(GIB * 4096 * 16, 512, &err));
    expect_error(&err,
                 "a bitmap of size 70368744177664 at granularity 512 needs 18253615104 bytes of "
                 "memory",
                 NULL);
}

static void no_memory(void)
{
    char *text;
    int status = run_in_child(check_with_little_memory, NULL, &text);

    g_assert_cmpstr(text, ==, "");
    g_assert_cmpint(status, ==, 0);
    g_free(text);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/geometry/dirty-bitmaps", dirty_bitmaps);
    g_test_add_func("/geometry/hbitmaps", hbitmaps);
    g_test_add_func("/geometry/texts", texts);
    g_test_add_func("/geometry/no-memory", no_memory);
    return g_test_run();
}
