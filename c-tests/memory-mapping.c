/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Mappings, of which a process has 65,530 for everything, and addresses: neither bitmaps in number
 * nor bitmaps that once had many bits take one each, and a bitmap that grows does not need its
 * addresses twice.
 */
#include "common.h"
#include "memory-tests.h"
#include "memory-use.h"

#define CHUNK UINT64_C(32768)
#define REGION (512 * CHUNK)
#define MANY 2000

/* A bitmap of 1 TiB for each of many disks, with a chunk of words. */
static void many_bitmaps(void *opaque)
{
    int64_t before = memory_mappings();

    (void)opaque;
    for (int n = 0; n < MANY; n++) {
        HBitmap *hb = hbitmap_alloc(REGION << 16, 16);

        for (uint64_t bit = 0; bit < 70; bit++) {
            hbitmap_set(hb, (bit * 97) << 16, 1);
        }
    }
    if (memory_mappings() - before > MANY / 20) {
        g_error("%d bitmaps have %" PRId64 " mappings", MANY, memory_mappings() - before);
    }
}

/* Every other region of a large bitmap gets many bits and is then clean again. */
static void regions_in_turn(void *opaque)
{
    const uint64_t regions = 64;
    HBitmap *hb = hbitmap_alloc(regions * REGION, 0);
    int64_t before = memory_mappings();

    (void)opaque;
    for (uint64_t region = 0; region < regions; region += 2) {
        for (uint64_t chunk = 0; chunk < 130; chunk++) {
            for (uint64_t bit = 0; bit < 66; bit++) {
                hbitmap_set(hb, region * REGION + chunk * CHUNK + bit * 64, 1);
            }
        }
        hbitmap_reset(hb, region * REGION, REGION);
    }
    if (memory_mappings() - before > 4) {
        g_error("a bitmap that is clean again has %" PRId64 " mappings more",
                memory_mappings() - before);
    }
}

/* What is left of the addresses is an eighth of what the bitmap has. */
static void grow_in_place(void *opaque)
{
    const uint64_t bits = UINT64_C(1) << 33, more = UINT64_C(1) << 24;
    HBitmap *hb = hbitmap_alloc(bits, 0);

    (void)opaque;
    for (uint64_t bit = 0; bit < 170; bit++) {
        hbitmap_set(hb, bit < 70 ? bit * 97 : bit * (bits / 170), 1);
    }
    memory_limit(128 * MIB);
    hbitmap_truncate(hb, bits + more);
    hbitmap_set(hb, bits + more - 1, 1);
    g_assert_cmpuint(hbitmap_count(hb), ==, 171);
    hbitmap_truncate(hb, bits);
    g_assert_cmpuint(hbitmap_count(hb), ==, 170);
    g_assert_cmpint(hbitmap_next_dirty(hb, 1, INT64_MAX), ==, 97);
}

static void many(void)
{
    memory_in_child(many_bitmaps, NULL);
}

static void regions(void)
{
    memory_in_child(regions_in_turn, NULL);
}

static void grow(void)
{
    memory_in_child(grow_in_place, NULL);
}

void add_memory_mapping_tests(void)
{
    g_test_add_func("/memory/mappings/many-bitmaps", many);
    g_test_add_func("/memory/mappings/regions-in-turn", regions);
    g_test_add_func("/memory/addresses/grow", grow);
}
