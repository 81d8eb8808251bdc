/* SPDX-License-Identifier: GPL-2.0-or-later */
/* hbitmap_next_dirty, hbitmap_next_zero, hbitmap_next_dirty_area and hbitmap_status. */
#include "hbitmap-tests.h"
#include "shadow.h"

static const uint64_t edges[] = { WIDTH_1, WIDTH_2, CHUNK, WIDTH_3, CHUNKS_64 };

/* Searches that begin and end at most a few items around @at, and one to the end of the bitmap. */
static void search_around(const Shadow *s, uint64_t at)
{
    static const int64_t counts[] = { 0,  1,  2,  3,   5,    7,    62,       63,
                                      64, 65, 66, 130, 4095, 4097, INT64_MAX };

    for (int64_t start = (int64_t)at - 3; start <= (int64_t)at + 3; start++) {
        if (start < 0 || start >= (int64_t)s->size) {
            continue;
        }
        for (size_t i = 0; i < G_N_ELEMENTS(counts); i++) {
            shadow_check_search(s, start, counts[i]);
        }
    }
}

/*
 * A pattern with one dirty granule, a run across words, and a long run to the end; searched from
 * around each change.
 */
static void search_pattern(int granularity)
{
    for (size_t i = 1; i < G_N_ELEMENTS(edges); i++) {
        uint64_t wide = edges[i], step = edges[i - 1];
        Shadow s;

        shadow_init(&s, 3 * wide, granularity);
        search_around(&s, 0);
        search_around(&s, s.size - 1);

        shadow_set(&s, wide, 1);
        search_around(&s, 0);
        search_around(&s, wide);
        search_around(&s, wide - step);
        search_around(&s, wide + (UINT64_C(1) << granularity));

        shadow_set(&s, wide + step + 5, step);
        search_around(&s, wide + step + 5);
        search_around(&s, wide + step + step / 2);
        search_around(&s, wide + 2 * step + 5);

        shadow_set(&s, 2 * wide, wide);
        search_around(&s, 2 * wide - step);
        search_around(&s, 2 * wide);
        search_around(&s, 2 * wide + step);
        search_around(&s, s.size - 1);

        shadow_set(&s, 0, s.size);
        search_around(&s, 0);
        search_around(&s, wide);
        search_around(&s, s.size - 1);
        shadow_clear(&s);
    }
}

static void next_x_0(void)
{
    search_pattern(0);
}

static void next_x_4(void)
{
    search_pattern(4);
}

static void next_x_after_truncate(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(edges); i++) {
        Shadow s;

        shadow_init(&s, edges[i], 0);
        shadow_truncate(&s, 2 * edges[i]);
        shadow_set(&s, 0, edges[i]);
        search_around(&s, 0);
        search_around(&s, edges[i]);
        shadow_truncate(&s, edges[i]);
        search_around(&s, edges[i] - 1);
        g_assert_cmpint(hbitmap_next_zero(s.hb, 0, INT64_MAX), ==, -1);
        shadow_clear(&s);
    }
}

/* Clean items after the last dirty one do not count when they lie past the end. */
static void next_zero_unaligned_end(void)
{
    for (uint64_t size = 1; size < 200; size++) {
        Shadow s;

        shadow_init(&s, size, 0);
        shadow_set(&s, 0, size);
        for (uint64_t start = 0; start < size; start++) {
            g_assert_cmpint(hbitmap_next_zero(s.hb, (int64_t)start, INT64_MAX), ==, -1);
            g_assert_cmpint(hbitmap_next_zero(s.hb, (int64_t)start, 1), ==, -1);
        }
        shadow_clear(&s);
    }
}

static void past_the_end(void)
{
    const uint64_t sizes[] = { 0, 1, 64, WIDTH_2 - 3, CHUNK, CHUNKS_64 + 1 };
    int64_t found = -5, length = -6;

    if (skipped_on_qemu(DIFF_NEXT_ZERO_PAST_END)) {
        return;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        for (int granularity = 0; granularity < 64; granularity += 21) {
            HBitmap *hb = hbitmap_alloc(sizes[i], granularity);
            const int64_t starts[] = { (int64_t)sizes[i], (int64_t)sizes[i] + 1, (int64_t)1 << 40,
                                       INT64_MAX };

            for (size_t k = 0; k < G_N_ELEMENTS(starts); k++) {
                g_assert_cmpint(hbitmap_next_zero(hb, starts[k], INT64_MAX), ==, -1);
                g_assert_cmpint(hbitmap_next_zero(hb, starts[k], 1), ==, -1);
                g_assert_cmpint(hbitmap_next_dirty(hb, starts[k], INT64_MAX), ==, -1);
                g_assert_cmpint(hbitmap_next_dirty(hb, starts[k], 1), ==, -1);
                g_assert_false(
                    hbitmap_next_dirty_area(hb, starts[k], INT64_MAX, INT64_MAX, &found, &length));
            }
            hbitmap_free(hb);
        }
    }
    g_assert_cmpint(found, ==, -5);
    g_assert_cmpint(length, ==, -6);
}

static void areas_around(const Shadow *s, uint64_t at)
{
    static const int64_t lengths[] = { 0, 1, 2, 3, 6, 63, 64, 65, 4097, INT64_MAX };
    static const int64_t maxima[] = { 1, 2, 3, 5, 64, 100, 32769, INT64_MAX };

    for (int64_t start = (int64_t)at - 2; start <= (int64_t)at + 2; start++) {
        if (start < 0) {
            continue;
        }
        for (size_t i = 0; i < G_N_ELEMENTS(lengths); i++) {
            int64_t end = lengths[i] == INT64_MAX ? INT64_MAX : start + lengths[i];

            for (size_t k = 0; k < G_N_ELEMENTS(maxima); k++) {
                shadow_check_area(s, start, end, maxima[k]);
            }
            /* An end before the start is an empty range. */
            shadow_check_area(s, start, MAX(start - lengths[i], 0), 10);
        }
    }
}

static void areas_pattern(int granularity)
{
    for (size_t i = 1; i < G_N_ELEMENTS(edges); i++) {
        uint64_t wide = edges[i], step = edges[i - 1];
        Shadow s;

        shadow_init(&s, 3 * wide - 1, granularity);
        areas_around(&s, 0);
        areas_around(&s, s.size);

        shadow_set(&s, wide, 1);
        areas_around(&s, 0);
        areas_around(&s, wide);

        shadow_set(&s, wide + 5, step);
        areas_around(&s, wide);
        areas_around(&s, wide + 5);
        areas_around(&s, wide + 5 + step);

        shadow_set(&s, 2 * wide, wide - 1);
        areas_around(&s, 2 * wide - step);
        areas_around(&s, 2 * wide);
        areas_around(&s, s.size);

        shadow_set(&s, 0, s.size);
        areas_around(&s, 0);
        areas_around(&s, wide);
        areas_around(&s, s.size);
        shadow_clear(&s);
    }
}

static void area_0(void)
{
    areas_pattern(0);
}

static void area_1(void)
{
    areas_pattern(1);
}

static void area_4(void)
{
    areas_pattern(4);
}

static void area_after_truncate(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(edges); i++) {
        Shadow s;

        shadow_init(&s, edges[i], 0);
        shadow_truncate(&s, 2 * edges[i]);
        shadow_set(&s, edges[i] + 1, 1);
        areas_around(&s, 0);
        areas_around(&s, edges[i] + 1);
        shadow_set(&s, edges[i] - 1, 5);
        shadow_truncate(&s, edges[i] + 2);
        areas_around(&s, edges[i]);
        shadow_clear(&s);
    }
}

/*
 * hbitmap_status over dirty and clean runs that end before, at and after the end of the question.
 */
static void status(void)
{
    int64_t run;
    HBitmap *hb = hbitmap_alloc(CHUNKS_64, 0);

    g_assert_false(hbitmap_status(hb, 0, (int64_t)CHUNKS_64, &run));
    g_assert_cmpint(run, ==, (int64_t)CHUNKS_64);

    hbitmap_set(hb, 100, 50);
    g_assert_false(hbitmap_status(hb, 0, 1, &run));
    g_assert_cmpint(run, ==, 1);
    g_assert_false(hbitmap_status(hb, 0, 100, &run));
    g_assert_cmpint(run, ==, 100);
    g_assert_false(hbitmap_status(hb, 0, 101, &run));
    g_assert_cmpint(run, ==, 100);
    /* A dirty run that ends early is dirty all the same: QEMU 7.2 had that wrong. */
    g_assert_true(hbitmap_status(hb, 100, 51, &run));
    g_assert_cmpint(run, ==, 50);
    g_assert_true(hbitmap_status(hb, 100, 50, &run));
    g_assert_cmpint(run, ==, 50);
    g_assert_true(hbitmap_status(hb, 149, 1, &run));
    g_assert_cmpint(run, ==, 1);
    g_assert_false(hbitmap_status(hb, 150, (int64_t)CHUNKS_64 - 150, &run));
    g_assert_cmpint(run, ==, (int64_t)CHUNKS_64 - 150);

    hbitmap_set(hb, 0, CHUNKS_64);
    g_assert_true(hbitmap_status(hb, 3, (int64_t)CHUNKS_64 - 3, &run));
    g_assert_cmpint(run, ==, (int64_t)CHUNKS_64 - 3);
    hbitmap_reset(hb, CHUNKS_64 - 1, 1);
    g_assert_true(hbitmap_status(hb, 3, (int64_t)CHUNKS_64 - 3, &run));
    g_assert_cmpint(run, ==, (int64_t)CHUNKS_64 - 4);
    hbitmap_free(hb);
}

static void status_granularity(void)
{
    HBitmap *hb = hbitmap_alloc(1000, 5);
    int64_t run;

    hbitmap_set(hb, 70, 1);
    g_assert_false(hbitmap_status(hb, 10, 990, &run));
    g_assert_cmpint(run, ==, 54);
    g_assert_true(hbitmap_status(hb, 65, 935, &run));
    g_assert_cmpint(run, ==, 31);
    g_assert_true(hbitmap_status(hb, 65, 2, &run));
    g_assert_cmpint(run, ==, 2);
    hbitmap_set(hb, 999, 1);
    g_assert_true(hbitmap_status(hb, 992, 8, &run));
    g_assert_cmpint(run, ==, 8);
    hbitmap_free(hb);
}

/* All dirty, bit by bit, and so large that the range ends past 2^63. */
static void next_zero_largest(void)
{
    for (int granularity = 50; granularity < 64; granularity++) {
        HBitmap *hb = hbitmap_alloc(INT64_MAX, granularity);

        for (uint64_t bit = 0; bit <= (uint64_t)INT64_MAX >> granularity; bit++) {
            hbitmap_set(hb, bit << granularity, 1);
        }
        g_assert_cmpint(hbitmap_next_zero(hb, 0, INT64_MAX), ==, -1);
        g_assert_cmpint(hbitmap_next_zero(hb, INT64_MAX / 2 + 1, INT64_MAX), ==, -1);
        hbitmap_free(hb);
    }
}

void add_hbitmap_search_tests(void)
{
    g_test_add_func("/hbitmap/next_zero/next_x_0", next_x_0);
    g_test_add_func("/hbitmap/next_zero/next_x_4", next_x_4);
    g_test_add_func("/hbitmap/next_zero/next_x_after_truncate", next_x_after_truncate);
    g_test_add_func("/hbitmap/next_zero/unaligned-end", next_zero_unaligned_end);
    g_test_add_func("/hbitmap/next_zero/past-the-end", past_the_end);
    g_test_add_func("/hbitmap/next_zero/largest", next_zero_largest);
    g_test_add_func("/hbitmap/next_dirty_area/next_dirty_area_0", area_0);
    g_test_add_func("/hbitmap/next_dirty_area/next_dirty_area_1", area_1);
    g_test_add_func("/hbitmap/next_dirty_area/next_dirty_area_4", area_4);
    g_test_add_func("/hbitmap/next_dirty_area/next_dirty_area_after_truncate", area_after_truncate);
    g_test_add_func("/hbitmap/status/runs", status);
    g_test_add_func("/hbitmap/status/granularity", status_granularity);
}
