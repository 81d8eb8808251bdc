/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every function that takes a range, on bitmaps from no item to 2^63 - 1, with ranges of every two
 * numbers at which arithmetic ends: the answer is what the rules say, or the process aborts with
 * the assertion. On this library and on QEMU's C.
 */
#include <signal.h>
#include <sys/wait.h>

#include "common.h"
#include "limits-rules.h"
#include "limits-tests.h"
#include "node.h"

typedef struct Shape {
    uint64_t size;
    int granularity;
    bool on_node; /* a BdrvDirtyBitmap, or else an HBitmap */
} Shape;

static const Shape shapes[] = {
    { 0, 0, false },
    { 0, 63, false },
    { 1, 0, false },
    { 1, 63, false },
    { 64, 0, false },
    { 4097, 0, false },
    { (UINT64_C(1) << 41) - 1, 30, false },
    { UINT64_C(1) << 41, 30, false },
    { INT64_MAX, 51, false },
    { INT64_MAX - 5, 57, false },
    { INT64_MAX, 58, false },
    { INT64_MAX, 62, false },
    { INT64_MAX, 63, false },
    { 0, 9, true },
    { 1, 31, true },
    { 512 * 65 + 1, 9, true },
    { (UINT64_C(1) << 43) - 1, 31, true },
};

typedef struct Query {
    HBitmap *hb; /* one of both */
    BdrvDirtyBitmap *bitmap;
    BlockDriverState *bs; /* the bitmap's node */
    LimitCall call;
    uint64_t first, second;
} Query;

static Answer ask_node(const Query *q)
{
    Answer answer = { .fate = FATE_RETURNS };
    int64_t first = (int64_t)q->first, second = (int64_t)q->second, start = 0;
    BdrvDirtyBitmapIter *iter;

    switch (q->call) {
    case LIMIT_SET:
        bdrv_set_dirty_bitmap(q->bitmap, first, second);
        answer.value = bdrv_get_dirty_count(q->bitmap);
        break;
    case LIMIT_RESET:
        bdrv_reset_dirty_bitmap(q->bitmap, first, second);
        answer.value = bdrv_get_dirty_count(q->bitmap);
        break;
    case LIMIT_GET:
        answer.value = bdrv_dirty_bitmap_get(q->bitmap, first);
        break;
    case LIMIT_NEXT_DIRTY:
        answer.value = bitmap_next_dirty(q->bitmap, first, second);
        break;
    case LIMIT_NEXT_ZERO:
        answer.value = bitmap_next_zero(q->bitmap, first, second);
        break;
    case LIMIT_NEXT_AREA:
        if (!bitmap_next_dirty_area(q->bitmap, first, second, second, &start, &answer.length)) {
            start = -1;
        }
        answer.value = start;
        break;
    case LIMIT_STATUS:
        answer.value = bitmap_status(q->bitmap, first, second, &answer.length);
        break;
    case LIMIT_SERIAL_SIZE:
        answer.value =
            (int64_t)bdrv_dirty_bitmap_serialization_size(q->bitmap, q->first, q->second);
        break;
    case LIMIT_ZEROES:
        bdrv_dirty_bitmap_deserialize_zeroes(q->bitmap, q->first, q->second, q->second > 0);
        answer.value = bdrv_get_dirty_count(q->bitmap);
        break;
    case LIMIT_ITER:
        iter = bdrv_dirty_iter_new(q->bitmap);
        bdrv_set_dirty_iter(iter, first);
        answer.value = bdrv_dirty_iter_next(iter);
        bdrv_dirty_iter_free(iter);
        break;
    case LIMIT_CALLS:
        g_assert_not_reached();
    }
    return answer;
}

static Answer ask_hbitmap(const Query *q)
{
    Answer answer = { .fate = FATE_RETURNS };
    HBitmapIter iter;
    int64_t start = 0;

    switch (q->call) {
    case LIMIT_SET:
        hbitmap_set(q->hb, q->first, q->second);
        answer.value = (int64_t)hbitmap_count(q->hb);
        break;
    case LIMIT_RESET:
        hbitmap_reset(q->hb, q->first, q->second);
        answer.value = (int64_t)hbitmap_count(q->hb);
        break;
    case LIMIT_GET:
        answer.value = hbitmap_get(q->hb, q->first);
        break;
    case LIMIT_NEXT_DIRTY:
        answer.value = hbitmap_next_dirty(q->hb, (int64_t)q->first, (int64_t)q->second);
        break;
    case LIMIT_NEXT_ZERO:
        answer.value = hbitmap_next_zero(q->hb, (int64_t)q->first, (int64_t)q->second);
        break;
    case LIMIT_NEXT_AREA:
        if (!hbitmap_next_dirty_area(q->hb, (int64_t)q->first, (int64_t)q->second,
                                     (int64_t)q->second, &start, &answer.length)) {
            start = -1;
        }
        answer.value = start;
        break;
    case LIMIT_STATUS:
        answer.value = hbitmap_status(q->hb, (int64_t)q->first, (int64_t)q->second, &answer.length);
        break;
    case LIMIT_SERIAL_SIZE:
        answer.value = (int64_t)hbitmap_serialization_size(q->hb, q->first, q->second);
        break;
    case LIMIT_ZEROES:
        /* A bitmap of no bits must not be finished in QEMU's C. */
        hbitmap_deserialize_zeroes(q->hb, q->first, q->second, q->second > 0);
        answer.value = (int64_t)hbitmap_count(q->hb);
        break;
    case LIMIT_ITER:
        hbitmap_iter_init(&iter, q->hb, q->first);
        answer.value = hbitmap_iter_next(&iter);
        break;
    case LIMIT_CALLS:
        g_assert_not_reached();
    }
    return answer;
}

static Answer ask(const Query *q)
{
    return q->bitmap ? ask_node(q) : ask_hbitmap(q);
}

static void ask_and_forget(void *opaque)
{
    ask(opaque);
}

/* Not what QEMU's macros think of it: the text has the function's name and a condition. */
static bool dies_well(const Query *q)
{
    char *text;
    int status = run_in_child(ask_and_forget, (void *)q, &text);
    bool good = WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT &&
                g_pattern_match_simple("*Assertion `*' failed*", text);

    g_free(text);
    return good;
}

/* Whether it is as the rule says. */
static bool as_expected(const Query *q, const Answer *expected)
{
    Answer got;

    switch (expected->fate) {
    case FATE_ABORTS_HERE:
        return on_qemu() || dies_well(q);
    case FATE_ABORTS:
        return dies_well(q);
    case FATE_RETURNS_HERE:
        if (on_qemu()) {
            return true;
        }
        break;
    case FATE_RETURNS:
        break;
    }
    got = ask(q);
    return got.value == expected->value &&
           (got.length == expected->length || expected->length == 0);
}

/* Numbers around which something ends, for a shape. */
static unsigned edges(const Shape *shape, uint64_t *out)
{
    const uint64_t unit = UINT64_C(1) << shape->granularity;
    const uint64_t candidates[] = {
        0,
        1,
        unit,
        64 * unit, /* wraps for the coarsest ones, which is as good */
        shape->size - 1,
        shape->size,
        shape->size + 1,
        (shape->size + unit - 1) & ~(unit - 1),
        shape->size - (shape->size & (unit - 1)),
        UINT64_C(1) << 32,
        INT64_MAX,
        UINT64_C(1) << 63,
        0 - unit,
        UINT64_MAX - shape->size,
        UINT64_MAX,
    };
    unsigned count = 0;

    for (size_t i = 0; i < G_N_ELEMENTS(candidates); i++) {
        bool known = false;

        for (unsigned j = 0; j < count; j++) {
            known |= out[j] == candidates[i];
        }
        if (!known) {
            out[count++] = candidates[i];
        }
    }
    return count;
}

/* A bitmap with its first and its last item dirty. */
static void prepare(Plain *plain, Query *q, const Shape *shape)
{
    plain_init(plain, shape->size, shape->granularity);
    if (shape->on_node) {
        q->hb = NULL;
        q->bs = qdb_node_new((int64_t)shape->size, 0, NULL);
        q->bitmap =
            bdrv_create_dirty_bitmap(q->bs, UINT32_C(1) << shape->granularity, NULL, &error_abort);
    } else {
        q->hb = hbitmap_alloc(shape->size, shape->granularity);
        q->bitmap = NULL;
    }
    if (shape->size > 0) {
        Query set = *q;

        set.call = LIMIT_SET;
        set.second = 1;
        for (int last = 1; last >= 0; last--) {
            set.first = last ? shape->size - 1 : 0;
            g_assert_cmpint(ask(&set).value, ==, rule(plain, LIMIT_SET, set.first, 1).value);
        }
    }
}

static void discard(Query *q)
{
    if (q->bitmap) {
        bdrv_release_dirty_bitmap(q->bitmap);
        qdb_node_free(q->bs);
    } else {
        hbitmap_free(q->hb);
    }
}

static void ranges(gconstpointer data)
{
    const Shape *shape = data;
    uint64_t numbers[32];
    unsigned count = edges(shape, numbers), fates[4] = { 0 };
    Plain *plain = g_new(Plain, 1), *copy = g_new(Plain, 1);
    Query q = { 0 };

    prepare(plain, &q, shape);
    for (q.call = 0; q.call < LIMIT_CALLS; q.call++) {
        for (unsigned i = 0; i < count; i++) {
            for (unsigned j = 0; j < count; j++) {
                Answer expected;

                q.first = numbers[i];
                q.second = numbers[j];
                if ((q.call == LIMIT_GET || q.call == LIMIT_ITER) && j > 0) {
                    continue;
                }
                *copy = *plain;
                expected = rule(copy, q.call, q.first, q.second);
                fates[expected.fate]++;
                if (!as_expected(&q, &expected)) {
                    g_error("call %d on size 0x%" PRIx64 ", granularity %d with 0x%" PRIx64
                            ", 0x%" PRIx64 ": not what the rule says (fate %d, value 0x%" PRIx64
                            ", length 0x%" PRIx64 ")",
                            q.call, shape->size, shape->granularity, q.first, q.second,
                            expected.fate, (uint64_t)expected.value, (uint64_t)expected.length);
                }
                if (expected.fate == FATE_RETURNS && memcmp(copy, plain, sizeof(*copy)) != 0) {
                    /* Anew, so that each call meets the same bits. */
                    discard(&q);
                    prepare(plain, &q, shape);
                }
            }
        }
    }
    discard(&q);
    g_test_message("%u calls return, %u abort, %u differ from QEMU's C by design",
                   fates[FATE_RETURNS], fates[FATE_ABORTS],
                   fates[FATE_ABORTS_HERE] + fates[FATE_RETURNS_HERE]);
    g_assert_cmpuint(fates[FATE_RETURNS], >, 0);
    g_assert_cmpuint(fates[FATE_ABORTS], >, 0);
    g_free(plain);
    g_free(copy);
}

void add_range_limit_tests(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(shapes); i++) {
        char *path = g_strdup_printf("/limits/ranges/%s/size-%" PRIx64 "-granularity-%d",
                                     shapes[i].on_node ? "node" : "hbitmap", shapes[i].size,
                                     shapes[i].granularity);

        g_test_add_data_func(path, &shapes[i], ranges);
        g_free(path);
    }
}
