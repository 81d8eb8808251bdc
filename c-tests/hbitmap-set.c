/* SPDX-License-Identifier: GPL-2.0-or-later */
/* hbitmap_set, hbitmap_get, hbitmap_count and hbitmap_empty. */
#include "hbitmap-tests.h"
#include "shadow.h"

/* Where a word ends at one of QEMU's levels, and where a chunk ends here. */
static const uint64_t edges[] = { WIDTH_1, WIDTH_2, CHUNK, WIDTH_3, CHUNKS_64 };

static void size_0(void)
{
    Shadow s;

    for (int granularity = 0; granularity < 64; granularity++) {
        shadow_init(&s, 0, granularity);
        hbitmap_set(s.hb, 0, 0);
        hbitmap_reset(s.hb, 0, 0);
        shadow_check(&s);
        shadow_reset_all(&s);
        g_assert_cmpint(hbitmap_next_dirty(s.hb, 0, INT64_MAX), ==, -1);
        g_assert_cmpint(hbitmap_next_dirty(s.hb, INT64_MAX, INT64_MAX), ==, -1);
        g_assert_cmpint(hbitmap_next_zero(s.hb, 0, INT64_MAX), ==, -1);
        shadow_clear(&s);
    }
}

static void size_1(void)
{
    Shadow s;

    for (int granularity = 0; granularity < 64; granularity++) {
        shadow_init(&s, 1, granularity);
        shadow_set(&s, 0, 1);
        g_assert_cmpuint(hbitmap_count(s.hb), ==, UINT64_C(1) << granularity);
        shadow_set(&s, 0, 1);
        shadow_reset(&s, 0, 1);
        shadow_reset(&s, 0, 1);
        shadow_set(&s, 0, 1);
        shadow_reset_all(&s);
        shadow_clear(&s);
    }
}

/* Sizes that end 23 items after an edge: the last word of each level is partly used. */
static void size_unaligned(void)
{
    Shadow s;

    for (size_t i = 0; i < G_N_ELEMENTS(edges); i++) {
        uint64_t size = edges[i] + 23;

        shadow_init(&s, size, 0);
        shadow_set(&s, size - 1, 1);
        shadow_set(&s, 0, 1);
        shadow_set(&s, edges[i] - 1, 1);
        shadow_set(&s, edges[i], 1);
        shadow_set(&s, 0, size);
        shadow_clear(&s);
    }
}

static void get_all(void)
{
    Shadow s;

    for (size_t i = 0; i < G_N_ELEMENTS(edges); i++) {
        shadow_init(&s, edges[i], 0);
        shadow_check_get(&s);
        shadow_set(&s, 0, edges[i]);
        shadow_check_get(&s);
        shadow_clear(&s);
    }
}

static void get_some(void)
{
    Shadow s;

    for (size_t i = 0; i < G_N_ELEMENTS(edges) - 1; i++) {
        const uint64_t items[] = { 17, edges[i] - 1, edges[i], edges[i] + 1, 2 * edges[i] - 1 };

        shadow_init(&s, 2 * edges[i], 0);
        for (size_t k = 0; k < G_N_ELEMENTS(items); k++) {
            shadow_set(&s, items[k], 1);
            shadow_check_get(&s);
        }
        shadow_clear(&s);
    }
}

/* A set and a get anywhere in a granule mean the whole granule. */
static void get_granularity(void)
{
    Shadow s;

    for (int granularity = 1; granularity <= 8; granularity++) {
        uint64_t granule = UINT64_C(1) << granularity;

        shadow_init(&s, 300 * granule - 1, granularity);
        shadow_set(&s, 5 * granule + granule / 2, 1);
        shadow_set(&s, 64 * granule - 1, 2);
        shadow_set(&s, 300 * granule - 2, 1);
        shadow_check_get(&s);
        /* The rest of the last granule lies past the end, and can be asked for all the same. */
        g_assert_true(hbitmap_get(s.hb, 300 * granule - 1));
        shadow_clear(&s);
    }
}

static void set_all(void)
{
    Shadow s;

    for (size_t i = 0; i < G_N_ELEMENTS(edges); i++) {
        for (uint64_t size = edges[i] - 1; size <= edges[i] + 1; size++) {
            shadow_init(&s, size, 0);
            shadow_set(&s, 0, size);
            g_assert_cmpuint(hbitmap_count(s.hb), ==, size);
            shadow_clear(&s);
        }
    }
}

static void set_one(void)
{
    Shadow s;

    for (size_t i = 0; i < G_N_ELEMENTS(edges); i++) {
        shadow_init(&s, 2 * edges[i], 0);
        shadow_set(&s, 11, 1);
        for (size_t k = 0; k <= i; k++) {
            shadow_set(&s, edges[k] - 1, 1);
            shadow_set(&s, edges[k], 1);
            shadow_set(&s, 2 * edges[k] - 1, 1);
        }
        shadow_clear(&s);
    }
}

/* Ranges that touch two words, at the edge of each level and of each of the chunks before it. */
static void set_two_elem(void)
{
    Shadow s;

    for (size_t i = 0; i < G_N_ELEMENTS(edges); i++) {
        for (uint64_t length = 2; length <= 66; length += 16) {
            shadow_init(&s, 2 * edges[i], 0);
            shadow_set(&s, edges[i] - 1, MIN(length, edges[i]));
            shadow_set(&s, 2 * edges[i] - MIN(length, edges[i]), MIN(length, edges[i]));
            shadow_set(&s, edges[i] - MIN(length, edges[i]) + 1, MIN(length, edges[i]));
            shadow_clear(&s);
        }
    }
}

/*
 * Ranges of every kind: inside a word, to and from a boundary, over whole words, over whole chunks.
 */
static void set_general(void)
{
    Shadow s;

    for (size_t i = 1; i < G_N_ELEMENTS(edges); i++) {
        uint64_t wide = edges[i], step = edges[i - 1];

        shadow_init(&s, 3 * wide, 0);
        shadow_set(&s, step - 1, step + 2);
        shadow_set(&s, wide - step - 1, 3);
        shadow_set(&s, wide - 1, step + 2);
        shadow_set(&s, wide + step + 5, 2 * step - 5);
        shadow_set(&s, 2 * wide - step, 2 * step);
        shadow_set(&s, wide - 2, wide + 4);
        shadow_set(&s, 2 * wide - 1, wide + 1);
        shadow_clear(&s);
    }
}

static void set_twice(void)
{
    Shadow s;

    for (size_t i = 0; i < G_N_ELEMENTS(edges); i++) {
        shadow_init(&s, 3 * edges[i], 0);
        shadow_set(&s, 0, 3 * edges[i]);
        shadow_set(&s, edges[i], 1);
        shadow_set(&s, edges[i] - 1, edges[i] + 2);
        shadow_set(&s, 0, 3 * edges[i]);
        shadow_clear(&s);
    }
}

static void set_overlap(void)
{
    Shadow s;

    for (size_t i = 1; i < G_N_ELEMENTS(edges); i++) {
        uint64_t wide = edges[i], step = edges[i - 1];

        shadow_init(&s, 2 * wide, 0);
        shadow_set(&s, step - 1, 2 * step + 2);
        shadow_set(&s, 2 * step - 3, 3 * step);
        shadow_set(&s, 0, 3 * step);
        shadow_set(&s, 7 * step - 1, MIN(wide, 2 * wide - 7 * step));
        shadow_set(&s, wide - step - 1, step + 2);
        shadow_set(&s, wide - 1, step);
        shadow_set(&s, 3, 2 * wide - 4);
        shadow_clear(&s);
    }
}

/* A write that touches a granule in any way makes it dirty, and adds all of it to the count. */
static void granularity(void)
{
    Shadow s;

    for (int shift = 1; shift <= 16; shift++) {
        uint64_t granule = UINT64_C(1) << shift;

        shadow_init(&s, 200 * granule, shift);
        shadow_set(&s, 1, 1);
        g_assert_cmpuint(hbitmap_count(s.hb), ==, granule);
        shadow_set(&s, granule - 1, 2);
        g_assert_cmpuint(hbitmap_count(s.hb), ==, 2 * granule);
        shadow_set(&s, 0, 2 * granule);
        g_assert_cmpuint(hbitmap_count(s.hb), ==, 2 * granule);
        shadow_reset(&s, 0, granule);
        g_assert_cmpuint(hbitmap_count(s.hb), ==, granule);
        shadow_set(&s, 62 * granule + 1, 2 * granule);
        g_assert_cmpuint(hbitmap_count(s.hb), ==, 4 * granule);
        shadow_clear(&s);
    }
}

static void empty(void)
{
    HBitmap *hb = hbitmap_alloc(CHUNKS_64 + 5, 0);

    g_assert_true(hbitmap_empty(hb));
    hbitmap_set(hb, CHUNKS_64 + 4, 1);
    g_assert_false(hbitmap_empty(hb));
    hbitmap_reset(hb, CHUNKS_64 + 4, 1);
    g_assert_true(hbitmap_empty(hb));
    hbitmap_set(hb, 0, CHUNKS_64 + 5);
    g_assert_false(hbitmap_empty(hb));
    hbitmap_reset(hb, 0, CHUNKS_64 + 4);
    g_assert_false(hbitmap_empty(hb));
    hbitmap_reset_all(hb);
    g_assert_true(hbitmap_empty(hb));
    hbitmap_set(hb, CHUNKS_64, 1);
    hbitmap_truncate(hb, CHUNKS_64);
    g_assert_true(hbitmap_empty(hb));
    hbitmap_free(hb);
}

void add_hbitmap_set_tests(void)
{
    g_test_add_func("/hbitmap/size/0", size_0);
    g_test_add_func("/hbitmap/size/1", size_1);
    g_test_add_func("/hbitmap/size/unaligned", size_unaligned);
    g_test_add_func("/hbitmap/get/all", get_all);
    g_test_add_func("/hbitmap/get/some", get_some);
    g_test_add_func("/hbitmap/get/granularity", get_granularity);
    g_test_add_func("/hbitmap/set/all", set_all);
    g_test_add_func("/hbitmap/set/one", set_one);
    g_test_add_func("/hbitmap/set/two-elem", set_two_elem);
    g_test_add_func("/hbitmap/set/general", set_general);
    g_test_add_func("/hbitmap/set/twice", set_twice);
    g_test_add_func("/hbitmap/set/overlap", set_overlap);
    g_test_add_func("/hbitmap/granularity", granularity);
    g_test_add_func("/hbitmap/empty", empty);
}
