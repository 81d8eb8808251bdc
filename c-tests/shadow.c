/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "shadow.h"

static uint64_t granules(uint64_t size, int granularity)
{
    return (size + (UINT64_C(1) << granularity) - 1) >> granularity;
}

static uint64_t words_for(uint64_t bits)
{
    return MAX((bits + 63) / 64, 1);
}

uint64_t shadow_words(const Shadow *s)
{
    return words_for(s->bits);
}

bool shadow_bit(const Shadow *s, uint64_t bit)
{
    return s->words[bit / 64] >> (bit % 64) & 1;
}

uint64_t shadow_find(const Shadow *s, uint64_t from, bool value)
{
    uint64_t flip = value ? 0 : UINT64_MAX;
    uint64_t word = from / 64;
    uint64_t found;

    if (from >= s->bits) {
        return s->bits;
    }
    found = (s->words[word] ^ flip) & (UINT64_MAX << (from % 64));
    while (found == 0 && ++word < shadow_words(s)) {
        found = s->words[word] ^ flip;
    }
    if (found == 0) {
        return s->bits;
    }
    return MIN(word * 64 + (uint64_t)__builtin_ctzll(found), s->bits);
}

uint64_t shadow_popcount(const Shadow *s)
{
    uint64_t count = 0;

    for (uint64_t i = 0; i < shadow_words(s); i++) {
        count += (uint64_t)__builtin_popcountll(s->words[i]);
    }
    return count;
}

void shadow_init(Shadow *s, uint64_t size, int granularity)
{
    s->hb = hbitmap_alloc(size, granularity);
    s->granularity = granularity;
    s->size = size;
    s->bits = granules(size, granularity);
    s->words = g_new0(uint64_t, words_for(s->bits));
    shadow_check(s);
}

void shadow_clear(Shadow *s)
{
    hbitmap_free(s->hb);
    g_free(s->words);
    memset(s, 0, sizeof(*s));
}

static void fill(Shadow *s, uint64_t first, uint64_t last, bool value)
{
    for (uint64_t bit = first; bit <= last;) {
        if (bit % 64 == 0 && last - bit >= 63) {
            s->words[bit / 64] = value ? UINT64_MAX : 0;
            bit += 64;
            continue;
        }
        if (value) {
            s->words[bit / 64] |= UINT64_C(1) << (bit % 64);
        } else {
            s->words[bit / 64] &= ~(UINT64_C(1) << (bit % 64));
        }
        bit++;
    }
}

void shadow_note_set(Shadow *s, uint64_t start, uint64_t count)
{
    if (count > 0) {
        fill(s, start >> s->granularity, (start + count - 1) >> s->granularity, true);
    }
}

void shadow_note_reset(Shadow *s, uint64_t start, uint64_t count)
{
    if (count > 0) {
        fill(s, start >> s->granularity, (start + count - 1) >> s->granularity, false);
    }
}

void shadow_set(Shadow *s, uint64_t start, uint64_t count)
{
    hbitmap_set(s->hb, start, count);
    shadow_note_set(s, start, count);
    shadow_check(s);
}

void shadow_reset(Shadow *s, uint64_t start, uint64_t count)
{
    hbitmap_reset(s->hb, start, count);
    shadow_note_reset(s, start, count);
    shadow_check(s);
}

void shadow_reset_all(Shadow *s)
{
    hbitmap_reset_all(s->hb);
    memset(s->words, 0, shadow_words(s) * sizeof(uint64_t));
    shadow_check(s);
}

void shadow_truncate(Shadow *s, uint64_t size)
{
    uint64_t old_words = shadow_words(s);
    uint64_t bits = granules(size, s->granularity);
    uint64_t new_words = words_for(bits);

    hbitmap_truncate(s->hb, size);
    if (bits < s->bits) {
        fill(s, bits, s->bits - 1, false);
    }
    s->words = g_renew(uint64_t, s->words, new_words);
    for (uint64_t i = old_words; i < new_words; i++) {
        s->words[i] = 0;
    }
    s->size = size;
    s->bits = bits;
    shadow_check(s);
}

void shadow_check_iter(const Shadow *s, uint64_t first)
{
    HBitmapIter iter;
    uint64_t bit = first >> s->granularity;

    hbitmap_iter_init(&iter, s->hb, first);
    while ((bit = shadow_find(s, bit, true)) < s->bits) {
        g_assert_cmpint(hbitmap_iter_next(&iter), ==, (int64_t)(bit << s->granularity));
        bit++;
    }
    g_assert_cmpint(hbitmap_iter_next(&iter), ==, -1);
}

void shadow_check_get(const Shadow *s)
{
    for (uint64_t item = 0; item < s->size; item++) {
        g_assert_cmpint(hbitmap_get(s->hb, item), ==, shadow_bit(s, item >> s->granularity));
    }
}

/* First item in [start, end) whose granule has @value, -1 if there is none. */
static int64_t find_item(const Shadow *s, int64_t start, int64_t end, bool value)
{
    uint64_t bit;
    int64_t item;

    if (start >= end) {
        return -1;
    }
    bit = shadow_find(s, (uint64_t)start >> s->granularity, value);
    if (bit >= s->bits) {
        return -1;
    }
    item = MAX((int64_t)(bit << s->granularity), start);
    return item < end ? item : -1;
}

void shadow_check_area(const Shadow *s, int64_t start, int64_t end, int64_t max)
{
    int64_t found = -77, length = -78;
    int64_t limit = MIN(end, (int64_t)s->size);
    int64_t first = find_item(s, start, limit, true);
    int64_t stop;
    bool got = hbitmap_next_dirty_area(s->hb, start, end, max, &found, &length);

    if (first < 0) {
        g_assert_false(got);
        g_assert_cmpint(found, ==, -77);
        g_assert_cmpint(length, ==, -78);
        return;
    }
    stop = first + MIN(limit - first, max);
    if (find_item(s, first, stop, false) >= 0) {
        stop = find_item(s, first, stop, false);
    }
    g_assert_true(got);
    g_assert_cmpint(found, ==, first);
    g_assert_cmpint(length, ==, stop - first);
}

static void check_status(const Shadow *s, int64_t start, int64_t count)
{
    bool dirty = shadow_bit(s, (uint64_t)start >> s->granularity);
    int64_t change = find_item(s, start, start + count, !dirty);
    int64_t run = -79;

    g_assert_cmpint(hbitmap_status(s->hb, start, count, &run), ==, dirty);
    g_assert_cmpint(run, ==, change < 0 ? count : change - start);
}

void shadow_check_search(const Shadow *s, int64_t start, int64_t count)
{
    int64_t rest = (int64_t)s->size - start;
    int64_t end = count > rest ? (int64_t)s->size : start + count;

    g_assert_cmpint(hbitmap_next_dirty(s->hb, start, count), ==, find_item(s, start, end, true));
    g_assert_cmpint(hbitmap_next_zero(s->hb, start, count), ==, find_item(s, start, end, false));
    shadow_check_area(s, start, count == INT64_MAX ? INT64_MAX : start + count, INT64_MAX);
    shadow_check_area(s, start, end, 1);
    shadow_check_area(s, start, end, 100);
    if (end > start) {
        check_status(s, start, end - start);
    }
}

static void check_words(const Shadow *s)
{
    uint64_t bytes = hbitmap_serialization_size(s->hb, 0, s->size);
    uint64_t *words;

    g_assert_cmpuint(bytes, ==, shadow_words(s) * 8);
    words = g_malloc(bytes);
    memset(words, 0xa5, bytes);
    hbitmap_serialize_part(s->hb, (uint8_t *)words, 0, s->size);
    for (uint64_t i = 0; i < shadow_words(s); i++) {
        g_assert_cmphex(GUINT64_FROM_LE(words[i]), ==, s->words[i]);
    }
    g_free(words);
}

/* All dirty areas, one after the other, as a backup job walks them. */
static void check_all_areas(const Shadow *s)
{
    int64_t size = (int64_t)s->size;
    int64_t at = 0, expected = 0, length;

    while (hbitmap_next_dirty_area(s->hb, at, size, INT64_MAX, &at, &length)) {
        int64_t stop;

        expected = find_item(s, expected, size, true);
        g_assert_cmpint(at, ==, expected);
        stop = find_item(s, expected, size, false);
        expected = stop < 0 ? size : stop;
        g_assert_cmpint(length, ==, expected - at);
        at += length;
    }
    g_assert_cmpint(find_item(s, expected, size, true), ==, -1);
}

void shadow_check(const Shadow *s)
{
    uint64_t count = shadow_popcount(s);

    g_assert_cmpuint(hbitmap_count(s->hb), ==, count << s->granularity);
    g_assert_cmpint(hbitmap_empty(s->hb), ==, count == 0);
    g_assert_cmpint(hbitmap_granularity(s->hb), ==, s->granularity);
    check_all_areas(s);
    if (s->size == 0) {
        return;
    }
    if (hbitmap_is_serializable(s->hb)) {
        check_words(s);
    }
    shadow_check_iter(s, 0);
    for (uint64_t sixteenth = 0; sixteenth < 16; sixteenth++) {
        shadow_check_search(s, (int64_t)(s->size / 16 * sixteenth), INT64_MAX);
    }
    shadow_check_search(s, (int64_t)s->size - 1, 1);
    shadow_check_search(s, 0, 0);
}

HBitmap *shadow_duplicate(const Shadow *s)
{
    HBitmap *copy = hbitmap_alloc(s->size, s->granularity);
    uint64_t bit = 0;

    while ((bit = shadow_find(s, bit, true)) < s->bits) {
        uint64_t stop = shadow_find(s, bit, false);

        hbitmap_set(copy, bit << s->granularity, (stop - bit) << s->granularity);
        bit = stop;
    }
    return copy;
}
