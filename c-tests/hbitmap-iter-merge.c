/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * HBitmapIter across a merge that adds no bit. The set of bits stays as it is, so the iterator
 * returns all that it has not returned yet; how the chunks are stored may change meanwhile, and
 * that depends on how the source was made.
 */
#include "hbitmap-tests.h"
#include "shadow.h"

#define SIZE (4 * CHUNK)
#define FIRST_BITS 3

/* Bits of a chunk at which some way to store it may begin or end. */
static const unsigned densities[] = { 1, 4, 5, 6, 7, 8, 9, 12, 32, 33, 64, 65, 300 };

/* In chunk 0, where the iterator is when the merge comes. */
static const uint64_t first_bits[FIRST_BITS] = { 10, 100, 200 };

/* The bit @i of @n that chunk 1 has. */
static uint64_t bit_of(unsigned n, unsigned i)
{
    return CHUNK + 5 + i * (CHUNK / (n + 1));
}

typedef enum Origin {
    ORIGIN_SINGLE_SETS,
    ORIGIN_CROWD_RESET, /* 200 bits more, one by one, then ranges reset until the @n are left */
    ORIGIN_FULL_RESET,  /* the whole chunk, then ranges reset */
    ORIGIN_MERGED,      /* the union of two of the former */
    ORIGIN_LOADED,      /* deserialised */
    ORIGINS,
} Origin;

static void reset_gaps(HBitmap *hb, unsigned n)
{
    uint64_t start = CHUNK;

    for (unsigned i = 0; i < n; i++) {
        hbitmap_reset(hb, start, bit_of(n, i) - start);
        start = bit_of(n, i) + 1;
    }
    hbitmap_reset(hb, start, 2 * CHUNK - start);
}

static HBitmap *loaded_copy(const HBitmap *from)
{
    HBitmap *to = hbitmap_alloc(SIZE, 0);
    uint64_t length = hbitmap_serialization_size(from, 0, SIZE);
    uint8_t *buffer = g_malloc(length);

    hbitmap_serialize_part(from, buffer, 0, SIZE);
    hbitmap_deserialize_part(to, buffer, 0, SIZE, true);
    g_free(buffer);
    return to;
}

/* A bitmap with the @n bits of chunk 1, and no others. */
static HBitmap *source_new(Origin origin, unsigned n)
{
    HBitmap *hb = hbitmap_alloc(SIZE, 0);
    HBitmap *other, *result;

    switch (origin) {
    case ORIGIN_CROWD_RESET:
        for (uint64_t i = 0; i < 200; i++) {
            hbitmap_set(hb, CHUNK + i * 160, 1);
        }
        break;
    case ORIGIN_FULL_RESET:
        hbitmap_set(hb, CHUNK, CHUNK);
        break;
    case ORIGIN_MERGED:
        other = source_new(ORIGIN_FULL_RESET, n);
        result = source_new(ORIGIN_CROWD_RESET, n);
        check_merged(hbitmap_merge(other, result, hb));
        hbitmap_free(other);
        hbitmap_free(result);
        return hb;
    case ORIGIN_LOADED:
        other = source_new(ORIGIN_FULL_RESET, n);
        hbitmap_free(hb);
        hb = loaded_copy(other);
        hbitmap_free(other);
        return hb;
    default:
        break;
    }
    for (unsigned i = 0; i < n; i++) {
        hbitmap_set(hb, bit_of(n, i), 1);
    }
    reset_gaps(hb, n);
    g_assert_cmpuint(hbitmap_count(hb), ==, n);
    return hb;
}

/* The bit that the iterator returns as number @i of all. */
static int64_t expected(unsigned n, unsigned i)
{
    if (i < FIRST_BITS) {
        return (int64_t)first_bits[i];
    }
    return i < FIRST_BITS + n ? (int64_t)bit_of(n, i - FIRST_BITS) : -1;
}

/* @steps items, the merge, and the rest. */
static void walk_across_merge(const HBitmap *source, unsigned n, unsigned steps)
{
    HBitmap *hb = source_new(ORIGIN_SINGLE_SETS, n);
    HBitmapIter iter;
    unsigned i = 0;

    for (unsigned k = 0; k < FIRST_BITS; k++) {
        hbitmap_set(hb, first_bits[k], 1);
    }
    hbitmap_iter_init(&iter, hb, 0);
    for (; i < steps; i++) {
        g_assert_cmpint(hbitmap_iter_next(&iter), ==, expected(n, i));
    }
    check_merged(hbitmap_merge(hb, source, hb));
    g_assert_cmpuint(hbitmap_count(hb), ==, FIRST_BITS + n);
    for (; i <= FIRST_BITS + n; i++) {
        g_assert_cmpint(hbitmap_iter_next(&iter), ==, expected(n, i));
    }
    hbitmap_free(hb);
}

static void merge_adds_nothing(gconstpointer data)
{
    const Origin origin = (Origin)GPOINTER_TO_UINT(data);

    for (size_t k = 0; k < G_N_ELEMENTS(densities); k++) {
        unsigned n = densities[k];
        HBitmap *source = source_new(origin, n);

        for (unsigned steps = 0; steps <= FIRST_BITS + n; steps += steps < 12 ? 1 : 17) {
            walk_across_merge(source, n, steps);
        }
        hbitmap_free(source);
    }
}

void add_hbitmap_iter_merge_tests(void)
{
    static const char *const names[ORIGINS] = {
        [ORIGIN_SINGLE_SETS] = "single-sets",
        [ORIGIN_CROWD_RESET] = "crowd-reset",
        [ORIGIN_FULL_RESET] = "full-reset",
        [ORIGIN_MERGED] = "merged",
        [ORIGIN_LOADED] = "loaded",
    };

    for (unsigned origin = 0; origin < ORIGINS; origin++) {
        char *path = g_strdup_printf("/hbitmap/iter/merge-adds-nothing/%s", names[origin]);

        g_test_add_data_func(path, GUINT_TO_POINTER(origin), merge_adds_nothing);
        g_free(path);
    }
}
