/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Nodes of all lengths with bitmaps of all granularities, and writes at the ends of what a number
 * can say.
 */
#include <errno.h>

#include "common.h"
#include "limits-rules.h"
#include "limits-tests.h"

/* As in limits-shapes.c. */
#define MOST_BITS (UINT64_C(1) << 30)

static const int64_t lengths[] = {
    0,
    1,
    511,
    512,
    513,
    INT64_C(1) << 40,
    (INT64_C(1) << 50) - 1,
    INT64_C(1) << 50,
    (INT64_C(1) << 50) + 1,
    INT64_MAX - 1,
    INT64_MAX,
};
static const uint32_t granularities[] = {
    0,
    1,
    256,
    511,
    512,
    513,
    4096,
    65536,
    UINT32_C(3) << 20,
    UINT32_C(1) << 22,
    UINT32_C(1) << 30,
    UINT32_C(1) << 31,
    UINT32_MAX,
};

typedef struct Work {
    BlockDriverState *bs;
    uint32_t granularity;
    int64_t first, second;
} Work;

static void create(void *opaque)
{
    const Work *work = opaque;

    bdrv_create_dirty_bitmap(work->bs, work->granularity, NULL, &error_abort);
}

static void write_to(void *opaque)
{
    const Work *work = opaque;

    bdrv_set_dirty(work->bs, work->first, work->second);
}

static void truncate_to(void *opaque)
{
    const Work *work = opaque;

    bdrv_dirty_bitmap_truncate(work->bs, work->first);
}

static int log2_of(uint32_t granularity)
{
    return granularity >= 512 && (granularity & (granularity - 1)) == 0 ? __builtin_ctz(granularity)
                                                                        : -1;
}

/* A granularity that is no power of two from 512 on, or more bits than there may be: an abort. */
static void creation(void)
{
    unsigned good = 0, bad = 0;

    for (size_t i = 0; i < G_N_ELEMENTS(lengths); i++) {
        for (size_t j = 0; j < G_N_ELEMENTS(granularities); j++) {
            const int log2 = log2_of(granularities[j]);
            const uint64_t size = (uint64_t)lengths[i];
            Work work = { .bs = qdb_node_new(lengths[i], 0, NULL),
                          .granularity = granularities[j] };
            BdrvDirtyBitmap *bitmap;

            if (!shape_allowed(size, log2)) {
                expect_abort(create, &work, "*Assertion `*' failed*");
                bad++;
            } else if (size >> log2 <= MOST_BITS) {
                bitmap = bdrv_create_dirty_bitmap(work.bs, work.granularity, NULL, &error_abort);
                g_assert_cmpint(bdrv_dirty_bitmap_size(bitmap), ==, lengths[i]);
                g_assert_cmpuint(bdrv_dirty_bitmap_granularity(bitmap), ==, granularities[j]);
                g_assert_cmpint(bdrv_get_dirty_count(bitmap), ==, 0);
                if (size > 0) {
                    bdrv_set_dirty(work.bs, lengths[i] - 1, 1);
                    g_assert_cmpuint((uint64_t)bdrv_get_dirty_count(bitmap), ==, granularities[j]);
                    g_assert_true(bdrv_dirty_bitmap_get(bitmap, lengths[i] - 1));
                }
                bdrv_release_dirty_bitmap(bitmap);
                good++;
            }
            qdb_node_free(work.bs);
        }
    }
    g_test_message("%u bitmaps can be made, %u abort", good, bad);
    g_assert_cmpuint(good, >, 30);
    g_assert_cmpuint(bad, >, 30);
}

/* A node whose length is an error has no bitmap, and says why. */
static void length_unknown(void)
{
    BlockDriverState *bs = qdb_node_new(-EIO, 0, NULL);
    Error *error = NULL;
    char *message = g_strdup_printf("could not get length of device: %s", strerror(EIO));

    g_assert_null(bdrv_create_dirty_bitmap(bs, 512, "name", &error));
    expect_error(&error, message, NULL);
    g_free(message);
    qdb_node_free(bs);
}

/* Writes that begin or end past the node's end, or below zero. */
static void writes(void)
{
    static const int64_t numbers[] = {
        0,
        1,
        511,
        512,
        1000,
        1001,
        INT64_C(1) << 32,
        INT64_MAX - 512,
        INT64_MAX - 1,
        INT64_MAX,
        INT64_MIN,
        INT64_MIN + 1,
        -512,
        -1,
    };
    Work work = { .bs = qdb_node_new(1000, 0, NULL), .granularity = 512 };
    BdrvDirtyBitmap *bitmap = bdrv_create_dirty_bitmap(work.bs, 512, NULL, &error_abort);
    unsigned good = 0, bad = 0;

    for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++) {
        for (size_t j = 0; j < G_N_ELEMENTS(numbers); j++) {
            Plain plain;
            Answer expected;

            plain_init(&plain, 1000, 9);
            work.first = numbers[i];
            work.second = numbers[j];
            expected = rule(&plain, LIMIT_SET, (uint64_t)work.first, (uint64_t)work.second);
            if (expected.fate == FATE_RETURNS) {
                write_to(&work);
                g_assert_cmpint(bdrv_get_dirty_count(bitmap), ==, expected.value);
                bdrv_clear_dirty_bitmap(bitmap, NULL);
                good++;
            } else if (expected.fate == FATE_ABORTS || !on_qemu()) {
                expect_abort(write_to, &work, "*Assertion `*' failed*");
                bad++;
            }
        }
    }
    g_test_message("%u writes are recorded, %u abort", good, bad);
    g_assert_cmpuint(good, >, 10);
    g_assert_cmpuint(bad, >, 30);
    bdrv_release_dirty_bitmap(bitmap);
    qdb_node_free(work.bs);
}

static void truncation(void)
{
    static const int64_t wrong[] = { -1, -512, INT64_MIN, INT64_MAX };
    Work work = { .bs = qdb_node_new(1 << 20, 0, NULL) };
    BdrvDirtyBitmap *bitmap = bdrv_create_dirty_bitmap(work.bs, 512, NULL, &error_abort);

    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
        work.first = wrong[i];
        expect_abort(truncate_to, &work, "*hbitmap_truncate: Assertion `*' failed*");
    }
    bdrv_set_dirty(work.bs, (1 << 20) - 1, 1);
    for (int64_t length = 1 << 20; length >= 0; length -= 1 << 16) {
        bdrv_dirty_bitmap_truncate(work.bs, length);
        g_assert_cmpint(bdrv_dirty_bitmap_size(bitmap), ==, length);
        g_assert_cmpint(bdrv_get_dirty_count(bitmap), ==, length == 1 << 20 ? 512 : 0);
    }
    bdrv_release_dirty_bitmap(bitmap);
    qdb_node_free(work.bs);
}

void add_node_limit_tests(void)
{
    g_test_add_func("/limits/node/creation", creation);
    g_test_add_func("/limits/node/length-unknown", length_unknown);
    g_test_add_func("/limits/node/writes", writes);
    g_test_add_func("/limits/node/truncation", truncation);
}
