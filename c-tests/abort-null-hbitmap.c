/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * NULL for each argument of the HBitmap functions that needs an object or memory. QEMU's C crashes
 * on most.
 */
#include "abort-case.h"

static HBitmapIter iter;
static int64_t out;
static uint8_t buffer[8];

static HBitmap *some(void)
{
    HBitmap *hb = hbitmap_alloc(64, 0);

    hbitmap_set(hb, 10, 2);
    return hb;
}

/* function, argument, call */
#define CALLS(X)                                                                                   \
    X(hbitmap_truncate, hb, hbitmap_truncate(NULL, 5))                                             \
    X(hbitmap_merge, a, hbitmap_merge(NULL, some(), some()))                                       \
    X(hbitmap_merge, b, hbitmap_merge(some(), NULL, some()))                                       \
    X(hbitmap_merge, result, hbitmap_merge(some(), some(), NULL))                                  \
    X(hbitmap_empty, hb, hbitmap_empty(NULL))                                                      \
    X(hbitmap_granularity, hb, hbitmap_granularity(NULL))                                          \
    X(hbitmap_count, hb, hbitmap_count(NULL))                                                      \
    X(hbitmap_set, hb, hbitmap_set(NULL, 0, 1))                                                    \
    X(hbitmap_reset, hb, hbitmap_reset(NULL, 0, 1))                                                \
    X(hbitmap_reset_all, hb, hbitmap_reset_all(NULL))                                              \
    X(hbitmap_get, hb, hbitmap_get(NULL, 0))                                                       \
    X(hbitmap_is_serializable, hb, hbitmap_is_serializable(NULL))                                  \
    X(hbitmap_serialization_align, hb, hbitmap_serialization_align(NULL))                          \
    X(hbitmap_serialization_size, hb, hbitmap_serialization_size(NULL, 0, 1))                      \
    X(hbitmap_serialize_part, hb, hbitmap_serialize_part(NULL, buffer, 0, 64))                     \
    X(hbitmap_serialize_part, buf, hbitmap_serialize_part(some(), NULL, 0, 64))                    \
    X(hbitmap_deserialize_part, hb, hbitmap_deserialize_part(NULL, buffer, 0, 64, true))           \
    X(hbitmap_deserialize_part, buf, hbitmap_deserialize_part(some(), NULL, 0, 64, true))          \
    X(hbitmap_deserialize_zeroes, hb, hbitmap_deserialize_zeroes(NULL, 0, 64, true))               \
    X(hbitmap_deserialize_ones, hb, hbitmap_deserialize_ones(NULL, 0, 64, true))                   \
    X(hbitmap_deserialize_finish, hb, hbitmap_deserialize_finish(NULL))                            \
    X(hbitmap_sha256, bitmap, hbitmap_sha256(NULL, NULL))                                          \
    X(hbitmap_free, hb, hbitmap_free(NULL))                                                        \
    X(hbitmap_iter_init, hb, hbitmap_iter_init(&iter, NULL, 0))                                    \
    X(hbitmap_iter_init, hbi, hbitmap_iter_init(NULL, some(), 0))                                  \
    X(hbitmap_iter_next, hbi, hbitmap_iter_next(NULL))                                             \
    X(hbitmap_next_dirty, hb, hbitmap_next_dirty(NULL, 0, 1))                                      \
    X(hbitmap_next_zero, hb, hbitmap_next_zero(NULL, 0, 1))                                        \
    X(hbitmap_next_dirty_area, hb, hbitmap_next_dirty_area(NULL, 0, 9, 9, &out, &out))             \
    X(hbitmap_next_dirty_area, dirty_start, hbitmap_next_dirty_area(some(), 0, 64, 9, NULL, &out)) \
    X(hbitmap_next_dirty_area, dirty_count, hbitmap_next_dirty_area(some(), 0, 64, 9, &out, NULL)) \
    X(hbitmap_status, hb, hbitmap_status(NULL, 0, 1, &out))                                        \
    X(hbitmap_status, pnum, hbitmap_status(some(), 0, 1, NULL))

#define NULL_DIFFERENCE DIFF_NULL_ARGUMENT

CALLS(NULL_BODY)

static const AbortCase cases[] = { CALLS(NULL_CASE) };

void add_hbitmap_null_aborts(void)
{
    add_null_cases("null", cases, G_N_ELEMENTS(cases));
}
