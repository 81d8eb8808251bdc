/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * HBitmapIter: where it starts, what it returns, and what it does when the bitmap changes under it.
 */
#include "hbitmap-tests.h"
#include "shadow.h"

static const uint64_t edges[] = { WIDTH_1, WIDTH_2, CHUNK, WIDTH_3, CHUNKS_64 };

static void iter_empty(void)
{
    Shadow s;

    for (size_t i = 0; i < G_N_ELEMENTS(edges); i++) {
        shadow_init(&s, edges[i], 0);
        shadow_check_iter(&s, 0);
        shadow_check_iter(&s, edges[i] / 2);
        shadow_check_iter(&s, edges[i] - 1);
        shadow_clear(&s);
    }
}

static void iter_partial(void)
{
    Shadow s;

    for (size_t i = 0; i < G_N_ELEMENTS(edges); i++) {
        uint64_t size = 2 * edges[i] + 3;

        shadow_init(&s, size, 0);
        shadow_set(&s, 0, size);
        for (size_t k = 0; k <= i; k++) {
            for (uint64_t at = edges[k]; at <= 2 * edges[k]; at += edges[k]) {
                shadow_check_iter(&s, at - 1);
                shadow_check_iter(&s, at);
                shadow_check_iter(&s, at + 1);
            }
        }
        shadow_check_iter(&s, size - 1);
        shadow_clear(&s);
    }
}

static void iter_granularity(void)
{
    for (int granularity = 1; granularity <= 16; granularity++) {
        uint64_t granule = UINT64_C(1) << granularity;
        uint64_t size = 3 * CHUNK * granule;
        uint64_t far = WIDTH_2 + WIDTH_1 + 1;
        HBitmapIter iter;
        HBitmap *hb = hbitmap_alloc(size, granularity);

        hbitmap_iter_init(&iter, hb, 0);
        g_assert_cmpint(hbitmap_iter_next(&iter), ==, -1);
        g_assert_cmpint(hbitmap_iter_next(&iter), ==, -1);

        /*
         * The item that is returned is the first one of the granule, also when that lies before the
         * start.
         */
        hbitmap_set(hb, far * granule + granule / 2, 1);
        hbitmap_set(hb, size - 1, 1);
        hbitmap_iter_init(&iter, hb, 0);
        g_assert_cmpint(hbitmap_iter_next(&iter), ==, (int64_t)(far * granule));
        g_assert_cmpint(hbitmap_iter_next(&iter), ==, (int64_t)(size - granule));
        g_assert_cmpint(hbitmap_iter_next(&iter), ==, -1);

        hbitmap_iter_init(&iter, hb, far * granule + granule - 1);
        g_assert_cmpint(hbitmap_iter_next(&iter), ==, (int64_t)(far * granule));
        hbitmap_iter_init(&iter, hb, (far + 1) * granule);
        g_assert_cmpint(hbitmap_iter_next(&iter), ==, (int64_t)(size - granule));
        hbitmap_free(hb);
    }
}

/* Bits that are gone when the iterator gets there are not returned. */
static void iter_and_reset(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(edges); i++) {
        uint64_t size = 2 * edges[i];
        HBitmap *hb = hbitmap_alloc(size, 0);
        HBitmapIter iter;

        hbitmap_set(hb, 0, size);
        hbitmap_iter_init(&iter, hb, edges[i] - 1);
        g_assert_cmpint(hbitmap_iter_next(&iter), ==, (int64_t)edges[i] - 1);
        hbitmap_reset_all(hb);
        g_assert_cmpint(hbitmap_iter_next(&iter), ==, -1);
        g_assert_cmpint(hbitmap_iter_next(&iter), ==, -1);

        hbitmap_set(hb, 0, size);
        hbitmap_iter_init(&iter, hb, 0);
        for (uint64_t item = 0; item < 5; item++) {
            g_assert_cmpint(hbitmap_iter_next(&iter), ==, (int64_t)item);
        }
        hbitmap_reset(hb, 5, size - 6);
        g_assert_cmpint(hbitmap_iter_next(&iter), ==, (int64_t)size - 1);
        g_assert_cmpint(hbitmap_iter_next(&iter), ==, -1);
        hbitmap_free(hb);
    }
}

/* As mirror does it: each item is reset as soon as the iterator returned it. */
static void iter_reset_before(void)
{
    uint64_t size = CHUNKS_64 + 77;
    HBitmap *hb = hbitmap_alloc(size, 0);
    HBitmapIter iter;
    int64_t item;
    uint64_t expected = 0;

    hbitmap_set(hb, 0, size);
    hbitmap_iter_init(&iter, hb, 0);
    while ((item = hbitmap_iter_next(&iter)) >= 0) {
        g_assert_cmpint(item, ==, (int64_t)expected);
        hbitmap_reset(hb, (uint64_t)item, 1);
        expected++;
    }
    g_assert_cmpuint(expected, ==, size);
    g_assert_true(hbitmap_empty(hb));
    hbitmap_free(hb);
}

/*
 * Bits come and go at random under an iterator. What must hold: the items go up, each is set when
 * it is returned, and a bit that was set from the start to the end and never touched is not missed.
 */
static void iter_random_changes(void)
{
    const uint64_t size = CHUNK + WIDTH_2 + 9;

    for (int round = 0; round < 20; round++) {
        Shadow steady;
        HBitmap *hb;
        HBitmapIter iter;
        int64_t item, previous = -1;

        shadow_init(&steady, size, 0);
        for (int n = 0; n < 400; n++) {
            uint64_t at = random_below(size);

            hbitmap_set(steady.hb, at, 1);
            shadow_note_set(&steady, at, 1);
        }
        hb = shadow_duplicate(&steady);
        hbitmap_iter_init(&iter, hb, 0);
        while ((item = hbitmap_iter_next(&iter)) >= 0) {
            uint64_t next_steady = shadow_find(&steady, (uint64_t)(previous + 1), true);
            uint64_t other = random_below(size);

            g_assert_cmpint(item, >, previous);
            g_assert_cmpint(item, <=, (int64_t)next_steady);
            g_assert_true(hbitmap_get(hb, (uint64_t)item));
            if (!shadow_bit(&steady, other)) {
                if (g_test_rand_bit()) {
                    hbitmap_set(hb, other, 1);
                } else {
                    hbitmap_reset(hb, other, 1);
                }
            }
            previous = item;
        }
        g_assert_cmpuint(shadow_find(&steady, (uint64_t)(previous + 1), true), ==, size);
        hbitmap_free(hb);
        shadow_clear(&steady);
    }
}

/* Whole chunks filled, emptied and filled again under an iterator: words come and go. */
static void iter_chunks_change(void)
{
    uint64_t size = 4 * CHUNK;
    HBitmap *hb = hbitmap_alloc(size, 0);
    HBitmapIter iter;

    hbitmap_set(hb, 0, 2 * CHUNK);
    hbitmap_set(hb, 3 * CHUNK + 5, 1);
    hbitmap_iter_init(&iter, hb, CHUNK - 1);
    g_assert_cmpint(hbitmap_iter_next(&iter), ==, (int64_t)CHUNK - 1);
    hbitmap_reset(hb, CHUNK, CHUNK);
    g_assert_cmpint(hbitmap_iter_next(&iter), ==, (int64_t)(3 * CHUNK + 5));
    g_assert_cmpint(hbitmap_iter_next(&iter), ==, -1);

    hbitmap_set(hb, 0, size);
    hbitmap_iter_init(&iter, hb, 2 * CHUNK - 2);
    g_assert_cmpint(hbitmap_iter_next(&iter), ==, (int64_t)(2 * CHUNK - 2));
    hbitmap_reset(hb, 2 * CHUNK, 1);
    g_assert_cmpint(hbitmap_iter_next(&iter), ==, (int64_t)(2 * CHUNK - 1));
    g_assert_cmpint(hbitmap_iter_next(&iter), ==, (int64_t)(2 * CHUNK + 1));
    hbitmap_free(hb);
}

/*
 * An iterator survives a truncate in both directions, and never returns an item past the new end.
 */
static void iter_and_truncate(void)
{
    const uint64_t sizes[] = { 0,         1,       WIDTH_1,     WIDTH_2 - 1,      CHUNK,
                               CHUNK + 1, WIDTH_3, CHUNKS_64, CHUNKS_64 + 100 };

    if (skipped_on_qemu(DIFF_UNDEFINED_IN_C)) {
        return;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        for (size_t k = 0; k < G_N_ELEMENTS(sizes); k++) {
            HBitmap *hb = hbitmap_alloc(CHUNKS_64 + 100, 0);
            HBitmapIter iter;
            int64_t item, previous;

            hbitmap_set(hb, 0, CHUNKS_64 + 100);
            hbitmap_iter_init(&iter, hb, WIDTH_2 + 5);
            previous = hbitmap_iter_next(&iter);
            g_assert_cmpint(previous, ==, (int64_t)WIDTH_2 + 5);
            hbitmap_truncate(hb, sizes[i]);
            item = hbitmap_iter_next(&iter);
            g_assert_cmpint(item, <, (int64_t)sizes[i]);
            hbitmap_truncate(hb, sizes[k]);
            for (int n = 0; n < 200 && (item = hbitmap_iter_next(&iter)) >= 0; n++) {
                g_assert_cmpint(item, <, (int64_t)sizes[k]);
                g_assert_cmpint(item, >, previous);
                g_assert_true(hbitmap_get(hb, (uint64_t)item));
                previous = item;
            }
            hbitmap_free(hb);
        }
    }
}

/* An iterator is a plain value: a copy goes on by itself. */
static void iter_copy(void)
{
    HBitmap *hb = hbitmap_alloc(CHUNK, 0);
    HBitmapIter one, two;

    hbitmap_set(hb, 10, 3);
    hbitmap_set(hb, WIDTH_2 * 2, 2);
    hbitmap_iter_init(&one, hb, 0);
    g_assert_cmpint(hbitmap_iter_next(&one), ==, 10);
    two = one;
    g_assert_cmpint(hbitmap_iter_next(&one), ==, 11);
    g_assert_cmpint(hbitmap_iter_next(&one), ==, 12);
    g_assert_cmpint(hbitmap_iter_next(&one), ==, (int64_t)WIDTH_2 * 2);
    g_assert_cmpint(hbitmap_iter_next(&two), ==, 11);
    hbitmap_free(hb);
}

static void iter_layout(void)
{
    g_assert_cmpuint(sizeof(HBitmapIter), ==, 80);
    g_assert_cmpuint(_Alignof(HBitmapIter), ==, 8);
}

void add_hbitmap_iter_tests(void)
{
    g_test_add_func("/hbitmap/iter/empty", iter_empty);
    g_test_add_func("/hbitmap/iter/partial", iter_partial);
    g_test_add_func("/hbitmap/iter/granularity", iter_granularity);
    g_test_add_func("/hbitmap/iter/iter_and_reset", iter_and_reset);
    g_test_add_func("/hbitmap/iter/reset-before", iter_reset_before);
    g_test_add_func("/hbitmap/iter/random-changes", iter_random_changes);
    g_test_add_func("/hbitmap/iter/chunks-change", iter_chunks_change);
    g_test_add_func("/hbitmap/iter/truncate", iter_and_truncate);
    g_test_add_func("/hbitmap/iter/copy", iter_copy);
    g_test_add_func("/hbitmap/iter/layout", iter_layout);
}
