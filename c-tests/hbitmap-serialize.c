/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Serialisation: alignment, sizes, round trips in one piece and in parts, zeroes, ones, and hostile
 * input.
 */
#include "hbitmap-tests.h"
#include "shadow.h"

static const uint64_t edges[] = { WIDTH_1, WIDTH_2, CHUNK, WIDTH_3, CHUNKS_64 };

static void align(void)
{
    for (int granularity = 0; granularity < 64; granularity++) {
        HBitmap *hb = hbitmap_alloc(WIDTH_2 << MIN(granularity, 40), granularity);

        g_assert_cmpint(hbitmap_is_serializable(hb), ==, granularity < 58);
        if (granularity < 58) {
            g_assert_cmpuint(hbitmap_serialization_align(hb), ==, UINT64_C(64) << granularity);
        }
        hbitmap_free(hb);
    }
}

static void size(void)
{
    HBitmap *hb = hbitmap_alloc(1000 << 3, 3);

    g_assert_cmpuint(hbitmap_serialization_size(hb, 0, 0), ==, 0);
    g_assert_cmpuint(hbitmap_serialization_size(hb, 512, 0), ==, 0);
    g_assert_cmpuint(hbitmap_serialization_size(hb, 0, 512), ==, 8);
    g_assert_cmpuint(hbitmap_serialization_size(hb, 512, 1024), ==, 16);
    g_assert_cmpuint(hbitmap_serialization_size(hb, 0, 8000), ==, 128);
    g_assert_cmpuint(hbitmap_serialization_size(hb, 15 * 512, 8000 - 15 * 512), ==, 8);
    /* Any count that ends in the last granule is the rest. */
    g_assert_cmpuint(hbitmap_serialization_size(hb, 14 * 512, 7993 - 14 * 512), ==, 16);
    /*
     * A part whose end wraps has a size that no buffer has. QEMU's migration refuses a stream that
     * asks for it.
     */
    g_assert_cmpuint(hbitmap_serialization_size(hb, 1024, UINT64_MAX - 511), ==, UINT64_MAX - 7);
    hbitmap_free(hb);
}

/* Serialises @s, and deserialises that into a bitmap that is full of something else. */
static void round_trip(Shadow *s)
{
    uint64_t bytes = hbitmap_serialization_size(s->hb, 0, s->size);
    uint8_t *buffer = g_malloc(bytes);
    HBitmap *old = s->hb;

    hbitmap_serialize_part(s->hb, buffer, 0, s->size);
    for (uint64_t i = 0; i < bytes; i++) {
        g_assert_cmphex(buffer[i], ==, s->words[i / 8] >> (i % 8 * 8) & 0xff);
    }
    s->hb = hbitmap_alloc(s->size, s->granularity);
    hbitmap_set(s->hb, 0, s->size);
    hbitmap_deserialize_part(s->hb, buffer, 0, s->size, true);
    shadow_check(s);
    hbitmap_reset_all(s->hb);
    hbitmap_deserialize_part(s->hb, buffer, 0, s->size, false);
    hbitmap_deserialize_finish(s->hb);
    shadow_check(s);
    hbitmap_free(old);
    g_free(buffer);
}

static void basic(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(edges); i++) {
        const uint64_t width = edges[i];
        const uint64_t positions[] = { 0,         1,     WIDTH_1 - 1, WIDTH_1,      width / 2,
                                       width - 1, width, width + 1,   2 * width - 1 };

        for (size_t from = 0; from < G_N_ELEMENTS(positions); from++) {
            for (size_t to = from; to < G_N_ELEMENTS(positions); to += i < 3 ? 1 : 3) {
                uint64_t low = MIN(positions[from], positions[to]);
                uint64_t high = MAX(positions[from], positions[to]);
                Shadow s;

                shadow_init(&s, 2 * width, 0);
                round_trip(&s);
                shadow_set(&s, low, high - low + 1);
                round_trip(&s);
                shadow_clear(&s);
            }
        }
    }
}

/* Random content in parts of every allowed length, read and written out of order. */
static void part(void)
{
    for (int granularity = 0; granularity < 10; granularity += 3) {
        uint64_t granule = UINT64_C(1) << granularity;
        uint64_t total = (CHUNK + WIDTH_2 + 100) * granule + granule / 2;
        Shadow s;
        HBitmap *copy;

        shadow_init(&s, total, granularity);
        for (int n = 0; n < 500; n++) {
            uint64_t at = random_below(total);
            uint64_t length = 1 + random_below(MIN(total - at, 200 * granule));

            hbitmap_set(s.hb, at, length);
            shadow_note_set(&s, at, length);
        }
        shadow_check(&s);
        for (uint64_t words = 1; words <= 1024; words *= 4) {
            uint64_t length = words * 64 * granule;
            uint64_t parts = (total + length - 1) / length;
            uint8_t *buffer = g_malloc(words * 8);

            copy = hbitmap_alloc(total, granularity);
            hbitmap_set(copy, 0, total);
            for (uint64_t n = 0; n < parts; n++) {
                /* 7 and the number of parts may share a factor; then they go in order. */
                uint64_t at = (parts % 7 == 0 ? n : n * 7 % parts) * length;
                uint64_t count = MIN(length, total - at);
                uint64_t bytes = hbitmap_serialization_size(s.hb, at, count);

                g_assert_cmpuint(bytes, <=, words * 8);
                memset(buffer, 0x5a, words * 8);
                hbitmap_serialize_part(s.hb, buffer, at, count);
                for (uint64_t b = bytes; b < words * 8; b++) {
                    g_assert_cmphex(buffer[b], ==, 0x5a);
                }
                hbitmap_deserialize_part(copy, buffer, at, count, false);
            }
            hbitmap_deserialize_finish(copy);
            hbitmap_free(s.hb);
            s.hb = copy;
            shadow_check(&s);
            g_free(buffer);
        }
        shadow_clear(&s);
    }
}

/* Parts of zeroes or ones over random content, in a shadow. */
static void fill_parts(bool ones)
{
    for (size_t i = 1; i < G_N_ELEMENTS(edges); i++) {
        uint64_t total = 2 * edges[i];
        int rounds = edges[i] < CHUNKS_64 ? 30 : 8;
        Shadow s;

        shadow_init(&s, total, 0);
        for (int n = 0; n < 100; n++) {
            uint64_t at = random_below(total);

            hbitmap_set(s.hb, at, 1);
            shadow_note_set(&s, at, 1);
        }
        for (int n = 0; n < rounds; n++) {
            uint64_t words = total / 64;
            uint64_t from = random_below(words);
            uint64_t length = 64 * (1 + random_below(words - from));

            if (ones) {
                hbitmap_deserialize_ones(s.hb, from * 64, length, n % 2);
                shadow_note_set(&s, from * 64, length);
                hbitmap_deserialize_finish(s.hb);
                shadow_check(&s);
                shadow_reset(&s, from * 64 + 1, MIN(length, 500) - 1);
            } else {
                hbitmap_deserialize_zeroes(s.hb, from * 64, length, n % 2);
                shadow_note_reset(&s, from * 64, length);
                hbitmap_deserialize_finish(s.hb);
                shadow_check(&s);
                shadow_set(&s, from * 64 + 1, MIN(length, 500) - 1);
            }
        }
        if (ones) {
            hbitmap_deserialize_ones(s.hb, 0, total, true);
            shadow_note_set(&s, 0, total);
        } else {
            hbitmap_deserialize_zeroes(s.hb, 0, total, true);
            shadow_note_reset(&s, 0, total);
        }
        shadow_check(&s);
        shadow_clear(&s);
    }
}

static void zeroes(void)
{
    fill_parts(false);
}

static void ones(void)
{
    fill_parts(true);
}

/* A count of 0 is nothing to do, at any start, with any buffer. */
static void nothing(void)
{
    Shadow s;

    shadow_init(&s, 1000, 0);
    shadow_set(&s, 10, 500);
    hbitmap_serialize_part(s.hb, NULL, 0, 0);
    hbitmap_serialize_part(s.hb, NULL, 77, 0);
    hbitmap_deserialize_part(s.hb, NULL, 0, 0, true);
    hbitmap_deserialize_part(s.hb, NULL, 3, 0, true);
    hbitmap_deserialize_zeroes(s.hb, 5, 0, true);
    hbitmap_deserialize_ones(s.hb, 7, 0, true);
    hbitmap_deserialize_ones(s.hb, UINT64_MAX, 0, false);
    hbitmap_deserialize_finish(s.hb);
    shadow_check(&s);
    shadow_clear(&s);
}

static void finish_of_no_bits(void)
{
    HBitmap *hb;

    if (skipped_on_qemu(DIFF_EMPTY_FINISH)) {
        return;
    }
    hb = hbitmap_alloc(0, 0);
    hbitmap_deserialize_finish(hb);
    g_assert_true(hbitmap_empty(hb));
    hbitmap_truncate(hb, 100);
    g_assert_cmpint(hbitmap_next_dirty(hb, 0, INT64_MAX), ==, -1);
    hbitmap_free(hb);
}

/*
 * Bits of the last word that lie past the end, from a hostile stream or from ones on an unaligned
 * size.
 */
static void past_the_end(void)
{
    if (skipped_on_qemu(DIFF_BITS_PAST_END)) {
        return;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(edges); i++) {
        for (uint64_t spare = 1; spare < 64; spare++) {
            uint64_t bits = edges[i] - spare;
            uint64_t first = (bits - 1) / 64 * 64;
            uint8_t hostile[8];
            Shadow s;

            memset(hostile, 0xff, sizeof(hostile));
            shadow_init(&s, bits, 0);
            hbitmap_deserialize_part(s.hb, hostile, first, bits - first, true);
            shadow_note_set(&s, first, bits - first);
            shadow_check(&s);
            shadow_reset_all(&s);
            hbitmap_deserialize_ones(s.hb, 0, bits, true);
            shadow_note_set(&s, 0, bits);
            shadow_check(&s);
            /* They do not come back when the bitmap grows over them. */
            shadow_truncate(&s, edges[i] + 1);
            g_assert_cmpuint(hbitmap_count(s.hb), ==, bits);
            shadow_clear(&s);
            if (spare == 2) {
                spare = 60;
            }
        }
    }
}

/* After deserialising, the bitmap is fit for all else: searches, sets, truncates. */
static void used_afterwards(void)
{
    uint64_t total = CHUNKS_64 + 64;
    Shadow s;
    uint8_t *buffer = g_malloc0(total / 8);

    buffer[0] = 1;
    buffer[CHUNK / 8] = 0x80;
    buffer[total / 8 - 1] = 0x80;
    shadow_init(&s, total, 0);
    hbitmap_deserialize_part(s.hb, buffer, 0, total, true);
    shadow_note_set(&s, 0, 1);
    shadow_note_set(&s, CHUNK + 7, 1);
    shadow_note_set(&s, total - 1, 1);
    shadow_check(&s);
    shadow_set(&s, CHUNK, 9);
    shadow_reset(&s, 0, 1);
    shadow_truncate(&s, CHUNK + 8);
    shadow_truncate(&s, total);
    shadow_reset(&s, CHUNK, 8);
    g_assert_true(hbitmap_empty(s.hb));
    shadow_clear(&s);
    g_free(buffer);
}

void add_hbitmap_serialize_tests(void)
{
    g_test_add_func("/hbitmap/serialize/align", align);
    g_test_add_func("/hbitmap/serialize/size", size);
    g_test_add_func("/hbitmap/serialize/basic", basic);
    g_test_add_func("/hbitmap/serialize/part", part);
    g_test_add_func("/hbitmap/serialize/zeroes", zeroes);
    g_test_add_func("/hbitmap/serialize/ones", ones);
    g_test_add_func("/hbitmap/serialize/nothing", nothing);
    g_test_add_func("/hbitmap/serialize/finish-of-no-bits", finish_of_no_bits);
    g_test_add_func("/hbitmap/serialize/past-the-end", past_the_end);
    g_test_add_func("/hbitmap/serialize/used-afterwards", used_afterwards);
}
