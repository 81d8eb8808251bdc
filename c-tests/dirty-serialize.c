/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Serialising a bitmap of a node, as qcow2 stores it and a migration sends it. */
#include "dirty-tests.h"
#include "node.h"

static void alignment_and_coverage(void)
{
    BlockDriverState *bs = qdb_node_new(GIB, 0, NULL);

    for (int shift = 9; shift < 31; shift++) {
        uint64_t granularity = UINT64_C(1) << shift;
        BdrvDirtyBitmap *bitmap = bitmap_new(bs, NULL, (uint32_t)granularity, 0, STATE_ANONYMOUS);

        g_assert_cmpuint(bdrv_dirty_bitmap_serialization_align(bitmap), ==, 64 * granularity);
        g_assert_cmpuint(bdrv_dirty_bitmap_serialization_coverage(0, bitmap), ==, 0);
        g_assert_cmpuint(bdrv_dirty_bitmap_serialization_coverage(8, bitmap), ==, 64 * granularity);
        g_assert_cmpuint(bdrv_dirty_bitmap_serialization_coverage(65536, bitmap), ==,
                         8 * 65536 * granularity);
        g_assert_cmpuint(bdrv_dirty_bitmap_serialization_coverage(1 << 21, bitmap), ==,
                         (granularity << 21) * 8);
        bdrv_release_dirty_bitmap(bitmap);
    }
    node_discard(bs);
}

static void sizes(void)
{
    BlockDriverState *bs = qdb_node_new(1000 * KIB + 1, 0, NULL);
    BdrvDirtyBitmap *bitmap = bitmap_new(bs, "b", 1024, 0, 0);

    g_assert_cmpuint(bdrv_dirty_bitmap_serialization_size(bitmap, 0, 0), ==, 0);
    g_assert_cmpuint(bdrv_dirty_bitmap_serialization_size(bitmap, 0, 64 * KIB), ==, 8);
    g_assert_cmpuint(bdrv_dirty_bitmap_serialization_size(bitmap, 64 * KIB, 128 * KIB), ==, 16);
    g_assert_cmpuint(bdrv_dirty_bitmap_serialization_size(bitmap, 0, 1000 * KIB + 1), ==, 128);
    g_assert_cmpuint(bdrv_dirty_bitmap_serialization_size(bitmap, 960 * KIB, 40 * KIB + 1), ==, 8);
    node_discard(bs);
}

/* Chunk by chunk from one node to another, as block/qcow2-bitmap.c and migration do. */
static void send_and_receive(void)
{
    for (int64_t size = 900 * KIB; size < 900 * KIB + 3 * 512; size += 512) {
        BlockDriverState *from = qdb_node_new(size, 0, NULL);
        BlockDriverState *to = qdb_node_new(size, 0, NULL);
        BdrvDirtyBitmap *src = bitmap_new(from, "b", 512, 0, 0);
        BdrvDirtyBitmap *dest = bitmap_new(to, "b", 512, size, 0);
        uint64_t chunk = bdrv_dirty_bitmap_serialization_coverage(32, src);
        char *expected, *got;
        uint8_t buffer[32];

        for (int n = 0; n < 60; n++) {
            int64_t at = (int64_t)random_below((uint64_t)size);

            bdrv_set_dirty_bitmap(src, at,
                                  1 + (int64_t)random_below((uint64_t)MIN(size - at, 20000)));
        }
        for (uint64_t at = 0; at < (uint64_t)size; at += chunk) {
            uint64_t count = MIN(chunk, (uint64_t)size - at);

            g_assert_cmpuint(bdrv_dirty_bitmap_serialization_size(src, at, count), <=,
                             sizeof(buffer));
            bdrv_dirty_bitmap_serialize_part(src, buffer, at, count);
            bdrv_dirty_bitmap_deserialize_part(dest, buffer, at, count, false);
        }
        bdrv_dirty_bitmap_deserialize_finish(dest);
        expected = bitmap_picture(src, 512);
        got = bitmap_picture(dest, 512);
        g_assert_cmpstr(got, ==, expected);
        g_assert_cmpint(bdrv_get_dirty_count(dest), ==, bdrv_get_dirty_count(src));
        g_free(expected);
        g_free(got);
        node_discard(from);
        node_discard(to);
    }
}

static void zeroes_and_ones(void)
{
    BlockDriverState *bs = qdb_node_new(256 * KIB, 0, NULL);
    BdrvDirtyBitmap *bitmap = bitmap_new(bs, "b", 1024, 0, 0);

    bdrv_dirty_bitmap_deserialize_ones(bitmap, 64 * KIB, 128 * KIB, true);
    g_assert_cmpint(bdrv_get_dirty_count(bitmap), ==, 128 * KIB);
    g_assert_cmpint(bitmap_next_dirty(bitmap, 0, INT64_MAX), ==, 64 * KIB);
    g_assert_cmpint(bitmap_next_zero(bitmap, 64 * KIB, INT64_MAX), ==, 192 * KIB);
    bdrv_dirty_bitmap_deserialize_zeroes(bitmap, 64 * KIB, 64 * KIB, false);
    bdrv_dirty_bitmap_deserialize_ones(bitmap, 192 * KIB, 64 * KIB, false);
    bdrv_dirty_bitmap_deserialize_finish(bitmap);
    g_assert_cmpint(bdrv_get_dirty_count(bitmap), ==, 128 * KIB);
    g_assert_cmpint(bitmap_next_dirty(bitmap, 0, INT64_MAX), ==, 128 * KIB);
    bdrv_dirty_bitmap_deserialize_zeroes(bitmap, 0, 256 * KIB, true);
    g_assert_cmpint(bdrv_get_dirty_count(bitmap), ==, 0);
    bdrv_set_dirty_bitmap(bitmap, 255 * KIB, 1);
    g_assert_cmpint(bdrv_get_dirty_count(bitmap), ==, KIB);
    node_discard(bs);
}

/* A hostile image: ones in the last word, past the end of the disk. */
static void past_the_end(void)
{
    BlockDriverState *bs;
    BdrvDirtyBitmap *bitmap;
    BdrvDirtyBitmapIter *iter;
    uint8_t buffer[16];

    if (skipped_on_qemu(DIFF_BITS_PAST_END)) {
        return;
    }
    bs = qdb_node_new(70 * 512 - 100, 0, NULL);
    bitmap = bitmap_new(bs, "b", 512, 0, 0);
    memset(buffer, 0xff, sizeof(buffer));
    bdrv_dirty_bitmap_deserialize_part(bitmap, buffer, 0, 70 * 512 - 100, true);
    g_assert_cmpint(bdrv_get_dirty_count(bitmap), ==, 70 * 512);
    iter = bdrv_dirty_iter_new(bitmap);
    bdrv_dirty_bitmap_lock(bitmap);
    for (int64_t item = 0; item < 70; item++) {
        g_assert_cmpint(bdrv_dirty_iter_next(iter), ==, item * 512);
    }
    g_assert_cmpint(bdrv_dirty_iter_next(iter), ==, -1);
    bdrv_dirty_bitmap_unlock(bitmap);
    bdrv_dirty_iter_free(iter);
    bdrv_clear_dirty_bitmap(bitmap, NULL);
    bdrv_dirty_bitmap_deserialize_ones(bitmap, 0, 70 * 512 - 100, true);
    g_assert_cmpint(bdrv_get_dirty_count(bitmap), ==, 70 * 512);
    bdrv_dirty_bitmap_truncate(bs, 128 * 512);
    g_assert_cmpint(bdrv_get_dirty_count(bitmap), ==, 70 * 512);
    node_discard(bs);
}

void add_dirty_serialize_tests(void)
{
    g_test_add_func("/dirty-bitmap/serialize/alignment", alignment_and_coverage);
    g_test_add_func("/dirty-bitmap/serialize/sizes", sizes);
    g_test_add_func("/dirty-bitmap/serialize/send-and-receive", send_and_receive);
    g_test_add_func("/dirty-bitmap/serialize/zeroes-and-ones", zeroes_and_ones);
    g_test_add_func("/dirty-bitmap/serialize/past-the-end", past_the_end);
}
