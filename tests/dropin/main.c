/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The drop-in object in a program that is not QEMU: a host of a few lines stands in for QEMU's glue, and another Rust library is
 * linked beside it. Proves that the object needs nothing but the C library, libgcc_s and the qdb_host_ functions; that two Rust
 * libraries get along; and what QEMU's host is told: locks, errors, traces.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#undef NDEBUG
#include "qemu_dirty_bitmap.h"

struct BlockDriverState {
    BdrvDirtyBitmap *first;
    int64_t length;
    int locked;
};

struct Error {
    int os_errno;
    char func[64];
    char msg[256];
    char hint[256];
};

typedef struct QdbDirtyInfo {
    const char *name;
    int64_t count;
    uint32_t granularity;
    bool recording, busy, persistent, inconsistent;
} QdbDirtyInfo;

size_t other_digits(uint64_t number);

static int locks;
static char asserted_for[64];
static uint16_t tracing;
static char traced[256];

const uint16_t *const qdb_host_trace_set_state = &tracing;
const uint16_t *const qdb_host_trace_reset_state = &tracing;
const uint16_t *const qdb_host_trace_iter_skip_words_state = &tracing;

void qdb_host_lock(BlockDriverState *bs);
void qdb_host_unlock(BlockDriverState *bs);
BdrvDirtyBitmap **qdb_host_bitmaps(BlockDriverState *bs);
int64_t qdb_host_length(BlockDriverState *bs);
int64_t qdb_host_cluster_size(BlockDriverState *bs);
void qdb_host_error_set(Error **errp, int os_errno, const char *func, const char *msg);
void qdb_host_error_hint(Error **errp, const char *hint);
void qdb_host_info_append(BlockDirtyInfoList ***tail, const QdbDirtyInfo *info);
void qdb_host_assert_global_state(const char *func);
void qdb_host_trace_set(const void *hb, uint64_t start, uint64_t count, uint64_t sbit, uint64_t ebit);
void qdb_host_trace_reset(const void *hb, uint64_t start, uint64_t count, uint64_t sbit, uint64_t ebit);
void qdb_host_trace_iter_skip_words(const void *hb, void *hbi, uint64_t pos, unsigned long cur);

void qdb_host_lock(BlockDriverState *bs)
{
    assert(!bs->locked);
    bs->locked = 1;
    locks++;
}

void qdb_host_unlock(BlockDriverState *bs)
{
    assert(bs->locked);
    bs->locked = 0;
}

BdrvDirtyBitmap **qdb_host_bitmaps(BlockDriverState *bs)
{
    return &bs->first;
}

int64_t qdb_host_length(BlockDriverState *bs)
{
    return bs->length;
}

int64_t qdb_host_cluster_size(BlockDriverState *bs)
{
    (void)bs;
    return 8192;
}

void qdb_host_error_set(Error **errp, int os_errno, const char *func, const char *msg)
{
    if (errp) {
        *errp = calloc(1, sizeof(**errp));
        (*errp)->os_errno = os_errno;
        snprintf((*errp)->func, sizeof((*errp)->func), "%s", func);
        snprintf((*errp)->msg, sizeof((*errp)->msg), "%s", msg);
    }
}

void qdb_host_error_hint(Error **errp, const char *hint)
{
    if (errp) {
        snprintf((*errp)->hint, sizeof((*errp)->hint), "%s", hint);
    }
}

void qdb_host_info_append(BlockDirtyInfoList ***tail, const QdbDirtyInfo *info)
{
    BlockDirtyInfoList *entry = calloc(1, sizeof(*entry));

    entry->value = calloc(1, sizeof(*entry->value));
    entry->value->name = info->name ? strdup(info->name) : NULL;
    entry->value->count = info->count;
    entry->value->granularity = info->granularity;
    entry->value->recording = info->recording;
    **tail = entry;
    *tail = &entry->next;
}

void qdb_host_assert_global_state(const char *func)
{
    snprintf(asserted_for, sizeof(asserted_for), "%s", func);
}

void qdb_host_trace_set(const void *hb, uint64_t start, uint64_t count, uint64_t sbit, uint64_t ebit)
{
    snprintf(traced, sizeof(traced), "%d set %d %d %d %d", hb != NULL, (int)start, (int)count, (int)sbit, (int)ebit);
}

void qdb_host_trace_reset(const void *hb, uint64_t start, uint64_t count, uint64_t sbit, uint64_t ebit)
{
    snprintf(traced, sizeof(traced), "%d reset %d %d %d %d", hb != NULL, (int)start, (int)count, (int)sbit, (int)ebit);
}

void qdb_host_trace_iter_skip_words(const void *hb, void *hbi, uint64_t pos, unsigned long cur)
{
    snprintf(traced, sizeof(traced), "%d%d skip %d %lx", hb != NULL, hbi != NULL, (int)pos, cur);
}

/* Whether the event was told since the last call. */
static bool was_traced(const char *event)
{
    bool equal = !strcmp(traced, event);

    if (!equal) {
        fprintf(stderr, "traced '%s', not '%s'\n", traced, event);
    }
    traced[0] = '\0';
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
    assert(bitmap && bs.first == bitmap && locks > 0 && !bs.locked);
    assert(bdrv_dirty_bitmap_granularity(bitmap) == 8192);
    assert(!bdrv_create_dirty_bitmap(&bs, 512, "one", &error));
    assert(!strcmp(error->msg, "Bitmap already exists: one") && !strcmp(error->func, "bdrv_create_dirty_bitmap"));
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
    assert(bdrv_get_dirty_count(bitmap) == 16384 && !strcmp(asserted_for, "bdrv_restore_dirty_bitmap"));

    bdrv_dirty_bitmap_set_persistence(bitmap, true);
    bdrv_dirty_bitmap_set_inconsistent(bitmap);
    assert(bdrv_dirty_bitmap_check(bitmap, BDRV_BITMAP_DEFAULT, &error) == -1);
    assert(!strcmp(error->hint, "Try block-dirty-bitmap-remove to delete this bitmap from disk\n"));
    free(error);
    bdrv_release_named_dirty_bitmaps(&bs);
    assert(!bs.first);

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
    tracing = 1;
    hbitmap_set(hb, 301, 6);
    assert(was_traced("1 set 301 6 150 153"));
    hbitmap_set(hb, 301, 0);
    assert(was_traced(""));
    hbitmap_reset(hb, 300, 2);
    assert(was_traced("1 reset 300 2 150 150"));
    hbitmap_iter_init(&iter, hb, 0);
    assert(hbitmap_iter_next(&iter) == 0 && was_traced(""));
    assert(hbitmap_iter_next(&iter) == 302 && was_traced("11 skip 2 3800000"));
    assert(hbitmap_iter_next(&iter) == 304 && was_traced(""));
    assert(hbitmap_iter_next(&iter) == 306 && hbitmap_iter_next(&iter) == -1);
    tracing = 0;
    hbitmap_free(hb);
}

int main(void)
{
    assert(other_digits(1234567) == 7);
    test_nodes();
    test_traces();
    assert(other_digits(0) == 1);
    puts("the drop-in object works beside another Rust library");
    return 0;
}
