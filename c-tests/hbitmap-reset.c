/* SPDX-License-Identifier: GPL-2.0-or-later */
/* hbitmap_reset and hbitmap_reset_all. */
#include "hbitmap-tests.h"
#include "shadow.h"

static const uint64_t edges[] = { WIDTH_1, WIDTH_2, CHUNK, WIDTH_3, CHUNKS_64 };

static void reset_empty(void)
{
    Shadow s;

    for (size_t i = 0; i < G_N_ELEMENTS(edges); i++) {
        shadow_init(&s, edges[i], 0);
        shadow_reset(&s, 0, edges[i]);
        shadow_reset(&s, edges[i] - 1, 1);
        shadow_reset(&s, 0, 1);
        shadow_clear(&s);
    }
}

static void reset_general(void)
{
    Shadow s;

    for (size_t i = 1; i < G_N_ELEMENTS(edges); i++) {
        uint64_t wide = edges[i], step = edges[i - 1];

        shadow_init(&s, 2 * wide, 0);
        shadow_set(&s, 0, 2 * wide);
        shadow_reset(&s, step - 1, step + 2);   /* a tail, whole words, a head */
        shadow_reset(&s, step - 1, step + 2);   /* again: nothing there */
        shadow_reset(&s, wide - 1, 2);          /* two words, one bit each */
        shadow_set(&s, wide, 1);
        shadow_reset(&s, wide - step, 2 * step);
        shadow_set(&s, wide - 2, 5);
        shadow_reset(&s, wide, 1);
        shadow_reset(&s, wide, wide);
        shadow_set(&s, wide / 2, wide);
        shadow_reset(&s, wide / 2 + 1, wide - 2);
        shadow_reset(&s, wide / 2, 1);
        shadow_reset(&s, 0, 2 * wide - 1);
        shadow_reset(&s, 2 * wide - 1, 1);
        shadow_clear(&s);
    }
}

/* The upper levels must not forget a word in which something is left. */
static void reset_leaves_neighbours(void)
{
    Shadow s;

    for (size_t i = 0; i < G_N_ELEMENTS(edges); i++) {
        uint64_t size = 3 * edges[i];

        shadow_init(&s, size, 0);
        for (uint64_t left = 0; left < 3; left++) {
            shadow_set(&s, 0, size);
            if (left > 0) {
                shadow_reset(&s, 0, left * edges[i]);
            }
            shadow_reset(&s, left * edges[i] + 1, size - left * edges[i] - 1);
            g_assert_cmpuint(hbitmap_count(s.hb), ==, 1);
            g_assert_cmpint(hbitmap_next_dirty(s.hb, 0, INT64_MAX), ==, (int64_t)(left * edges[i]));
            shadow_reset(&s, left * edges[i], 1);
        }
        shadow_clear(&s);
    }
}

/* The end of the bitmap may be given as the end of the disk or as the end of its last granule. */
static void reset_tail(void)
{
    Shadow s;

    for (int granularity = 1; granularity <= 9; granularity++) {
        uint64_t granule = UINT64_C(1) << granularity;
        uint64_t size = 129 * granule + 1;

        shadow_init(&s, size, granularity);
        shadow_set(&s, 0, size);
        shadow_reset(&s, 129 * granule, 1);
        shadow_set(&s, size - 1, 1);
        shadow_reset(&s, 128 * granule, 2 * granule);
        shadow_set(&s, 0, size);
        shadow_reset(&s, 2 * granule, size - 2 * granule);
        shadow_clear(&s);
    }
}

static void reset_all(void)
{
    Shadow s;

    for (size_t i = 1; i < G_N_ELEMENTS(edges); i++) {
        uint64_t wide = edges[i], step = edges[i - 1];

        shadow_init(&s, 2 * wide + 1, 0);
        shadow_reset_all(&s);
        shadow_set(&s, step - 1, step + 2);
        shadow_reset_all(&s);
        shadow_set(&s, wide - 1, 3);
        shadow_reset_all(&s);
        shadow_set(&s, 0, 2 * wide + 1);
        shadow_reset_all(&s);
        shadow_set(&s, 2 * wide, 1);
        shadow_reset_all(&s);
        shadow_set(&s, step, wide);
        shadow_reset_all(&s);
        shadow_reset_all(&s);
        shadow_clear(&s);
    }
}

void add_hbitmap_reset_tests(void)
{
    g_test_add_func("/hbitmap/reset/empty", reset_empty);
    g_test_add_func("/hbitmap/reset/general", reset_general);
    g_test_add_func("/hbitmap/reset/leaves-neighbours", reset_leaves_neighbours);
    g_test_add_func("/hbitmap/reset/tail", reset_tail);
    g_test_add_func("/hbitmap/reset/all", reset_all);
}
