/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The inputs of docs/differences.md that one thread can give: each in a process of its own, because
 * most of them end it.
 *
 *   faults CASE
 *
 * The same file is linked with QEMU's two C files and with the library. What a case finds out is
 * printed on stdout.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "qemu_dirty_bitmap.h"

#define GRANULE 65536
#define SIZE (100 * GRANULE)

/* Bits 100 to 127, of a bitmap of 100 bits. */
static const uint8_t tail[16] = { [12] = 0xf0, 0xff, 0xff, 0xff };

static BlockDriverState *node;

static BdrvDirtyBitmap *bitmap_new(const char *name)
{
    if (!node) {
        node = qdb_node_new(SIZE, 0, "node");
    }
    return bdrv_create_dirty_bitmap(node, GRANULE, name, &error_abort);
}

/* The compiler must not know what is called with NULL. */
static void *volatile nothing;

/* Searching */

static void next_zero_past_the_end(void)
{
    printf("%" PRId64 "\n", hbitmap_next_zero(hbitmap_alloc(640, 0), 1 << 20, 1));
}

static void next_zero_of_a_negative_start(void)
{
    printf("%" PRId64 "\n", hbitmap_next_zero(hbitmap_alloc(640, 0), -(1 << 20), 1));
}

/* Merging */

/*
 * Two bitmaps, one with the first @unit items, one with the last, into a result of another
 * granularity.
 */
static void merge_both_ends(int granularity, int of_result, uint64_t unit)
{
    HBitmap *a = hbitmap_alloc(1 << 20, granularity), *b = hbitmap_alloc(1 << 20, granularity);
    HBitmap *result = hbitmap_alloc(1 << 20, of_result);

    hbitmap_set(a, 0, unit);
    hbitmap_set(b, (1 << 20) - unit, unit);
    hbitmap_merge(a, b, result);
    printf("%" PRIu64 " dirty\n", hbitmap_count(result));
}

static void merge_into_a_coarser_result(void)
{
    merge_both_ends(0, 10, 1);
}

static void merge_into_a_finer_result(void)
{
    merge_both_ends(10, 0, 1024);
}

/* Iterators over what is gone */

static void iterate_after_truncate(void)
{
    HBitmap *hb = hbitmap_alloc(1 << 24, 0);
    HBitmapIter iter;

    hbitmap_set(hb, 0, 1 << 24);
    hbitmap_iter_init(&iter, hb, 1 << 23);
    hbitmap_truncate(hb, 1 << 10);
    printf("%" PRId64 "\n", hbitmap_iter_next(&iter));
}

static void iterate_after_clear_with_a_backup(void)
{
    BdrvDirtyBitmap *bitmap = bitmap_new("b");
    BdrvDirtyBitmapIter *iter;
    HBitmap *backup;

    bdrv_set_dirty_bitmap(bitmap, 0, SIZE);
    iter = bdrv_dirty_iter_new(bitmap);
    bdrv_clear_dirty_bitmap(bitmap, &backup);
    hbitmap_free(backup);
    printf("%" PRId64 "\n", bdrv_dirty_iter_next(iter));
}

static void iterate_after_restore(void)
{
    BdrvDirtyBitmap *bitmap = bitmap_new("b");
    BdrvDirtyBitmapIter *iter;
    HBitmap *backup;

    bdrv_set_dirty_bitmap(bitmap, 0, SIZE);
    bdrv_clear_dirty_bitmap(bitmap, &backup);
    iter = bdrv_dirty_iter_new(bitmap);
    bdrv_restore_dirty_bitmap(bitmap, backup);
    printf("%" PRId64 "\n", bdrv_dirty_iter_next(iter));
}

/* Deserialising */

static void print_items(HBitmap *hb)
{
    HBitmapIter iter;
    int64_t item;
    int past = 0, all = 0;

    hbitmap_iter_init(&iter, hb, 0);
    while ((item = hbitmap_iter_next(&iter)) >= 0) {
        all++;
        past += item >= 100;
    }
    printf("%d items, %d past the end\n", all, past);
}

static void bits_past_the_end(void)
{
    HBitmap *hb = hbitmap_alloc(100, 0);
    uint8_t bytes[16];

    memcpy(bytes, tail, sizeof(bytes));
    hbitmap_deserialize_part(hb, bytes, 0, 100, true);
    print_items(hb);
}

static void ones_past_the_end(void)
{
    HBitmap *hb = hbitmap_alloc(100, 0);

    hbitmap_deserialize_ones(hb, 0, 100, true);
    print_items(hb);
}

/*
 * The disk grows over the bits that stayed, a guest writes there, and the bitmap is merged as a
 * backup does it.
 */
static void write_lost_after_bits_past_the_end(void)
{
    BdrvDirtyBitmap *bitmap = bitmap_new("b"), *copy;
    uint8_t bytes[16];

    memcpy(bytes, tail, sizeof(bytes));
    bdrv_dirty_bitmap_deserialize_part(bitmap, bytes, 0, SIZE, true);
    qdb_node_set_length(node, SIZE + 10 * GRANULE);
    bdrv_dirty_bitmap_truncate(node, SIZE + 10 * GRANULE);
    bdrv_set_dirty(node, SIZE + 5 * GRANULE, 512);
    copy = bitmap_new("copy");
    bdrv_merge_dirty_bitmap(copy, bitmap, NULL, &error_abort);
    printf("written: %s\n", bdrv_dirty_bitmap_get(copy, SIZE + 5 * GRANULE) ? "dirty" : "lost");
}

static void write_lost_after_a_part_without_finish(void)
{
    BdrvDirtyBitmap *bitmap = bitmap_new("b");
    uint8_t bytes[16] = { [8] = 1 };

    bdrv_dirty_bitmap_deserialize_part(bitmap, bytes, 0, SIZE, false);
    bdrv_set_dirty(node, 64 * GRANULE, 512);
    printf("written: %s\n", bdrv_dirty_bitmap_next_dirty(bitmap, 0, SIZE) >= 0 ? "dirty" : "lost");
}

static void write_after_zeroes_without_finish(void)
{
    BdrvDirtyBitmap *bitmap = bitmap_new("b");

    bdrv_set_dirty(node, 0, SIZE);
    bdrv_dirty_bitmap_deserialize_zeroes(bitmap, 0, SIZE, false);
    bdrv_set_dirty(node, 0, 512);
    printf("%" PRId64 " dirty\n", bdrv_get_dirty_count(bitmap) / GRANULE);
}

static void finish_of_no_bits(void)
{
    hbitmap_deserialize_finish(hbitmap_alloc(0, 0));
    printf("finished\n");
}

static void zeroes_around_the_end_of_numbers(void)
{
    HBitmap *hb = hbitmap_alloc(UINT64_C(64) << 16, 16);

    hbitmap_deserialize_zeroes(hb, -(UINT64_C(64) << 16), UINT64_C(64) << 17, true);
    printf("done\n");
}

static void coverage_of_a_large_chunk(void)
{
    printf("%" PRIu64 " bytes\n",
           bdrv_dirty_bitmap_serialization_coverage(1 << 28, bitmap_new("b")));
}

/* States */

static void enable_a_successor_that_is_not_there(void)
{
    bdrv_dirty_bitmap_enable_successor(bitmap_new("b"));
    printf("done\n");
}

static void restore_of_nothing(void)
{
    BdrvDirtyBitmap *bitmap = bitmap_new("b");

    bdrv_restore_dirty_bitmap(bitmap, nothing);
    printf("restored\n");
    fflush(stdout);
    printf("%" PRId64 "\n", bdrv_get_dirty_count(bitmap));
}

static void restore_of_a_coarse_bitmap(void)
{
    BdrvDirtyBitmap *bitmap = bitmap_new("b");

    bdrv_restore_dirty_bitmap(bitmap, hbitmap_alloc(SIZE, 33));
    printf("granularity %" PRIu32 "\n", bdrv_dirty_bitmap_granularity(bitmap));
}

static void count_of_nothing(void)
{
    printf("%" PRIu64 "\n", hbitmap_count(nothing));
}

static void disable_nothing(void)
{
    bdrv_disable_dirty_bitmap(nothing);
    printf("lives\n");
}

static void enable_nothing(void)
{
    bdrv_enable_dirty_bitmap(nothing);
    printf("lives\n");
}

static BdrvDirtyBitmap *first_of_two;

static void tell_size(int number)
{
    (void)number;
    printf("aborted; the other bitmap has %" PRId64 " granules\n",
           bdrv_dirty_bitmap_size(first_of_two) / GRANULE);
    fflush(stdout);
    _exit(0);
}

static void truncate_with_a_busy_bitmap(void)
{
    BdrvDirtyBitmap *busy = bitmap_new("busy");

    first_of_two = bitmap_new("first");
    bdrv_dirty_bitmap_set_busy(busy, true);
    signal(SIGABRT, tell_size);
    bdrv_dirty_bitmap_truncate(node, SIZE / 2);
    printf("truncated\n");
}

static const struct {
    const char *name;
    void (*run)(void);
} cases[] = {
#define CASE(name) { #name, name }
    CASE(next_zero_past_the_end),
    CASE(next_zero_of_a_negative_start),
    CASE(merge_into_a_coarser_result),
    CASE(merge_into_a_finer_result),
    CASE(iterate_after_truncate),
    CASE(iterate_after_clear_with_a_backup),
    CASE(iterate_after_restore),
    CASE(bits_past_the_end),
    CASE(ones_past_the_end),
    CASE(write_lost_after_bits_past_the_end),
    CASE(write_lost_after_a_part_without_finish),
    CASE(write_after_zeroes_without_finish),
    CASE(finish_of_no_bits),
    CASE(zeroes_around_the_end_of_numbers),
    CASE(coverage_of_a_large_chunk),
    CASE(enable_a_successor_that_is_not_there),
    CASE(restore_of_nothing),
    CASE(restore_of_a_coarse_bitmap),
    CASE(count_of_nothing),
    CASE(disable_nothing),
    CASE(enable_nothing),
    CASE(truncate_with_a_busy_bitmap),
};

int main(int argc, char **argv)
{
    for (size_t i = 0; argc == 2 && i < sizeof(cases) / sizeof(*cases); i++) {
        if (strcmp(cases[i].name, argv[1]) == 0) {
            cases[i].run();
            return 0;
        }
    }
    fprintf(stderr, "faults: no case %s\n", argc == 2 ? argv[1] : "given");
    return 2;
}
