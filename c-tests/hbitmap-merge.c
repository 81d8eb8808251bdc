/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hbitmap_merge: every combination of granularities and of the three arguments being the same
 * bitmap.
 */
#include "hbitmap-tests.h"
#include "shadow.h"

typedef enum Content {
    CONTENT_NONE,
    CONTENT_ONE,
    CONTENT_SPARSE,
    CONTENT_HALF,
    CONTENT_RUNS,
    CONTENT_FULL,
    CONTENT_COUNT,
} Content;

static const int granularities[] = { 0, 1, 4, 5, 9 };

static void note_both(Shadow *s, uint64_t start, uint64_t count)
{
    hbitmap_set(s->hb, start, count);
    shadow_note_set(s, start, count);
}

static void fill(Shadow *s, Content content)
{
    uint64_t size = s->size;

    switch (content) {
    case CONTENT_ONE:
        note_both(s, size - 1, 1);
        break;
    case CONTENT_SPARSE:
        for (int n = 0; n < 40; n++) {
            note_both(s, random_below(size), 1);
        }
        break;
    case CONTENT_HALF:
        for (uint64_t at = 0; at < size; at += 2 << s->granularity) {
            note_both(s, at, 1);
        }
        break;
    case CONTENT_RUNS:
        for (int n = 0; n < 10; n++) {
            uint64_t at = random_below(size);

            note_both(s, at, 1 + random_below(MIN(size - at, size / 8)));
        }
        break;
    case CONTENT_FULL:
        note_both(s, 0, size);
        break;
    default:
        break;
    }
}

/* The shadow of the union: an item is dirty if its granule is dirty in @a or in @b. */
static void note_union(Shadow *result, const Shadow *source)
{
    uint64_t bit = 0;

    while ((bit = shadow_find(source, bit, true)) < source->bits) {
        uint64_t stop = shadow_find(source, bit, false);
        uint64_t start = bit << source->granularity;
        uint64_t end = MIN(stop << source->granularity, source->size);

        shadow_note_set(result, start, end - start);
        bit = stop;
    }
}

/* Merges @src into @dest, which is the first or the second operand besides, and checks it. */
static void merge_one(Shadow *dest, const Shadow *src, bool dest_first)
{
    if (dest_first) {
        check_merged(hbitmap_merge(dest->hb, src->hb, dest->hb));
    } else {
        check_merged(hbitmap_merge(src->hb, dest->hb, dest->hb));
    }
    note_union(dest, src);
    shadow_check(dest);
}

/* Merges into the first argument, in both orders, and checks that the second is as it was. */
static void merge_into(uint64_t size, int to, int from, Content to_content, Content from_content)
{
    for (int order = 0; order < 2; order++) {
        Shadow dest, src;

        shadow_init(&dest, size, to);
        shadow_init(&src, size, from);
        fill(&dest, to_content);
        fill(&src, from_content);
        merge_one(&dest, &src, order == 0);
        shadow_check(&src);
        shadow_clear(&dest);
        shadow_clear(&src);
    }
}

/* Merges into a third bitmap that holds something else before. */
static void merge_apart(uint64_t size, int a_shift, int b_shift, int r_shift, Content a_content,
                        Content b_content)
{
    Shadow a, b, result;

    shadow_init(&a, size, a_shift);
    shadow_init(&b, size, b_shift);
    shadow_init(&result, size, r_shift);
    fill(&a, a_content);
    fill(&b, b_content);
    hbitmap_set(result.hb, size / 3, size / 3);
    check_merged(hbitmap_merge(a.hb, b.hb, result.hb));
    note_union(&result, &a);
    note_union(&result, &b);
    shadow_check(&result);
    shadow_check(&a);
    shadow_check(&b);
    shadow_clear(&result);
    shadow_clear(&b);
    shadow_clear(&a);
}

static void into_one(void)
{
    const uint64_t size = WIDTH_2 * 16 + 7;

    for (size_t to = 0; to < G_N_ELEMENTS(granularities); to++) {
        for (size_t from = 0; from < G_N_ELEMENTS(granularities); from++) {
            for (int pair = 0; pair < CONTENT_COUNT * CONTENT_COUNT; pair++) {
                merge_into(size, granularities[to], granularities[from], pair / CONTENT_COUNT,
                           pair % CONTENT_COUNT);
            }
        }
    }
}

/* Bitmaps of several chunks on the one side and less than one on the other. */
static void into_one_large(void)
{
    const uint64_t size = (CHUNK << 4) + 100;

    for (size_t to = 0; to < G_N_ELEMENTS(granularities); to += 2) {
        for (size_t from = 0; from < G_N_ELEMENTS(granularities); from += 2) {
            for (int pair = 0; pair < CONTENT_COUNT * CONTENT_COUNT; pair += 5) {
                merge_into(size, granularities[to], granularities[from], pair / CONTENT_COUNT,
                           pair % CONTENT_COUNT);
            }
        }
    }
}

static void into_third(void)
{
    const uint64_t size = WIDTH_2 * 16 + 7;

    for (size_t a = 0; a < G_N_ELEMENTS(granularities); a++) {
        for (size_t b = 0; b < G_N_ELEMENTS(granularities); b++) {
            for (size_t r = 0; r < G_N_ELEMENTS(granularities); r++) {
                /*
                 * Two of one granularity into one of another: C copies words between arrays of
                 * different lengths.
                 */
                if (a == b && a != r && on_qemu()) {
                    continue;
                }
                for (int pair = 0; pair < CONTENT_COUNT * CONTENT_COUNT; pair++) {
                    merge_apart(size, granularities[a], granularities[b], granularities[r],
                                pair / CONTENT_COUNT, pair % CONTENT_COUNT);
                }
            }
        }
    }
}

/* All three the same: nothing changes. Both sources the same: a copy. */
static void aliases(void)
{
    for (Content content = 0; content < CONTENT_COUNT; content++) {
        for (size_t i = 0; i < G_N_ELEMENTS(granularities); i++) {
            Shadow s, copy;

            shadow_init(&s, CHUNK + 99, granularities[i]);
            fill(&s, content);
            check_merged(hbitmap_merge(s.hb, s.hb, s.hb));
            shadow_check(&s);

            shadow_init(&copy, CHUNK + 99, granularities[i]);
            hbitmap_set(copy.hb, 7, CHUNK);
            check_merged(hbitmap_merge(s.hb, s.hb, copy.hb));
            note_union(&copy, &s);
            shadow_check(&copy);
            shadow_check(&s);
            shadow_clear(&copy);
            shadow_clear(&s);
        }
    }
}

/*
 * Runs that end at, before and after the edges of words and chunks, from fine to coarse and back.
 */
static void edges_of_runs(void)
{
    const uint64_t edges[] = { WIDTH_1, WIDTH_2, CHUNK, WIDTH_3, CHUNKS_64 };

    for (size_t i = 0; i < G_N_ELEMENTS(edges); i++) {
        for (int from = 0; from <= 6; from += 3) {
            for (int to = 0; to <= 6; to += 3) {
                uint64_t granule = UINT64_C(1) << MIN(from, to);
                Shadow dest, src;

                shadow_init(&dest, 2 * edges[i] * granule + 3, to);
                shadow_init(&src, 2 * edges[i] * granule + 3, from);
                note_both(&src, 0, 1);
                note_both(&src, (edges[i] - 1) * granule, 2 * granule);
                note_both(&src, edges[i] * granule + 17 * granule, 40 * granule);
                note_both(&src, src.size - 1, 1);
                merge_one(&dest, &src, true);
                shadow_check(&src);
                shadow_clear(&dest);
                shadow_clear(&src);
            }
        }
    }
}

/*
 * A merge from a coarser bitmap sets whole runs of bits. Then come changes that keep the runs
 * whole, and others.
 */
static void changes_afterwards(void)
{
    for (int from = 3; from <= 9; from += 2) {
        const uint64_t granule = UINT64_C(1) << from, size = 3 * CHUNK + 100;
        Shadow dest, src, other;

        shadow_init(&dest, size, 0);
        shadow_init(&src, size, from);
        shadow_init(&other, size, from);
        for (uint64_t start = 0; start < size; start += 3 * granule) {
            note_both(&src, start, 1);
            note_both(&other, MIN(start + granule, size - 1), 1);
        }
        merge_one(&dest, &src, true);
        shadow_check_get(&dest);
        shadow_set(&dest, 0, granule);             /* dirty already */
        shadow_reset(&dest, granule, granule);     /* clean already */
        shadow_set(&dest, CHUNK + 3 * granule, 1); /* dirty already, or not */
        merge_one(&dest, &other, true);
        shadow_set(&dest, 2 * granule + 5, 1);
        shadow_reset(&dest, CHUNK - granule, 2 * granule + 3);
        shadow_set(&dest, 2 * CHUNK - 70, 140);
        shadow_truncate(&dest, 2 * CHUNK + granule);
        shadow_truncate(&dest, size);
        shadow_set(&dest, 0, size);
        shadow_reset_all(&dest);
        merge_one(&dest, &src, false);
        shadow_clear(&dest);
        shadow_clear(&src);
        shadow_clear(&other);
    }
}

static void no_items(void)
{
    for (size_t a = 0; a < G_N_ELEMENTS(granularities); a++) {
        for (size_t b = 0; b < G_N_ELEMENTS(granularities); b++) {
            merge_into(0, granularities[a], granularities[b], CONTENT_NONE, CONTENT_NONE);
            merge_into(1, granularities[a], granularities[b], CONTENT_NONE, CONTENT_ONE);
            merge_into(1, granularities[a], granularities[b], CONTENT_FULL, CONTENT_ONE);
        }
    }
}

/* Stand-alone, bitmaps of different sizes are refused and stay as they are. */
static void different_sizes(void)
{
    Shadow a, b, c;

    if (skipped_on_qemu(DIFF_MERGE_RESULT)) {
        return;
    }
    shadow_init(&a, 1000, 0);
    shadow_init(&b, 1001, 0);
    shadow_init(&c, 1000, 3);
    shadow_set(&a, 10, 20);
    shadow_set(&b, 500, 501);
    shadow_set(&c, 800, 8);
    g_assert_false(hbitmap_merge(a.hb, b.hb, a.hb));
    g_assert_false(hbitmap_merge(a.hb, b.hb, b.hb));
    g_assert_false(hbitmap_merge(b.hb, a.hb, a.hb));
    g_assert_false(hbitmap_merge(b.hb, b.hb, a.hb));
    g_assert_false(hbitmap_merge(a.hb, a.hb, b.hb));
    g_assert_false(hbitmap_merge(a.hb, b.hb, c.hb));
    g_assert_false(hbitmap_merge(a.hb, c.hb, b.hb));
    shadow_check(&a);
    shadow_check(&b);
    shadow_check(&c);
    shadow_clear(&a);
    shadow_clear(&b);
    shadow_clear(&c);
}

void add_hbitmap_merge_tests(void)
{
    g_test_add_func("/hbitmap/merge/into-one", into_one);
    g_test_add_func("/hbitmap/merge/into-one-large", into_one_large);
    g_test_add_func("/hbitmap/merge/into-third", into_third);
    g_test_add_func("/hbitmap/merge/aliases", aliases);
    g_test_add_func("/hbitmap/merge/edges-of-runs", edges_of_runs);
    g_test_add_func("/hbitmap/merge/changes-afterwards", changes_afterwards);
    g_test_add_func("/hbitmap/merge/no-items", no_items);
    g_test_add_func("/hbitmap/merge/different-sizes", different_sizes);
}
