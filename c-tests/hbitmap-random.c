/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random operations at sizes around every boundary, all of it compared with the shadow after every
 * step.
 */
#include "hbitmap-tests.h"
#include "shadow.h"

/* A range that likes to begin or end at the edge of a word, a level or a chunk. */
static void random_range(const Shadow *s, uint64_t *start, uint64_t *count)
{
    static const uint64_t edges[] = { 1, WIDTH_1, WIDTH_2, CHUNK, WIDTH_3, CHUNKS_64 };
    uint64_t edge = edges[random_below(G_N_ELEMENTS(edges))] << s->granularity;
    uint64_t from = random_below(s->size);
    uint64_t to = random_below(s->size);

    if (g_test_rand_bit()) {
        from -= from % edge;
    }
    if (g_test_rand_bit()) {
        to = from + random_below(MIN(3 * edge, s->size - from));
    }
    if (g_test_rand_bit()) {
        to -= to % edge;
    }
    *start = MIN(from, to);
    *count = MAX(from, to) - *start + 1;
}

/* QEMU resets whole granules; the last one may be cut off by the end. */
static void widen_to_granules(const Shadow *s, uint64_t *start, uint64_t *count)
{
    uint64_t granule = UINT64_C(1) << s->granularity;
    uint64_t end = (*start + *count + granule - 1) / granule * granule;

    *start -= *start % granule;
    *count = MIN(end, s->size) - *start;
}

static void one_step(Shadow *s)
{
    uint64_t start, count;

    random_range(s, &start, &count);
    switch (random_below(16)) {
    case 0:
        shadow_reset_all(s);
        break;
    case 1:
        shadow_set(s, 0, s->size);
        break;
    case 2: {
        int64_t by = (int64_t)random_below(300) - 150;

        shadow_truncate(s, (uint64_t)MAX((int64_t)s->size + by, 1));
        break;
    }
    case 3: {
        /* A copy through the serialised form replaces the bitmap. */
        HBitmap *copy = hbitmap_alloc(s->size, s->granularity);
        uint8_t *buffer = g_malloc(shadow_words(s) * 8);

        hbitmap_serialize_part(s->hb, buffer, 0, s->size);
        hbitmap_deserialize_part(copy, buffer, 0, s->size, true);
        g_free(buffer);
        hbitmap_free(s->hb);
        s->hb = copy;
        shadow_check(s);
        break;
    }
    case 4: {
        HBitmap *other = hbitmap_alloc(s->size, s->granularity);

        hbitmap_set(other, start, count);
        check_merged(hbitmap_merge(s->hb, other, s->hb));
        hbitmap_free(other);
        shadow_note_set(s, start, count);
        shadow_check(s);
        break;
    }
    case 5:
    case 6:
    case 7:
    case 8:
    case 9:
        widen_to_granules(s, &start, &count);
        shadow_reset(s, start, count);
        break;
    default:
        shadow_set(s, start, count);
        break;
    }
}

static void random_steps(gconstpointer data)
{
    uint64_t size = GPOINTER_TO_SIZE(data);
    int steps = size > WIDTH_3 * 2 ? 30 : size > WIDTH_3 / 2 ? 100 : 400;

    for (int granularity = 0; granularity <= 12; granularity += 6) {
        Shadow s;

        shadow_init(&s, (size << granularity) - (granularity > 0 ? 3 : 0), granularity);
        for (int n = 0; n < steps; n++) {
            one_step(&s);
        }
        shadow_clear(&s);
    }
}

void add_hbitmap_random_tests(void)
{
    static const uint64_t edges[] = { WIDTH_1, WIDTH_2, CHUNK, WIDTH_3, CHUNKS_64 };

    for (size_t i = 0; i < G_N_ELEMENTS(edges); i++) {
        for (uint64_t size = edges[i] - 1; size <= edges[i] + 1; size++) {
            char *path = g_strdup_printf("/hbitmap/random/%" PRIu64, size);

            g_test_add_data_func(path, GSIZE_TO_POINTER(size), random_steps);
            g_free(path);
        }
    }
}
