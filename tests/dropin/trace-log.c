/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Prints the trace events of a random sequence of calls: trace-log SEED CALLS. The same program,
 * linked with QEMU's two C files and with the drop-in object, must print the same
 * (tests/qemu/test_trace.py).
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#undef NDEBUG
#include "qemu_dirty_bitmap.h"
#include "traces.h"

#define COUNT 4
#define MAX_SIZE (1 << 17)

static const int granularities[COUNT] = { 9, 9, 12, 14 };
static HBitmap *hb[COUNT];
static BdrvDirtyBitmap *bitmap[COUNT];
static BlockDriverState *node;
static uint64_t size = 100000, seed;

/* Below `limit`. SplitMix64. */
static uint64_t number(uint64_t limit)
{
    uint64_t z = seed += 0x9e3779b97f4a7c15;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return limit ? (z ^ (z >> 31)) % limit : 0;
}

static void some_range(uint64_t *start, uint64_t *count)
{
    *start = number(size);
    *count = number(4) ? number(8192) : number(size);
    if (*count > size - *start) {
        *count = size - *start;
    }
}

/* Whole granules, as a reset wants them. */
static bool some_granules(int granularity, uint64_t *start, uint64_t *count)
{
    uint64_t granule = 1ULL << granularity;

    some_range(start, count);
    *start &= -granule;
    *count = (*count + granule - 1) & -granule;
    if (*start + *count > size) {
        *count = size - *start;
    }
    return *count != 0;
}

static void merge_some(void)
{
    int a = number(COUNT), b = number(COUNT), result = number(COUNT);

    /* Two of one granularity into a third of another one: C writes past its end. */
    if (granularities[a] == granularities[b]) {
        result = number(2) ? a : b;
    }
    printf("merge %d %d %d\n", a, b, result);
    hbitmap_merge(hb[a], hb[b], hb[result]);
}

static void merge_some_dirty(void)
{
    int dest = number(COUNT), src = number(COUNT), kind = number(3);
    HBitmap *old = NULL;

    printf("merge dirty %d %d kind %d\n", dest, src, kind);
    assert(bdrv_merge_dirty_bitmap(bitmap[dest], bitmap[src], kind ? &old : NULL, NULL));
    if (kind == 1) {
        bdrv_restore_dirty_bitmap(bitmap[dest], old);
    } else if (kind == 2) {
        hbitmap_free(old);
    }
}

static void freeze_and_reclaim(int i)
{
    printf("reclaim %d\n", i);
    assert(bdrv_dirty_bitmap_create_successor(bitmap[i], NULL) == 0);
    bdrv_set_dirty(node, number(size), 1);
    assert(bdrv_reclaim_dirty_bitmap(bitmap[i], NULL) == bitmap[i]);
}

static void truncate_all(void)
{
    size = 1 + number(number(2) ? MAX_SIZE : 20000);
    printf("truncate %d\n", (int)size);
    for (int i = 0; i < COUNT; i++) {
        hbitmap_truncate(hb[i], size);
    }
    qdb_node_set_length(node, size);
    bdrv_dirty_bitmap_truncate(node, size);
}

static void call(void)
{
    int i = number(COUNT);
    uint64_t start, count;

    switch (number(12)) {
    case 0 ... 2:
        some_range(&start, &count);
        hbitmap_set(hb[i], start, count);
        break;
    case 3:
        some_range(&start, &count);
        bdrv_set_dirty_bitmap(bitmap[i], start, count);
        break;
    case 4:
        some_range(&start, &count);
        bdrv_set_dirty(node, start, count);
        break;
    case 5:
        if (some_granules(granularities[i], &start, &count)) {
            hbitmap_reset(hb[i], start, count);
            bdrv_reset_dirty_bitmap(bitmap[i], start, count);
        }
        break;
    case 6 ... 7:
        merge_some();
        break;
    case 8 ... 9:
        merge_some_dirty();
        break;
    case 10:
        if (number(2)) {
            truncate_all();
        } else {
            freeze_and_reclaim(i);
        }
        break;
    default:
        hbitmap_reset_all(hb[i]);
        bdrv_clear_dirty_bitmap(bitmap[i], NULL);
    }
}

int main(int argc, char **argv)
{
    int calls = argc == 3 ? atoi(argv[2]) : 0;

    if (calls < 1) {
        fprintf(stderr, "trace-log SEED CALLS\n");
        return 2;
    }
    seed = strtoull(argv[1], NULL, 10);
    node = qdb_node_new(size, 0, "node");
    for (int i = 0; i < COUNT; i++) {
        char name[2] = { 'a' + i };

        hb[i] = hbitmap_alloc(size, granularities[i]);
        bitmap[i] = bdrv_create_dirty_bitmap(node, 1 << granularities[i], name, NULL);
        assert(bitmap[i]);
    }
    tracing = 1;
    for (int i = 0; i < calls; i++) {
        forget_traces();
        call();
        printf("%s", traced);
    }
    return 0;
}
