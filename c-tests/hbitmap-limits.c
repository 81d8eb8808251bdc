/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The largest sizes, the largest granularities, and ranges that end at the last item there is. */
#include "hbitmap-tests.h"
#include "shadow.h"

static void granularity_62(void)
{
    const uint64_t granule = UINT64_C(1) << 62;
    Shadow s;

    shadow_init(&s, INT64_MAX, 62);
    g_assert_cmpuint(s.bits, ==, 2);
    shadow_set(&s, granule, 1);
    g_assert_cmpuint(hbitmap_count(s.hb), ==, granule);
    g_assert_cmpint(hbitmap_next_dirty(s.hb, 0, INT64_MAX), ==, (int64_t)granule);
    shadow_set(&s, granule - 1, 1);
    g_assert_cmpuint(hbitmap_count(s.hb), ==, 2 * granule);
    shadow_reset(&s, 0, granule);
    shadow_set(&s, 0, INT64_MAX);
    shadow_reset(&s, granule, INT64_MAX - granule);
    shadow_truncate(&s, granule);
    shadow_truncate(&s, granule + 1);
    shadow_set(&s, granule, 1);
    shadow_truncate(&s, 0);
    shadow_clear(&s);
}

static void granularity_63(void)
{
    Shadow s;

    shadow_init(&s, INT64_MAX, 63);
    g_assert_cmpuint(s.bits, ==, 1);
    shadow_set(&s, INT64_MAX - 1, 1);
    g_assert_cmpuint(hbitmap_count(s.hb), ==, UINT64_C(1) << 63);
    g_assert_true(hbitmap_get(s.hb, 0));
    g_assert_cmpint(hbitmap_next_dirty(s.hb, 12345, INT64_MAX), ==, 12345);
    g_assert_cmpint(hbitmap_next_zero(s.hb, 0, INT64_MAX), ==, -1);
    shadow_reset(&s, 0, INT64_MAX);
    shadow_set(&s, 0, INT64_MAX);
    shadow_truncate(&s, 1);
    shadow_truncate(&s, 0);
    shadow_clear(&s);
}

/*
 * The largest size at each granularity that can have it: the bits above 2^41 are refused, see
 * test-abort.
 */
static void largest_size(void)
{
    Shadow s;

    for (int granularity = 40; granularity < 62; granularity++) {
        shadow_init(&s, INT64_MAX, granularity);
        shadow_set(&s, INT64_MAX - 1, 1);
        shadow_set(&s, 0, 1);
        shadow_set(&s, 0, INT64_MAX);
        shadow_reset(&s, 0, INT64_MAX);
        shadow_clear(&s);
    }
}

/*
 * More bits than one word of the level over 2^33 of them stands for, in 1.25 GiB. 2^41 bits, the
 * most that may be, need 256 GiB: test-memory shows that they are requested.
 */
#define MANY_BITS (UINT64_C(10) << 30)

static void many_bits(void)
{
    const uint64_t bits = MANY_BITS;
    const uint64_t items[] = {
        0, WIDTH_3 - 1, CHUNKS_64, UINT64_C(1) << 30, (UINT64_C(1) << 33) + 12345, bits - 1
    };
    HBitmap *hb;
    HBitmapIter iter;
    int64_t start, length, run;

    hb = hbitmap_alloc(bits, 0);
    g_assert_cmpint(hbitmap_next_dirty(hb, 0, INT64_MAX), ==, -1);
    g_assert_cmpint(hbitmap_next_zero(hb, (int64_t)bits - 1, 1), ==, (int64_t)bits - 1);
    for (size_t i = 0; i < G_N_ELEMENTS(items); i++) {
        hbitmap_set(hb, items[i], 1);
        g_assert_cmpuint(hbitmap_count(hb), ==, i + 1);
    }
    hbitmap_iter_init(&iter, hb, 0);
    for (size_t i = 0; i < G_N_ELEMENTS(items); i++) {
        g_assert_cmpint(hbitmap_iter_next(&iter), ==, (int64_t)items[i]);
        g_assert_true(hbitmap_get(hb, items[i]));
    }
    g_assert_cmpint(hbitmap_iter_next(&iter), ==, -1);
    g_assert_true(
        hbitmap_next_dirty_area(hb, 1 + (INT64_C(1) << 30), INT64_MAX, INT64_MAX, &start, &length));
    g_assert_cmpint(start, ==, (int64_t)items[4]);
    g_assert_cmpint(length, ==, 1);
    g_assert_false(hbitmap_status(hb, 1, (int64_t)bits - 1, &run));
    g_assert_cmpint(run, ==, (int64_t)WIDTH_3 - 2);

    for (size_t i = 0; i < G_N_ELEMENTS(items); i++) {
        hbitmap_reset(hb, items[i], 1);
    }
    g_assert_true(hbitmap_empty(hb));
    hbitmap_set(hb, bits - 1, 1);
    hbitmap_truncate(hb, bits - 1);
    g_assert_true(hbitmap_empty(hb));
    hbitmap_reset_all(hb);
    hbitmap_truncate(hb, bits);
    g_assert_cmpint(hbitmap_next_dirty(hb, 0, INT64_MAX), ==, -1);
    hbitmap_free(hb);
}

/* A large bitmap that is full, and what is left when pieces of it are reset. */
static void many_bits_full(void)
{
    const uint64_t bits = MANY_BITS;
    const uint64_t hole = (UINT64_C(1) << 33) + 5 * CHUNK + 3;
    HBitmap *hb;
    int64_t start, length, run;

    hb = hbitmap_alloc(bits, 0);
    hbitmap_set(hb, 0, bits);
    g_assert_cmpuint(hbitmap_count(hb), ==, bits);
    g_assert_cmpint(hbitmap_next_zero(hb, 0, INT64_MAX), ==, -1);
    g_assert_true(hbitmap_next_dirty_area(hb, 5, INT64_MAX, INT64_MAX, &start, &length));
    g_assert_cmpint(start, ==, 5);
    g_assert_cmpint(length, ==, (int64_t)bits - 5);
    g_assert_true(hbitmap_status(hb, 0, (int64_t)bits, &run));
    g_assert_cmpint(run, ==, (int64_t)bits);

    hbitmap_reset(hb, hole, 1);
    g_assert_cmpuint(hbitmap_count(hb), ==, bits - 1);
    g_assert_cmpint(hbitmap_next_zero(hb, 0, INT64_MAX), ==, (int64_t)hole);
    g_assert_cmpint(hbitmap_next_zero(hb, (int64_t)hole + 1, INT64_MAX), ==, -1);
    hbitmap_set(hb, hole, 1);
    g_assert_cmpint(hbitmap_next_zero(hb, 0, INT64_MAX), ==, -1);

    hbitmap_truncate(hb, hole);
    g_assert_cmpuint(hbitmap_count(hb), ==, hole);
    hbitmap_truncate(hb, bits);
    g_assert_cmpint(hbitmap_next_zero(hb, 0, INT64_MAX), ==, (int64_t)hole);
    hbitmap_reset_all(hb);
    g_assert_true(hbitmap_empty(hb));
    hbitmap_free(hb);
}

static void many_bits_merge(void)
{
    const uint64_t bits = MANY_BITS;
    HBitmap *a, *b, *coarse;

    a = hbitmap_alloc(bits, 0);
    b = hbitmap_alloc(bits, 0);
    coarse = hbitmap_alloc(bits, 16);
    hbitmap_set(a, 1, 1);
    hbitmap_set(b, bits - 2, 2);
    hbitmap_set(coarse, bits / 2, 1);
    check_merged(hbitmap_merge(a, b, a));
    g_assert_cmpuint(hbitmap_count(a), ==, 3);
    check_merged(hbitmap_merge(a, coarse, a));
    g_assert_cmpuint(hbitmap_count(a), ==, 3 + 65536);
    check_merged(hbitmap_merge(coarse, b, coarse));
    g_assert_cmpuint(hbitmap_count(coarse), ==, 2 * 65536);
    hbitmap_free(a);
    hbitmap_free(b);
    hbitmap_free(coarse);
}

void add_hbitmap_limit_tests(void)
{
    g_test_add_func("/hbitmap/limits/granularity-62", granularity_62);
    g_test_add_func("/hbitmap/limits/granularity-63", granularity_63);
    g_test_add_func("/hbitmap/limits/largest-size", largest_size);
    g_test_add_func("/hbitmap/limits/many-bits", many_bits);
    g_test_add_func("/hbitmap/limits/many-bits-full", many_bits_full);
    g_test_add_func("/hbitmap/limits/many-bits-merge", many_bits_merge);
}
