/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An HBitmap with a shadow: a plain array of bits, one for each granule of 2^granularity items,
 * that gets the same operations. Every read path of the HBitmap must return the same as the shadow
 * after every step.
 */
#ifndef C_TESTS_SHADOW_H
#define C_TESTS_SHADOW_H

#include "common.h"

/*
 * Items covered by a word at each of the lower levels of QEMU's tree, and the chunks of this
 * library.
 */
#define WIDTH_1 UINT64_C(64)
#define WIDTH_2 (64 * WIDTH_1)
#define WIDTH_3 (64 * WIDTH_2)
#define CHUNK (UINT64_C(1) << 15)
#define CHUNKS_64 (UINT64_C(1) << 21)

typedef struct Shadow {
    HBitmap *hb;
    int granularity;
    uint64_t size;   /* items */
    uint64_t bits;   /* granules of items */
    uint64_t *words; /* bits past the end are zero; at least one word */
} Shadow;

uint64_t shadow_words(const Shadow *s);
bool shadow_bit(const Shadow *s, uint64_t bit);
/* First bit at or after @from that has @value; s->bits if there is none. */
uint64_t shadow_find(const Shadow *s, uint64_t from, bool value);
uint64_t shadow_popcount(const Shadow *s);

void shadow_init(Shadow *s, uint64_t size, int granularity);
void shadow_clear(Shadow *s);

/* These change both sides, and then compare all of both. Units are items. */
void shadow_set(Shadow *s, uint64_t start, uint64_t count);
void shadow_reset(Shadow *s, uint64_t start, uint64_t count);
void shadow_reset_all(Shadow *s);
void shadow_truncate(Shadow *s, uint64_t size);

/* These change the shadow alone, for operations that the test does on the HBitmap by itself. */
void shadow_note_set(Shadow *s, uint64_t start, uint64_t count);
void shadow_note_reset(Shadow *s, uint64_t start, uint64_t count);

/* Count, granularity, words as serialised, iterator, areas, and searches from a number of items. */
void shadow_check(const Shadow *s);
/* The iterator alone, from an item. */
void shadow_check_iter(const Shadow *s, uint64_t first);
/* hbitmap_get of every item. */
void shadow_check_get(const Shadow *s);
/*
 * next_dirty, next_zero, status and next_dirty_area in a range. @count may be INT64_MAX; @start <
 * size.
 */
void shadow_check_search(const Shadow *s, int64_t start, int64_t count);
void shadow_check_area(const Shadow *s, int64_t start, int64_t end, int64_t max);

/* A new HBitmap with the same size, granularity and content. */
HBitmap *shadow_duplicate(const Shadow *s);

#endif
