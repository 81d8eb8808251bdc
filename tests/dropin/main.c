/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The drop-in object in a program that is not QEMU: a host of a few lines stands in for QEMU's
 * glue, and another Rust library is linked beside it. Proves that the object needs nothing but the
 * C library, libgcc_s and the qdb_host_ functions; that two Rust libraries get along; and what
 * QEMU's host is told: locks, errors, traces.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#undef NDEBUG
#include "host.h"
#include "traces.h"

size_t other_digits(uint64_t number);

/* Whether these events, and no others, were told since the last call. */
static bool was_traced(const char *events)
{
    bool equal = !strcmp(traced, events);

    if (!equal) {
        fprintf(stderr, "traced '%s', not '%s'\n", traced, events);
    }
    forget_traces();
    return equal;
}

static void test_nodes(void)
{
    BlockDriverState bs = { .length = 1 << 20 };
    BdrvDirtyBitmap *bitmap;
    BlockDirtyInfoList *list;
    HBitmap *old = NULL;
    Error *error = NULL;

    bitmap = bdrv_create_dirty_bitmap(&bs, bdrv_get_default_bitmap_granularity(&bs), "one", NULL);
    assert(bitmap && bs.bitmaps && bdrv_dirty_bitmap_first(&bs) == bitmap && locks > 0 &&
           !bs.locked);
    assert(bdrv_dirty_bitmap_granularity(bitmap) == 8192);
    assert(!bdrv_create_dirty_bitmap(&bs, 512, "one", &error));
    assert(!strcmp(error->msg, "Bitmap already exists: one") &&
           !strcmp(error->func, "bdrv_create_dirty_bitmap"));
    assert(error->os_errno == 0);
    free(error);

    bdrv_set_dirty(&bs, 8191, 2);
    assert(bdrv_get_dirty_count(bitmap) == 16384);
    list = bdrv_query_dirty_bitmaps(&bs);
    assert(list && !list->next && !strcmp(list->value->name, "one") && list->value->count == 16384);
    free(list->value->name);
    free(list->value);
    free(list);

    bdrv_clear_dirty_bitmap(bitmap, &old);
    assert(bdrv_get_dirty_count(bitmap) == 0);
    bdrv_restore_dirty_bitmap(bitmap, old);
    assert(bdrv_get_dirty_count(bitmap) == 16384 &&
           !strcmp(asserted_for, "bdrv_restore_dirty_bitmap"));

    bdrv_dirty_bitmap_set_persistence(bitmap, true);
    bdrv_dirty_bitmap_set_inconsistent(bitmap);
    assert(bdrv_dirty_bitmap_check(bitmap, BDRV_BITMAP_DEFAULT, &error) == -1);
    assert(!strcmp(error->hint, "Try block-dirty-bitmap-remove to delete this bitmap from disk\n"));
    free(error);
    bdrv_release_named_dirty_bitmaps(&bs);
    assert(!bs.bitmaps && retired == 1);

    bs.length = -5;
    error = NULL;
    assert(!bdrv_create_dirty_bitmap(&bs, 512, "two", &error) && error->os_errno == 5);
    free(error);
}

static void test_traces(void)
{
    HBitmap *hb = hbitmap_alloc(1000, 1);
    HBitmapIter iter;

    hbitmap_set(hb, 0, 2);
    assert(was_traced(""));
    tracing = tracing_iterators = 1;
    hbitmap_set(hb, 301, 6);
    assert(was_traced("set a 301,6 150..153\n"));
    hbitmap_set(hb, 301, 0);
    assert(was_traced(""));
    hbitmap_reset(hb, 300, 2);
    assert(was_traced("reset a 300,2 150..150\n"));
    hbitmap_iter_init(&iter, hb, 0);
    assert(hbitmap_iter_next(&iter) == 0 && was_traced(""));
    assert(hbitmap_iter_next(&iter) == 302 && was_traced("skip a 2 3800000\n"));
    assert(hbitmap_iter_next(&iter) == 304 && was_traced(""));
    assert(hbitmap_iter_next(&iter) == 306 && hbitmap_iter_next(&iter) == -1);
    tracing = tracing_iterators = 0;
    hbitmap_free(hb);
}

/* QEMU merges across granularities by setting each dirty area, and within one by words. */
static void test_traces_of_merges(void)
{
    HBitmap *fine = hbitmap_alloc(1000, 1), *coarse = hbitmap_alloc(1000, 4);
    HBitmap *result = hbitmap_alloc(1000, 3);

    hbitmap_set(fine, 10, 4);
    hbitmap_set(fine, 998, 2);
    hbitmap_set(coarse, 992, 8);
    tracing = 1;
    hbitmap_merge(coarse, fine, coarse);
    assert(was_traced("set a 10,4 0..0\nset a 998,2 62..62\n"));
    hbitmap_merge(coarse, fine, fine);
    assert(was_traced("set a 0,16 0..7\nset a 992,8 496..499\n"));
    hbitmap_merge(coarse, fine, result);
    assert(was_traced("set a 0,16 0..1\nset a 992,8 124..124\n"
                      "set a 0,16 0..1\nset a 992,8 124..124\n"));
    hbitmap_merge(fine, fine, result);
    hbitmap_merge(fine, fine, fine);
    assert(was_traced(""));
    hbitmap_reset_all(fine);
    hbitmap_merge(coarse, fine, coarse);
    assert(was_traced(""));
    tracing = 0;
    hbitmap_free(fine);
    hbitmap_free(coarse);
    hbitmap_free(result);
}

static void test_traces_of_dirty_bitmaps(void)
{
    BlockDriverState bs = { .length = 1 << 20 };
    BdrvDirtyBitmap *fine = bdrv_create_dirty_bitmap(&bs, 512, "fine", NULL);
    BdrvDirtyBitmap *coarse = bdrv_create_dirty_bitmap(&bs, 4096, "coarse", NULL);
    HBitmap *old = NULL;

    bdrv_set_dirty_bitmap(fine, 8192, 1024);
    bdrv_set_dirty_bitmap(coarse, 0, 1);
    tracing = 1;
    assert(bdrv_merge_dirty_bitmap(coarse, fine, NULL, NULL));
    assert(was_traced("set a 8192,1024 2..2\n"));
    /* With a backup both are merged into a new bitmap. */
    assert(bdrv_merge_dirty_bitmap(coarse, fine, &old, NULL));
    assert(was_traced("set a 0,4096 0..0\nset a 8192,4096 2..2\nset a 8192,1024 2..2\n"));
    bdrv_restore_dirty_bitmap(coarse, old);
    assert(bdrv_merge_dirty_bitmap(coarse, coarse, &old, NULL));
    bdrv_restore_dirty_bitmap(coarse, old);
    assert(was_traced(""));
    bdrv_dirty_bitmap_truncate(&bs, 2 << 20);
    assert(was_traced(""));
    bdrv_dirty_bitmap_truncate(&bs, 8192 + 512);
    assert(was_traced("reset a 12288,2084864 3..511\nreset b 8704,2088448 17..4095\n"));
    tracing = 0;
    bdrv_release_named_dirty_bitmaps(&bs);
}

/* What a truncate cuts off is reset: whole granules, never a part of one. */
static void test_traces_of_truncates(void)
{
    HBitmap *hb = hbitmap_alloc(1000, 4);

    tracing = 1;
    hbitmap_truncate(hb, 995);
    hbitmap_truncate(hb, 5000);
    assert(was_traced(""));
    hbitmap_truncate(hb, 17);
    assert(was_traced("reset a 32,4976 2..312\n"));
    hbitmap_truncate(hb, 0);
    assert(was_traced("reset a 0,32 0..1\n"));
    tracing = 0;
    hbitmap_free(hb);
}

static void reset_a_part_of_a_granule(HBitmap *hb)
{
    hbitmap_reset(hb, 1, 16);
}

static void reset_past_the_end(HBitmap *hb)
{
    hbitmap_reset(hb, 1008, 16);
}

static void set_past_the_end(HBitmap *hb)
{
    hbitmap_set(hb, 1000, 9);
}

static void truncate_too_far(HBitmap *hb)
{
    hbitmap_truncate(hb, UINT64_MAX);
}

static void status_past_the_end(HBitmap *hb)
{
    int64_t same;

    hbitmap_status(hb, 0, 1001, &same);
}

/*
 * What is told of a call that aborts: in QEMU the events lie between the assertions about alignment
 * and that about the end.
 */
static void test_traces_of_aborts(void)
{
    static const struct {
        void (*call)(HBitmap *hb);
        const char *told;
    } cases[] = {
        { reset_a_part_of_a_granule, "" },
        { reset_past_the_end, "reset a 1008,16 63..63\n" },
        { set_past_the_end, "set a 1000,9 62..63\n" },
        { truncate_too_far, "" },
        { status_past_the_end, "" },
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        pid_t child = fork();
        int status;

        if (child == 0) {
            HBitmap *hb = hbitmap_alloc(1000, 4);

            hbitmap_set(hb, 0, 1);
            forget_traces();
            fclose(stderr);
            tracing = tracing_iterators = 1;
            at_abort(cases[i].told);
            cases[i].call(hb);
            _exit(1);
        }
        assert(child > 0 && waitpid(child, &status, 0) == child);
        if (!WIFEXITED(status) || WEXITSTATUS(status) != ABORTED_AS_TOLD) {
            fprintf(stderr, "case %zu: status %x\n", i, (unsigned)status);
            abort();
        }
    }
}

/* A write to blocks that are dirty takes no lock, but who traces sees each bitmap set. */
static void test_write_filter(void)
{
    BlockDriverState bs = { .length = 1 << 20 };
    BdrvDirtyBitmap *one = bdrv_create_dirty_bitmap(&bs, 4096, NULL, NULL);
    BdrvDirtyBitmap *two = bdrv_create_dirty_bitmap(&bs, 65536, NULL, NULL);
    int before;

    bdrv_set_dirty(&bs, 4096, 1);
    bdrv_set_dirty(&bs, 4096, 1);
    before = locks;
    bdrv_set_dirty(&bs, 4096, 4096);
    assert(!bdrv_has_readonly_bitmaps(&bs));
    assert(locks == before && bdrv_get_dirty_count(one) == 4096 &&
           bdrv_get_dirty_count(two) == 65536);
    tracing = 1;
    bdrv_set_dirty(&bs, 4096, 4096);
    assert(locks == before + 1);
    assert(was_traced("set a 4096,4096 0..0\nset b 4096,4096 1..1\n"));
    tracing = 0;

    retired = 0;
    bdrv_release_dirty_bitmap(one);
    assert(retired == 1);
    bdrv_release_dirty_bitmap(two);
    assert(retired == 2 && !bs.bitmaps);
}

int main(void)
{
    assert(other_digits(1234567) == 7);
    test_nodes();
    test_traces();
    test_traces_of_merges();
    test_traces_of_dirty_bitmaps();
    test_traces_of_truncates();
    test_traces_of_aborts();
    test_write_filter();
    assert(other_digits(0) == 1);
    puts("the drop-in object works beside another Rust library");
    return 0;
}
