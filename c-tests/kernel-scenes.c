/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel-scenes.h"

#include "common.h"

#define CHUNK UINT64_C(32768)
#define REGION (512 * CHUNK)
#define USED_CHUNKS 200 /* chunks of a region */
#define TEETH 100 /* bits of a chunk */

/* Every second bit of the start of each of a region's first chunks. */
static uint64_t tooth(uint64_t region, uint64_t chunk, uint64_t i)
{
    return region * REGION + chunk * CHUNK + 2 * i;
}

static void set_region(HBitmap *hb, uint64_t region)
{
    for (uint64_t chunk = 0; chunk < USED_CHUNKS; chunk++) {
        for (uint64_t i = 0; i < TEETH; i++) {
            hbitmap_set(hb, tooth(region, chunk, i), 1);
        }
    }
}

/* A region has the bits of set_region and no others, by each way to read them. */
static void expect_region(const HBitmap *hb, uint64_t region)
{
    HBitmapIter iter;

    hbitmap_iter_init(&iter, hb, region * REGION);
    for (uint64_t chunk = 0; chunk < USED_CHUNKS; chunk++) {
        for (uint64_t i = 0; i < TEETH; i++) {
            uint64_t bit = tooth(region, chunk, i);

            g_assert_true(hbitmap_get(hb, bit));
            g_assert_cmpint(hbitmap_iter_next(&iter), ==, (int64_t)bit);
            g_assert_cmpint(hbitmap_next_dirty(hb, (int64_t)bit - (bit > 0), INT64_MAX), ==,
                            (int64_t)bit);
        }
    }
}

/* A disk that has bits in one region grows, and shrinks again. */
static void resize_words(void)
{
    HBitmap *hb = hbitmap_alloc(2 * REGION, 0);

    set_region(hb, 0);
    hbitmap_truncate(hb, 2 * REGION + 1000 * CHUNK);
    g_assert_cmpuint(hbitmap_count(hb), ==, USED_CHUNKS * TEETH);
    expect_region(hb, 0);
    hbitmap_set(hb, 2 * REGION + 999 * CHUNK, 5);
    hbitmap_truncate(hb, REGION);
    g_assert_cmpuint(hbitmap_count(hb), ==, USED_CHUNKS * TEETH);
    expect_region(hb, 0);
    hbitmap_free(hb);
}

/*
 * As above, with regions that are not neighbours, and so large that the levels above are large too.
 */
static void resize_huge(void)
{
    const uint64_t regions = 64;
    HBitmap *hb = hbitmap_alloc(regions * REGION, 0);

    set_region(hb, 0);
    set_region(hb, 7);
    set_region(hb, 63);
    hbitmap_truncate(hb, regions * REGION + 3 * REGION + 77);
    g_assert_cmpuint(hbitmap_count(hb), ==, 3 * USED_CHUNKS * TEETH);
    hbitmap_truncate(hb, 60 * REGION);
    g_assert_cmpuint(hbitmap_count(hb), ==, 2 * USED_CHUNKS * TEETH);
    expect_region(hb, 0);
    expect_region(hb, 7);
    hbitmap_free(hb);
}

/* A region that becomes clean must leave its neighbour alone. */
static void clean_beside_dirty(void)
{
    static const uint64_t sizes[] = { 4, 64, 65 };

    for (size_t k = 0; k < G_N_ELEMENTS(sizes); k++) {
        HBitmap *hb = hbitmap_alloc(sizes[k] * REGION, 0);

        for (uint64_t region = 0; region < 4; region++) {
            set_region(hb, region);
        }
        hbitmap_reset(hb, 0, REGION);
        expect_region(hb, 1);
        hbitmap_reset(hb, 2 * REGION, REGION);
        expect_region(hb, 1);
        expect_region(hb, 3);
        g_assert_cmpuint(hbitmap_count(hb), ==, 2 * USED_CHUNKS * TEETH);
        set_region(hb, 2);
        expect_region(hb, 2);
        expect_region(hb, 3);
        hbitmap_free(hb);
    }
}

/* Two regions with one chunk of words each: when the first one goes, the second one stays. */
static void one_chunk_in_each(void)
{
    HBitmap *hb = hbitmap_alloc(64 * REGION, 0);
    HBitmapIter iter;

    for (uint64_t region = 0; region < 2; region++) {
        for (uint64_t i = 0; i < TEETH; i++) {
            hbitmap_set(hb, region * REGION + i * 97, 1);
        }
    }
    hbitmap_reset(hb, 0, CHUNK);
    g_assert_cmpuint(hbitmap_count(hb), ==, TEETH);
    hbitmap_iter_init(&iter, hb, 0);
    for (uint64_t i = 0; i < TEETH; i++) {
        g_assert_true(hbitmap_get(hb, REGION + i * 97));
        g_assert_cmpint(hbitmap_iter_next(&iter), ==, (int64_t)(REGION + i * 97));
    }
    g_assert_cmpint(hbitmap_iter_next(&iter), ==, -1);
    hbitmap_free(hb);
}

/*
 * Sets, resets and clears of whole bitmaps, merges across granularities, parts: all other ways to
 * change much.
 */
static void all_at_once(void)
{
    const uint64_t size = 4 * REGION;
    HBitmap *fine = hbitmap_alloc(size, 0), *coarse = hbitmap_alloc(size, 4);
    static uint8_t part[CHUNK / 8];

    memset(part, 0x11, sizeof(part));
    set_region(coarse, 0);
    check_merged(hbitmap_merge(fine, coarse, fine));
    g_assert_cmpuint(hbitmap_count(fine), ==, hbitmap_count(coarse));
    hbitmap_set(fine, 5, size - 10);
    g_assert_cmpint(hbitmap_next_zero(fine, 5, INT64_MAX), ==, (int64_t)size - 5);
    hbitmap_reset(fine, 0, size);
    g_assert_true(hbitmap_empty(fine));
    for (uint64_t chunk = 0; chunk < 2 * USED_CHUNKS; chunk++) {
        hbitmap_deserialize_part(fine, part, chunk * CHUNK, CHUNK, false);
    }
    hbitmap_deserialize_finish(fine);
    g_assert_cmpuint(hbitmap_count(fine), ==, 2 * USED_CHUNKS * CHUNK / 4);
    hbitmap_reset_all(fine);
    set_region(fine, 1);
    expect_region(fine, 1);
    g_assert_cmpuint(hbitmap_count(fine), ==, USED_CHUNKS * TEETH);
    hbitmap_free(fine);
    hbitmap_free(coarse);
}

/* A node with its bitmaps, whose disk grows (block_resize). */
static void node_resize(void)
{
    const int64_t unit = 4096, size = (int64_t)(2 * REGION) * unit;
    BlockDriverState *bs = qdb_node_new(size, 0, "node");
    BdrvDirtyBitmap *a = bdrv_create_dirty_bitmap(bs, (uint32_t)unit, "a", &error_abort);
    BdrvDirtyBitmap *b = bdrv_create_dirty_bitmap(bs, (uint32_t)unit, "b", &error_abort);
    HBitmap *backup = NULL;

    for (uint64_t chunk = 0; chunk < USED_CHUNKS; chunk++) {
        for (uint64_t i = 0; i < TEETH; i++) {
            bdrv_set_dirty(bs, (int64_t)tooth(0, chunk, i) * unit, 1);
        }
    }
    qdb_node_set_length(bs, size + 1000 * unit);
    bdrv_dirty_bitmap_truncate(bs, size + 1000 * unit);
    g_assert_cmpint(bdrv_get_dirty_count(a), ==, USED_CHUNKS * TEETH * unit);
    check_merged(bdrv_merge_dirty_bitmap(a, b, &backup, &error_abort));
    bdrv_restore_dirty_bitmap(a, backup);
    bdrv_clear_dirty_bitmap(b, NULL);
    g_assert_cmpint(bdrv_get_dirty_count(a), ==, USED_CHUNKS * TEETH * unit);
    bdrv_release_named_dirty_bitmaps(bs);
    qdb_node_free(bs);
}

const KernelScene kernel_scenes[] = {
    { "resize-words", resize_words },
    { "resize-huge", resize_huge },
    { "clean-beside-dirty", clean_beside_dirty },
    { "one-chunk-in-each", one_chunk_in_each },
    { "all-at-once", all_at_once },
    { "node-resize", node_resize },
};
const unsigned kernel_scene_count = G_N_ELEMENTS(kernel_scenes);
