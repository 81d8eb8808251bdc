/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The assertions of QEMU's util/hbitmap.c, apart from the serialisation's. */
#include "abort-case.h"

static int64_t out1, out2;

static HBitmap *hb(uint64_t size, int granularity)
{
    return hbitmap_alloc(size, granularity);
}

static void alloc_size(void)
{
    hb((uint64_t)INT64_MAX + 1, 63);
}

static void alloc_size_max(void)
{
    hb(UINT64_MAX, 40);
}

static void alloc_granularity_negative(void)
{
    hb(100, -1);
}

static void alloc_granularity_64(void)
{
    hb(100, 64);
}

static void alloc_granularity_max(void)
{
    hb(100, INT32_MAX);
}

static void alloc_bits(void)
{
    hb((UINT64_C(1) << 41) + 1, 0);
}

static void alloc_bits_granularity(void)
{
    hb(INT64_MAX, 21);
}

static void truncate_size(void)
{
    hbitmap_truncate(hb(100, 40), (uint64_t)INT64_MAX + 1);
}

static void truncate_bits(void)
{
    hbitmap_truncate(hb(100, 3), (UINT64_C(1) << 44) + 1);
}

static void set_past_end(void)
{
    hbitmap_set(hb(1000, 0), 1000, 1);
}

static void set_over_end(void)
{
    hbitmap_set(hb(1000, 0), 999, 2);
}

static void set_past_last_granule(void)
{
    hbitmap_set(hb(1001, 3), 1007, 2);
}

static void set_no_items(void)
{
    hbitmap_set(hb(0, 0), 0, 1);
}

static void set_far(void)
{
    hbitmap_set(hb(1000, 0), UINT64_MAX - 5, 3);
}

static void set_wraps(void)
{
    hbitmap_set(hb(1000, 0), 500, UINT64_MAX - 100);
}

static void set_wraps_to_start(void)
{
    hbitmap_set(hb(1000, 4), UINT64_MAX, 2);
}

static void reset_unaligned_start(void)
{
    hbitmap_reset(hb(1024, 4), 8, 16);
}

static void reset_unaligned_count(void)
{
    hbitmap_reset(hb(1024, 4), 16, 17);
}

static void reset_unaligned_before_end(void)
{
    hbitmap_reset(hb(1000, 4), 16, 983);
}

static void reset_past_end(void)
{
    hbitmap_reset(hb(1024, 4), 1024, 16);
}

static void reset_over_end(void)
{
    hbitmap_reset(hb(1024, 0), 1023, 2);
}

static void reset_no_items(void)
{
    hbitmap_reset(hb(0, 0), 0, 1);
}

static void reset_wraps(void)
{
    hbitmap_reset(hb(1024, 0), 500, UINT64_MAX - 100);
}

static void get_past_end(void)
{
    hbitmap_get(hb(1000, 0), 1000);
}

static void get_past_last_granule(void)
{
    hbitmap_get(hb(1001, 3), 1008);
}

static void get_no_items(void)
{
    hbitmap_get(hb(0, 0), 0);
}

static void get_far(void)
{
    hbitmap_get(hb(1000, 63), UINT64_MAX);
}

static void iter_past_end(void)
{
    HBitmapIter iter;

    hbitmap_iter_init(&iter, hb(1000, 0), 1000);
}

static void iter_no_items(void)
{
    HBitmapIter iter;

    hbitmap_iter_init(&iter, hb(0, 7), 0);
}

static void iter_far(void)
{
    HBitmapIter iter;

    hbitmap_iter_init(&iter, hb(1000, 4), UINT64_MAX);
}

static void next_dirty_start(void)
{
    hbitmap_next_dirty(hb(1000, 0), -1, 1);
}

static void next_dirty_count(void)
{
    hbitmap_next_dirty(hb(1000, 0), 0, -1);
}

static void next_dirty_min(void)
{
    hbitmap_next_dirty(hb(1000, 0), INT64_MIN, INT64_MIN);
}

static void next_zero_start(void)
{
    hbitmap_next_zero(hb(1000, 0), -1, 1);
}

static void next_zero_count(void)
{
    hbitmap_next_zero(hb(1000, 0), 0, -1);
}

static void area_start(void)
{
    hbitmap_next_dirty_area(hb(1000, 0), -1, 5, 5, &out1, &out2);
}

static void area_end(void)
{
    hbitmap_next_dirty_area(hb(1000, 0), 0, -1, 5, &out1, &out2);
}

static void area_max_zero(void)
{
    hbitmap_next_dirty_area(hb(1000, 0), 0, 5, 0, &out1, &out2);
}

static void area_max_negative(void)
{
    hbitmap_next_dirty_area(hb(1000, 0), 0, 5, -1, &out1, &out2);
}

static void status_start(void)
{
    hbitmap_status(hb(1000, 0), -1, 1, &out1);
}

static void status_count_zero(void)
{
    hbitmap_status(hb(1000, 0), 0, 0, &out1);
}

static void status_count_negative(void)
{
    hbitmap_status(hb(1000, 0), 5, -2, &out1);
}

static void status_over_end(void)
{
    hbitmap_status(hb(1000, 0), 999, 2, &out1);
}

static void status_past_end(void)
{
    hbitmap_status(hb(1000, 3), 1000, 1, &out1);
}

static void status_wraps(void)
{
    hbitmap_status(hb(1000, 0), 10, INT64_MAX, &out1);
}

#define SIZE_TEXT "size <= INT64_MAX"
#define BITS_TEXT "size <= ((uint64_t)1 << HBITMAP_LOG_MAX_SIZE)"
#define GRANULARITY_TEXT "granularity >= 0 && granularity < 64"
#define LAST_TEXT "last < hb->size"
#define POS_TEXT "pos < hb->size"
#define RANGE_TEXT "start >= 0 && count >= 0"
#define AREA_TEXT "start >= 0 && end >= 0 && max_dirty_count > 0"
#define START_TEXT "QEMU_IS_ALIGNED(start, gran)"
#define COUNT_TEXT "QEMU_IS_ALIGNED(count, gran) || (start + count == hb->orig_size)"

static const AbortCase cases[] = {
    { "alloc/size", "hbitmap_alloc", SIZE_TEXT, alloc_size, ALWAYS_RUN },
    { "alloc/size-max", "hbitmap_alloc", SIZE_TEXT, alloc_size_max, ALWAYS_RUN },
    { "alloc/granularity-negative", "hbitmap_alloc", GRANULARITY_TEXT, alloc_granularity_negative,
      ALWAYS_RUN },
    { "alloc/granularity-64", "hbitmap_alloc", GRANULARITY_TEXT, alloc_granularity_64, ALWAYS_RUN },
    { "alloc/granularity-max", "hbitmap_alloc", GRANULARITY_TEXT, alloc_granularity_max,
      ALWAYS_RUN },
    { "alloc/bits", "hbitmap_alloc", BITS_TEXT, alloc_bits, ALWAYS_RUN },
    { "alloc/bits-granularity", "hbitmap_alloc", BITS_TEXT, alloc_bits_granularity, ALWAYS_RUN },
    { "truncate/size", "hbitmap_truncate", SIZE_TEXT, truncate_size, ALWAYS_RUN },
    { "truncate/bits", "hbitmap_truncate", BITS_TEXT, truncate_bits, ALWAYS_RUN },
    { "set/past-end", "hbitmap_set", LAST_TEXT, set_past_end, ALWAYS_RUN },
    { "set/over-end", "hbitmap_set", LAST_TEXT, set_over_end, ALWAYS_RUN },
    { "set/past-last-granule", "hbitmap_set", LAST_TEXT, set_past_last_granule, ALWAYS_RUN },
    { "set/no-items", "hbitmap_set", LAST_TEXT, set_no_items, ALWAYS_RUN },
    { "set/far", "hbitmap_set", LAST_TEXT, set_far, ALWAYS_RUN },
    { "set/wraps", "hbitmap_set", LAST_TEXT, set_wraps, DIFF_UNDEFINED_IN_C },
    { "set/wraps-to-start", "hbitmap_set", LAST_TEXT, set_wraps_to_start, DIFF_UNDEFINED_IN_C },
    { "reset/unaligned-start", "hbitmap_reset", START_TEXT, reset_unaligned_start, ALWAYS_RUN },
    { "reset/unaligned-count", "hbitmap_reset", COUNT_TEXT, reset_unaligned_count, ALWAYS_RUN },
    { "reset/unaligned-before-end", "hbitmap_reset", COUNT_TEXT, reset_unaligned_before_end,
      ALWAYS_RUN },
    { "reset/past-end", "hbitmap_reset", LAST_TEXT, reset_past_end, ALWAYS_RUN },
    { "reset/over-end", "hbitmap_reset", LAST_TEXT, reset_over_end, ALWAYS_RUN },
    { "reset/no-items", "hbitmap_reset", LAST_TEXT, reset_no_items, ALWAYS_RUN },
    { "reset/wraps", "hbitmap_reset", LAST_TEXT, reset_wraps, DIFF_UNDEFINED_IN_C },
    { "get/past-end", "hbitmap_get", POS_TEXT, get_past_end, ALWAYS_RUN },
    { "get/past-last-granule", "hbitmap_get", POS_TEXT, get_past_last_granule, ALWAYS_RUN },
    { "get/no-items", "hbitmap_get", POS_TEXT, get_no_items, ALWAYS_RUN },
    { "get/far", "hbitmap_get", POS_TEXT, get_far, ALWAYS_RUN },
    { "iter/past-end", "hbitmap_iter_init", POS_TEXT, iter_past_end, ALWAYS_RUN },
    { "iter/no-items", "hbitmap_iter_init", POS_TEXT, iter_no_items, ALWAYS_RUN },
    { "iter/far", "hbitmap_iter_init", POS_TEXT, iter_far, ALWAYS_RUN },
    { "next_dirty/start", "hbitmap_next_dirty", RANGE_TEXT, next_dirty_start, ALWAYS_RUN },
    { "next_dirty/count", "hbitmap_next_dirty", RANGE_TEXT, next_dirty_count, ALWAYS_RUN },
    { "next_dirty/min", "hbitmap_next_dirty", RANGE_TEXT, next_dirty_min, ALWAYS_RUN },
    { "next_zero/start", "hbitmap_next_zero", RANGE_TEXT, next_zero_start,
      DIFF_NEXT_ZERO_PAST_END },
    { "next_zero/count", "hbitmap_next_zero", RANGE_TEXT, next_zero_count, ALWAYS_RUN },
    { "next_dirty_area/start", "hbitmap_next_dirty_area", AREA_TEXT, area_start, ALWAYS_RUN },
    { "next_dirty_area/end", "hbitmap_next_dirty_area", AREA_TEXT, area_end, ALWAYS_RUN },
    { "next_dirty_area/max-zero", "hbitmap_next_dirty_area", AREA_TEXT, area_max_zero, ALWAYS_RUN },
    { "next_dirty_area/max-negative", "hbitmap_next_dirty_area", AREA_TEXT, area_max_negative,
      ALWAYS_RUN },
    { "status/start", "hbitmap_status", "start >= 0", status_start, ALWAYS_RUN },
    { "status/count-zero", "hbitmap_status", "count > 0", status_count_zero, ALWAYS_RUN },
    { "status/count-negative", "hbitmap_status", "count > 0", status_count_negative, ALWAYS_RUN },
    { "status/over-end", "hbitmap_status", "start + count <= hb->orig_size", status_over_end,
      ALWAYS_RUN },
    { "status/past-end", "hbitmap_status", "start + count <= hb->orig_size", status_past_end,
      ALWAYS_RUN },
    { "status/wraps", "hbitmap_status", "start + count <= hb->orig_size", status_wraps,
      ALWAYS_RUN },
};

void add_hbitmap_aborts(void)
{
    add_abort_cases("hbitmap", cases, G_N_ELEMENTS(cases));
}
