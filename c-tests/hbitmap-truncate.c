/* SPDX-License-Identifier: GPL-2.0-or-later */
/* hbitmap_truncate: what stays, what goes, and that nothing comes back. */
#include "hbitmap-tests.h"
#include "shadow.h"

static const uint64_t edges[] = { WIDTH_1, WIDTH_2, CHUNK, WIDTH_3, CHUNKS_64 };

/*
 * Items on both sides of the smaller and of the larger end are dirty; then the size changes, and
 * changes back.
 */
static void truncate_between(uint64_t from, uint64_t to, int granularity)
{
    uint64_t small = MIN(from, to);
    Shadow s;

    shadow_init(&s, from, granularity);
    shadow_set(&s, 0, 1);
    shadow_set(&s, from - 1, 1);
    if (small > 0) {
        shadow_set(&s, small - 1, 1);
    }
    if (small < from) {
        shadow_set(&s, small, 1);
    }
    shadow_truncate(&s, to);
    if (to > 0) {
        g_assert_true(hbitmap_get(s.hb, 0));
    }
    shadow_truncate(&s, from);
    shadow_truncate(&s, to);
    if (to > 0) {
        shadow_set(&s, to - 1, 1);
        shadow_set(&s, 0, to);
    }
    shadow_truncate(&s, from);
    shadow_clear(&s);
}

static void nop(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(edges); i++) {
        truncate_between(edges[i], edges[i], 0);
        truncate_between(edges[i] + 1, edges[i] + 1, 3);
    }
}

/* Less than a granule, and within it: the number of bits stays. */
static void grow_negligible(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(edges); i++) {
        for (int granularity = 1; granularity < 5; granularity++) {
            truncate_between(edges[i] - 1, edges[i], granularity);
        }
    }
}

static void shrink_negligible(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(edges); i++) {
        for (int granularity = 1; granularity < 5; granularity++) {
            truncate_between(edges[i], edges[i] - 1, granularity);
        }
    }
}

/* One item, and into another granule. */
static void grow_tiny(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(edges); i++) {
        for (int granularity = 1; granularity < 5; granularity++) {
            truncate_between(edges[i] - (1 << granularity), edges[i] - (1 << granularity) + 1,
                             granularity);
        }
    }
}

static void shrink_tiny(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(edges); i++) {
        for (int granularity = 1; granularity < 5; granularity++) {
            truncate_between(edges[i] - (1 << granularity) + 1, edges[i] - (1 << granularity),
                             granularity);
        }
    }
}

/* A few bits, within a word of the lowest level. */
static void grow_small(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(edges); i++) {
        for (uint64_t by = 1; by < 8; by++) {
            truncate_between(edges[i] + 1, edges[i] + 1 + by, 0);
        }
    }
}

static void shrink_small(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(edges); i++) {
        for (uint64_t by = 1; by < 8; by++) {
            truncate_between(edges[i], edges[i] - by, 0);
        }
    }
}

/* A few bits, across the edge of a word and of whatever else ends there. */
static void grow_medium(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(edges); i++) {
        for (uint64_t by = 1; by < 8; by++) {
            truncate_between(edges[i] - 1, edges[i] - 1 + by, 0);
        }
    }
}

static void shrink_medium(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(edges); i++) {
        for (uint64_t by = 1; by < 8; by++) {
            truncate_between(edges[i] + 1, edges[i] + 1 - by, 0);
        }
    }
}

/* By words, by levels, by chunks. */
static void grow_large(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(edges); i++) {
        truncate_between(edges[i], edges[i] + 65, 0);
        for (size_t k = 0; k < i; k++) {
            truncate_between(edges[k], edges[i], 0);
            truncate_between(edges[k] + 1, edges[i] - 1, 1);
            truncate_between(edges[i], edges[i] + edges[k], 0);
        }
    }
}

static void shrink_large(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(edges); i++) {
        truncate_between(edges[i] + 65, edges[i], 0);
        truncate_between(edges[i], 1, 0);
        for (size_t k = 0; k < i; k++) {
            truncate_between(edges[i], edges[k], 0);
            truncate_between(edges[i] - 1, edges[k] + 1, 1);
            truncate_between(edges[i] + edges[k], edges[i], 0);
        }
    }
}

static void to_and_from_nothing(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(edges); i++) {
        for (int granularity = 0; granularity < 4; granularity++) {
            truncate_between(edges[i], 0, granularity);
        }
    }
}

/* All dirty, so that full chunks are cut in the middle. */
static void full_chunks(void)
{
    const uint64_t sizes[] = { 3 * CHUNK, 2 * CHUNK + 1, 2 * CHUNK, CHUNK + CHUNK / 2,
                               CHUNK + 3, CHUNK - 1,     7,         1 };
    Shadow s;

    shadow_init(&s, 4 * CHUNK, 0);
    shadow_set(&s, 0, 4 * CHUNK);
    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        shadow_truncate(&s, sizes[i]);
        g_assert_cmpuint(hbitmap_count(s.hb), ==, sizes[i]);
    }
    for (size_t i = G_N_ELEMENTS(sizes); i-- > 0;) {
        shadow_truncate(&s, sizes[i]);
        g_assert_cmpuint(hbitmap_count(s.hb), ==, 1);
    }
    shadow_clear(&s);
}

/* The number of items matters even where the number of bits stays: searches end at it. */
static void same_bits_other_size(void)
{
    Shadow s;

    shadow_init(&s, 10 * 16, 4);
    shadow_set(&s, 9 * 16, 16);
    for (uint64_t size = 10 * 16; size > 9 * 16; size--) {
        shadow_truncate(&s, size);
        g_assert_cmpint(hbitmap_next_dirty(s.hb, (int64_t)size, INT64_MAX), ==, -1);
    }
    shadow_clear(&s);
}

void add_hbitmap_truncate_tests(void)
{
    g_test_add_func("/hbitmap/truncate/nop", nop);
    g_test_add_func("/hbitmap/truncate/grow/negligible", grow_negligible);
    g_test_add_func("/hbitmap/truncate/shrink/negligible", shrink_negligible);
    g_test_add_func("/hbitmap/truncate/grow/tiny", grow_tiny);
    g_test_add_func("/hbitmap/truncate/shrink/tiny", shrink_tiny);
    g_test_add_func("/hbitmap/truncate/grow/small", grow_small);
    g_test_add_func("/hbitmap/truncate/shrink/small", shrink_small);
    g_test_add_func("/hbitmap/truncate/grow/medium", grow_medium);
    g_test_add_func("/hbitmap/truncate/shrink/medium", shrink_medium);
    g_test_add_func("/hbitmap/truncate/grow/large", grow_large);
    g_test_add_func("/hbitmap/truncate/shrink/large", shrink_large);
    g_test_add_func("/hbitmap/truncate/nothing", to_and_from_nothing);
    g_test_add_func("/hbitmap/truncate/full-chunks", full_chunks);
    g_test_add_func("/hbitmap/truncate/same-bits", same_bits_other_size);
}
