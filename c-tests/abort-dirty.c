/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The assertions of QEMU's block/dirty-bitmap.c, and those of HBitmap that its functions reach. */
#include "abort-case.h"
#include "node.h"

#include <errno.h>

#define SIZE ((int64_t)(16 * GRANULARITY))

static BlockDriverState *bs;

static BdrvDirtyBitmap *bitmap(unsigned state)
{
    bs = qdb_node_new(SIZE, 0, NULL);
    return bitmap_new(bs, "b", GRANULARITY, GRANULARITY, state);
}

static void create(uint32_t granularity)
{
    bdrv_create_dirty_bitmap(qdb_node_new(SIZE, 0, NULL), granularity, "b", NULL);
}

static void create_granularity_0(void)
{
    create(0);
}

static void create_granularity_256(void)
{
    create(256);
}

static void create_granularity_513(void)
{
    create(513);
}

static void create_granularity_max(void)
{
    create(UINT32_MAX);
}

/* The granularity is checked before all that gives an error. */
static void create_granularity_first(void)
{
    bdrv_create_dirty_bitmap(qdb_node_new(-EIO, 0, NULL), 1000, "b", NULL);
}

static void create_too_many_bits(void)
{
    bdrv_create_dirty_bitmap(qdb_node_new((INT64_C(1) << 50) + 1, 0, NULL), 512, "b", NULL);
}

static void set_readonly(void)
{
    bdrv_set_dirty_bitmap(bitmap(STATE_READONLY), 0, 1);
}

static void set_readonly_nothing(void)
{
    bdrv_set_dirty_bitmap(bitmap(STATE_READONLY), 0, 0);
}

static void reset_readonly(void)
{
    bdrv_reset_dirty_bitmap(bitmap(STATE_READONLY), 0, GRANULARITY);
}

static void clear_readonly(void)
{
    bdrv_clear_dirty_bitmap(bitmap(STATE_READONLY), NULL);
}

static void clear_readonly_out(void)
{
    HBitmap *out;

    bdrv_clear_dirty_bitmap(bitmap(STATE_READONLY), &out);
}

static void restore_readonly(void)
{
    bdrv_restore_dirty_bitmap(bitmap(STATE_READONLY), hbitmap_alloc((uint64_t)SIZE, 12));
}

static void write_readonly(void)
{
    bitmap(STATE_READONLY);
    bdrv_set_dirty(bs, 0, 1);
}

static void set_past_end(void)
{
    bdrv_set_dirty_bitmap(bitmap(0), SIZE, 1);
}

static void set_negative(void)
{
    bdrv_set_dirty_bitmap(bitmap(0), -1, 1);
}

static void set_negative_length(void)
{
    bdrv_set_dirty_bitmap(bitmap(0), 0, -1);
}

static void write_past_end(void)
{
    bitmap(0);
    bdrv_set_dirty(bs, SIZE - 1, 2);
}

static void reset_unaligned(void)
{
    bdrv_reset_dirty_bitmap(bitmap(0), 512, GRANULARITY);
}

static void reset_unaligned_length(void)
{
    bdrv_reset_dirty_bitmap(bitmap(0), 0, 512);
}

static void get_past_end(void)
{
    bdrv_dirty_bitmap_get(bitmap(0), SIZE);
}

static void get_negative(void)
{
    bdrv_dirty_bitmap_get(bitmap(0), -1);
}

static void next_dirty_negative(void)
{
    bitmap_next_dirty(bitmap(0), -1, 1);
}

static void next_zero_negative(void)
{
    bitmap_next_zero(bitmap(0), 0, -1);
}

static void area_max(void)
{
    int64_t start, count;

    bitmap_next_dirty_area(bitmap(0), 0, SIZE, 0, &start, &count);
}

static void status_past_end(void)
{
    int64_t count;

    bitmap_status(bitmap(0), SIZE - 1, 2, &count);
}

static void release_busy(void)
{
    bdrv_release_dirty_bitmap(bitmap(STATE_BUSY));
}

static void release_successor(void)
{
    bdrv_release_dirty_bitmap(bitmap(STATE_SUCCESSOR));
}

static void release_iterator(void)
{
    BdrvDirtyBitmap *b = bitmap(STATE_BUSY | STATE_SUCCESSOR);

    bdrv_dirty_iter_new(b);
    bdrv_release_dirty_bitmap(b);
}

static void release_named_busy(void)
{
    bitmap(STATE_BUSY);
    bdrv_release_named_dirty_bitmaps(bs);
}

static void abdicate_iterator(void)
{
    BdrvDirtyBitmap *b = bitmap(STATE_SUCCESSOR | STATE_BUSY);

    bdrv_dirty_iter_new(b);
    bdrv_dirty_bitmap_abdicate(b, NULL);
}

static void reclaim_busy_successor(void)
{
    BdrvDirtyBitmap *b = bitmap(STATE_SUCCESSOR | STATE_BUSY);

    bdrv_dirty_bitmap_set_busy(bdrv_dirty_bitmap_first(bs), true);
    bdrv_reclaim_dirty_bitmap(b, NULL);
}

static void reclaim_iterator_on_successor(void)
{
    BdrvDirtyBitmap *b = bitmap(STATE_SUCCESSOR | STATE_BUSY);

    bdrv_dirty_iter_new(bdrv_dirty_bitmap_first(bs));
    bdrv_reclaim_dirty_bitmap(b, NULL);
}

static void reclaim_successor_of_successor(void)
{
    BdrvDirtyBitmap *b = bitmap(STATE_SUCCESSOR | STATE_BUSY);
    BdrvDirtyBitmap *child = bdrv_dirty_bitmap_first(bs);

    bdrv_dirty_bitmap_create_successor(child, &error_abort);
    bdrv_dirty_bitmap_set_busy(child, false);
    bdrv_reclaim_dirty_bitmap(b, NULL);
}

/*
 * The node grew while the bitmap had a successor: with QEMU's locks that cannot be, and a merge
 * would lose bits.
 */
static void reclaim_other_size(void)
{
    BdrvDirtyBitmap *b = bitmap(0);

    qdb_node_set_length(bs, 2 * SIZE);
    bdrv_dirty_bitmap_create_successor(b, &error_abort);
    bdrv_reclaim_dirty_bitmap(b, NULL);
}

static void truncate_busy(void)
{
    bitmap(STATE_BUSY);
    bdrv_dirty_bitmap_truncate(bs, GRANULARITY);
}

static void truncate_successor(void)
{
    bitmap(STATE_SUCCESSOR);
    bdrv_dirty_bitmap_truncate(bs, GRANULARITY);
}

static void truncate_iterator(void)
{
    bdrv_dirty_iter_new(bitmap(0));
    bdrv_dirty_bitmap_truncate(bs, GRANULARITY);
}

static void truncate_negative(void)
{
    bitmap(0);
    bdrv_dirty_bitmap_truncate(bs, -1);
}

static void iter_no_items(void)
{
    BlockDriverState *empty = qdb_node_new(0, 0, NULL);

    bdrv_dirty_iter_new(bdrv_create_dirty_bitmap(empty, 512, NULL, &error_abort));
}

static void set_iter_past_end(void)
{
    BdrvDirtyBitmap *b = bitmap(0);
    BdrvDirtyBitmapIter *iter = bdrv_dirty_iter_new(b);

    bdrv_dirty_bitmap_lock(b);
    bdrv_set_dirty_iter(iter, SIZE);
}

static void set_iter_negative(void)
{
    BdrvDirtyBitmap *b = bitmap(0);
    BdrvDirtyBitmapIter *iter = bdrv_dirty_iter_new(b);

    bdrv_dirty_bitmap_lock(b);
    bdrv_set_dirty_iter(iter, -1);
}

static void set_inconsistent(void)
{
    bdrv_dirty_bitmap_set_inconsistent(bitmap(0));
}

static void coverage(void)
{
    bdrv_dirty_bitmap_serialization_coverage(12, bitmap(0));
}

static void serialize_start(void)
{
    uint8_t buffer[8];

    bdrv_dirty_bitmap_serialize_part(bitmap(0), buffer, GRANULARITY, GRANULARITY);
}

static void deserialize_end(void)
{
    uint8_t buffer[64];

    bdrv_dirty_bitmap_deserialize_part(bitmap(0), buffer, 0, (uint64_t)SIZE + 1, true);
}

static void deserialize_ones_end(void)
{
    bdrv_dirty_bitmap_deserialize_ones(bitmap(0), 0, (uint64_t)SIZE + 1, true);
}

static void deserialize_zeroes_count(void)
{
    bdrv_dirty_bitmap_deserialize_zeroes(bitmap(0), 0, GRANULARITY, true);
}

static void serialization_size_end(void)
{
    bdrv_dirty_bitmap_serialization_size(bitmap(0), 0, (uint64_t)SIZE + 1);
}

static void merge_internal(unsigned dest_state, unsigned src_state)
{
    BdrvDirtyBitmap *dest = bitmap(dest_state);
    BdrvDirtyBitmap *src = bitmap_new(bs, "src", GRANULARITY, 0, src_state);

    bdrv_dirty_bitmap_merge_internal(dest, src, NULL, true);
}

static void merge_readonly(void)
{
    merge_internal(STATE_READONLY | STATE_INCONSISTENT, STATE_INCONSISTENT);
}

static void merge_inconsistent(void)
{
    merge_internal(STATE_INCONSISTENT, STATE_INCONSISTENT);
}

static void merge_src_inconsistent(void)
{
    merge_internal(STATE_BUSY, STATE_INCONSISTENT);
}

static void enable_successor_none(void)
{
    bdrv_dirty_bitmap_enable_successor(bitmap(0));
}

static void free_node_with_bitmaps(void)
{
    bitmap(0);
    qdb_node_free(bs);
}

#define GRANULARITY_TEXT "is_power_of_2(granularity) && granularity >= BDRV_SECTOR_SIZE"
#define READONLY_TEXT "!bdrv_dirty_bitmap_readonly(bitmap)"
#define BUSY_TEXT "!bdrv_dirty_bitmap_busy(bitmap)"
#define SUCCESSOR_TEXT "!bdrv_dirty_bitmap_has_successor(bitmap)"
#define ITERATORS_TEXT "!bitmap->active_iterators"
#define RELEASE "bdrv_release_dirty_bitmap_locked"
#define CREATE "bdrv_create_dirty_bitmap"
#define TRUNCATE "bdrv_dirty_bitmap_truncate"
#define MERGE "bdrv_dirty_bitmap_merge_internal"

static const AbortCase cases[] = {
    { "create/granularity-0", CREATE, GRANULARITY_TEXT, create_granularity_0, ALWAYS_RUN },
    { "create/granularity-256", CREATE, GRANULARITY_TEXT, create_granularity_256, ALWAYS_RUN },
    { "create/granularity-513", CREATE, GRANULARITY_TEXT, create_granularity_513, ALWAYS_RUN },
    { "create/granularity-max", CREATE, GRANULARITY_TEXT, create_granularity_max, ALWAYS_RUN },
    { "create/granularity-first", CREATE, GRANULARITY_TEXT, create_granularity_first, ALWAYS_RUN },
    { "create/too-many-bits", "hbitmap_alloc", "size <= ((uint64_t)1 << HBITMAP_LOG_MAX_SIZE)",
      create_too_many_bits, ALWAYS_RUN },
    { "readonly/set", "bdrv_set_dirty_bitmap_locked", READONLY_TEXT, set_readonly, ALWAYS_RUN },
    { "readonly/set-nothing", "bdrv_set_dirty_bitmap_locked", READONLY_TEXT, set_readonly_nothing,
      ALWAYS_RUN },
    { "readonly/reset", "bdrv_reset_dirty_bitmap_locked", READONLY_TEXT, reset_readonly,
      ALWAYS_RUN },
    { "readonly/clear", "bdrv_clear_dirty_bitmap", READONLY_TEXT, clear_readonly, ALWAYS_RUN },
    { "readonly/clear-out", "bdrv_clear_dirty_bitmap", READONLY_TEXT, clear_readonly_out,
      ALWAYS_RUN },
    { "readonly/restore", "bdrv_restore_dirty_bitmap", READONLY_TEXT, restore_readonly,
      ALWAYS_RUN },
    { "readonly/guest-write", "bdrv_set_dirty", READONLY_TEXT, write_readonly, ALWAYS_RUN },
    { "range/set-past-end", "hbitmap_set", "last < hb->size", set_past_end, ALWAYS_RUN },
    { "range/set-negative", "hbitmap_set", "last < hb->size", set_negative, ALWAYS_RUN },
    { "range/set-negative-length", "hbitmap_set", "last < hb->size", set_negative_length,
      ALWAYS_RUN },
    { "range/write-past-end", "hbitmap_set", "last < hb->size", write_past_end, ALWAYS_RUN },
    { "range/reset-unaligned", "hbitmap_reset", "QEMU_IS_ALIGNED(start, gran)", reset_unaligned,
      ALWAYS_RUN },
    { "range/reset-unaligned-length", "hbitmap_reset",
      "QEMU_IS_ALIGNED(count, gran) || (start + count == hb->orig_size)", reset_unaligned_length,
      ALWAYS_RUN },
    { "range/get-past-end", "hbitmap_get", "pos < hb->size", get_past_end, ALWAYS_RUN },
    { "range/get-negative", "hbitmap_get", "pos < hb->size", get_negative, ALWAYS_RUN },
    { "range/next_dirty", "hbitmap_next_dirty", "start >= 0 && count >= 0", next_dirty_negative,
      ALWAYS_RUN },
    { "range/next_zero", "hbitmap_next_zero", "start >= 0 && count >= 0", next_zero_negative,
      ALWAYS_RUN },
    { "range/next_dirty_area", "hbitmap_next_dirty_area",
      "start >= 0 && end >= 0 && max_dirty_count > 0", area_max, ALWAYS_RUN },
    { "range/status", "hbitmap_status", "start + count <= hb->orig_size", status_past_end,
      ALWAYS_RUN },
    { "release/busy", RELEASE, BUSY_TEXT, release_busy, ALWAYS_RUN },
    { "release/successor", RELEASE, SUCCESSOR_TEXT, release_successor, ALWAYS_RUN },
    { "release/iterator", RELEASE, ITERATORS_TEXT, release_iterator, ALWAYS_RUN },
    { "release/named-busy", RELEASE, BUSY_TEXT, release_named_busy, ALWAYS_RUN },
    { "successor/abdicate-iterator", RELEASE, ITERATORS_TEXT, abdicate_iterator, ALWAYS_RUN },
    { "successor/reclaim-busy", RELEASE, BUSY_TEXT, reclaim_busy_successor, ALWAYS_RUN },
    { "successor/reclaim-iterator", RELEASE, ITERATORS_TEXT, reclaim_iterator_on_successor,
      ALWAYS_RUN },
    { "successor/reclaim-successor", RELEASE, SUCCESSOR_TEXT, reclaim_successor_of_successor,
      ALWAYS_RUN },
    { "successor/reclaim-size", "hbitmap_merge", "b->orig_size == result->orig_size",
      reclaim_other_size, ALWAYS_RUN },
    { "successor/enable-none", "bdrv_dirty_bitmap_enable_successor", "bitmap->successor != NULL",
      enable_successor_none, DIFF_NULL_ARGUMENT },
    { "truncate/busy", TRUNCATE, BUSY_TEXT, truncate_busy, ALWAYS_RUN },
    { "truncate/successor", TRUNCATE, SUCCESSOR_TEXT, truncate_successor, ALWAYS_RUN },
    { "truncate/iterator", TRUNCATE, ITERATORS_TEXT, truncate_iterator, ALWAYS_RUN },
    { "truncate/negative", "hbitmap_truncate", "size <= INT64_MAX", truncate_negative, ALWAYS_RUN },
    { "iter/no-items", "hbitmap_iter_init", "pos < hb->size", iter_no_items, ALWAYS_RUN },
    { "iter/set-past-end", "hbitmap_iter_init", "pos < hb->size", set_iter_past_end, ALWAYS_RUN },
    { "iter/set-negative", "hbitmap_iter_init", "pos < hb->size", set_iter_negative, ALWAYS_RUN },
    { "set_inconsistent", "bdrv_dirty_bitmap_set_inconsistent", "bitmap->persistent == true",
      set_inconsistent, ALWAYS_RUN },
    { "serialize/coverage", "bdrv_dirty_bitmap_serialization_coverage",
      "QEMU_IS_ALIGNED(limit, bdrv_dirty_bitmap_serialization_align(bitmap))", coverage,
      ALWAYS_RUN },
    { "serialize/part", "serialization_chunk", "(start & (gran - 1)) == 0", serialize_start,
      ALWAYS_RUN },
    { "serialize/deserialize_part", "serialization_chunk", "(last >> hb->granularity) < hb->size",
      deserialize_end, ALWAYS_RUN },
    { "serialize/deserialize_ones", "serialization_chunk", "(last >> hb->granularity) < hb->size",
      deserialize_ones_end, ALWAYS_RUN },
    { "serialize/deserialize_zeroes", "serialization_chunk", "(count & (gran - 1)) == 0",
      deserialize_zeroes_count, ALWAYS_RUN },
    { "serialize/size", "serialization_chunk", "(last >> hb->granularity) < hb->size",
      serialization_size_end, ALWAYS_RUN },
    { "merge_internal/readonly", MERGE, "!bdrv_dirty_bitmap_readonly(dest)", merge_readonly,
      ALWAYS_RUN },
    { "merge_internal/inconsistent", MERGE, "!bdrv_dirty_bitmap_inconsistent(dest)",
      merge_inconsistent, ALWAYS_RUN },
    { "merge_internal/src-inconsistent", MERGE, "!bdrv_dirty_bitmap_inconsistent(src)",
      merge_src_inconsistent, ALWAYS_RUN },
};

/* The stand-alone host's own rule. */
static const AbortCase node_cases[] = {
    { "free-with-bitmaps", "qdb_node_free", "*", free_node_with_bitmaps, DIFF_HOST },
};

void add_dirty_bitmap_aborts(void)
{
    add_abort_cases("dirty-bitmap", cases, G_N_ELEMENTS(cases));
    add_abort_cases("node", node_cases, G_N_ELEMENTS(node_cases));
}
