/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "merge-case.h"

Content content_of(BdrvDirtyBitmap *bitmap)
{
    Content content;

    for (int i = 0; i < SECTORS; i++) {
        content.dirty[i] = bdrv_dirty_bitmap_get(bitmap, i * 512);
    }
    return content;
}

Content content_of_hbitmap(const HBitmap *hb)
{
    Content content;

    for (int i = 0; i < SECTORS; i++) {
        content.dirty[i] = hbitmap_get(hb, (uint64_t)i * 512);
    }
    return content;
}

void expect_same(const Content *a, const Content *b)
{
    for (int i = 0; i < SECTORS; i++) {
        g_assert_cmpint(a->dirty[i], ==, b->dirty[i]);
    }
}

static Content union_of(const Content *dest, const Content *src, uint32_t granularity)
{
    int granule = (int)granularity / 512;
    Content result;

    for (int i = 0; i < SECTORS; i++) {
        int first = i / granule * granule;

        result.dirty[i] = false;
        for (int k = first; k < MIN(first + granule, SECTORS); k++) {
            result.dirty[i] = result.dirty[i] || dest->dirty[k] || src->dirty[k];
        }
    }
    return result;
}

void expect_count(BdrvDirtyBitmap *bitmap, const Content *content)
{
    int64_t granularity = bdrv_dirty_bitmap_granularity(bitmap);
    int64_t count = 0;

    for (int64_t at = 0; at < SIZE; at += granularity) {
        count += content->dirty[at / 512] ? granularity : 0;
    }
    g_assert_cmpint(bdrv_get_dirty_count(bitmap), ==, count);
}

static Pair pair_new(const Case *c)
{
    Pair p = { .c = c };

    p.dest_bs = qdb_node_new(SIZE, 0, "dest-node");
    p.src_bs = c->other_node ? qdb_node_new(SIZE, 0, "src-node") : p.dest_bs;
    p.dest =
        bitmap_new(p.dest_bs, "dest", c->dest_granularity, 1025, c->dest_state & STATE_SUCCESSOR);
    p.src = bitmap_new(p.src_bs, "src", c->src_granularity, 0, c->src_state & STATE_SUCCESSOR);
    bdrv_set_dirty_bitmap(p.dest, SIZE - 20 * 512, 512);
    bdrv_set_dirty_bitmap(p.src, 512, 512);
    bdrv_set_dirty_bitmap(p.src, 40 * 512, 7 * 512);
    bdrv_set_dirty_bitmap(p.src, 63 * 512, 1024);
    bdrv_set_dirty_bitmap(p.src, SIZE - 1, 1);
    return p;
}

/* The states are put on after the content is in. */
static void apply_state(BdrvDirtyBitmap *bitmap, unsigned state)
{
    if (state & STATE_DISABLED) {
        bdrv_disable_dirty_bitmap(bitmap);
    }
    if (state & (STATE_PERSISTENT | STATE_INCONSISTENT)) {
        bdrv_dirty_bitmap_set_persistence(bitmap, true);
    }
    if (state & STATE_INCONSISTENT) {
        bdrv_dirty_bitmap_set_inconsistent(bitmap);
    }
    bdrv_dirty_bitmap_skip_store(bitmap, state & STATE_SKIP_STORE);
    bdrv_dirty_bitmap_set_busy(bitmap, state & STATE_BUSY);
    bdrv_dirty_bitmap_set_readonly(bitmap, state & STATE_READONLY);
}

static void pair_discard(Pair *p)
{
    node_discard(p->dest_bs);
    if (p->c->other_node) {
        node_discard(p->src_bs);
    }
}

static void lock_both(Pair *p)
{
    bdrv_dirty_bitmap_lock(p->dest);
    if (p->c->other_node) {
        bdrv_dirty_bitmap_lock(p->src);
    }
}

static void unlock_both(Pair *p)
{
    bdrv_dirty_bitmap_unlock(p->dest);
    if (p->c->other_node) {
        bdrv_dirty_bitmap_unlock(p->src);
    }
}

bool merge_pair(Pair *p, HBitmap **backup, Error **errp)
{
    bool merged;

    switch (p->c->how) {
    case HOW_PUBLIC:
        return bdrv_merge_dirty_bitmap(p->dest, p->src, backup, errp);
    case HOW_INTERNAL:
        lock_both(p);
        merged = bdrv_dirty_bitmap_merge_internal(p->dest, p->src, backup, false);
        unlock_both(p);
        break;
    default:
        merged = bdrv_dirty_bitmap_merge_internal(p->dest, p->src, backup, true);
        break;
    }
    /* The internal one has no result in QEMU since 7.1. */
    return merged || on_qemu();
}

const char *refusal(const Case *c, const char **hint)
{
    *hint = NULL;
    if (c->dest_state & STATE_BUSY) {
        return "Bitmap 'dest' is currently in use by another operation and cannot be used";
    }
    if (c->dest_state & STATE_READONLY) {
        return "Bitmap 'dest' is readonly and cannot be modified";
    }
    if (c->dest_state & STATE_INCONSISTENT) {
        *hint = "Try block-dirty-bitmap-remove to delete this bitmap from disk\n";
        return "Bitmap 'dest' is inconsistent and cannot be used";
    }
    if (c->src_state & STATE_BUSY) {
        return "Bitmap 'src' is currently in use by another operation and cannot be used";
    }
    if (c->src_state & STATE_INCONSISTENT) {
        *hint = "Try block-dirty-bitmap-remove to delete this bitmap from disk\n";
        return "Bitmap 'src' is inconsistent and cannot be used";
    }
    return NULL;
}

const char *violation(const Case *c)
{
    if (c->dest_state & STATE_READONLY) {
        return "!bdrv_dirty_bitmap_readonly(dest)";
    }
    if (c->dest_state & STATE_INCONSISTENT) {
        return "!bdrv_dirty_bitmap_inconsistent(dest)";
    }
    if (c->src_state & STATE_INCONSISTENT) {
        return "!bdrv_dirty_bitmap_inconsistent(src)";
    }
    return NULL;
}

static void merge_and_die(void *opaque)
{
    HBitmap *backup = NULL;
    Pair *p = opaque;

    merge_pair(p, p->c->with_backup ? &backup : NULL, NULL);
}

/*
 * The old content is the caller's, is not touched by what happens to dest, and goes back where it
 * came from.
 */
static void check_backup(Pair *p, HBitmap *backup, const Content *dest_before,
                         const Content *merged)
{
    Content old = content_of_hbitmap(backup);
    Content now;

    expect_same(&old, dest_before);
    g_assert_cmpint(1 << hbitmap_granularity(backup), ==, p->c->dest_granularity);
    bdrv_set_dirty_bitmap(p->dest, 90 * 512, 512);
    old = content_of_hbitmap(backup);
    expect_same(&old, dest_before);
    bdrv_restore_dirty_bitmap(p->dest, backup);
    now = content_of(p->dest);
    expect_same(&now, dest_before);
    expect_count(p->dest, dest_before);
    g_assert_cmpint(bdrv_dirty_bitmap_size(p->dest), ==, SIZE);
    g_assert_cmpuint(bdrv_dirty_bitmap_granularity(p->dest), ==, p->c->dest_granularity);
    /* And a second time, to the same end. */
    g_assert_true(merge_pair(p, NULL, &error_abort));
    now = content_of(p->dest);
    expect_same(&now, merged);
}

void run_case(const Case *c)
{
    HBitmap *const untouched = (HBitmap *)(uintptr_t)0x5a5a5a50;
    HBitmap *backup = untouched;
    HBitmap **backup_arg = c->with_backup ? &backup : NULL;
    Pair p = pair_new(c);
    Content dest_before = content_of(p.dest);
    Content src_before = content_of(p.src);
    Content expected = union_of(&dest_before, &src_before, c->dest_granularity);
    Content now;
    const char *hint = NULL;
    const char *message = c->how == HOW_PUBLIC ? refusal(c, &hint) : NULL;
    Error *err = NULL;

    apply_state(p.dest, c->dest_state);
    apply_state(p.src, c->src_state);

    if (c->how != HOW_PUBLIC && violation(c)) {
        char *pattern = g_strdup_printf(
            "*bdrv_dirty_bitmap_merge_internal: Assertion `%s' failed.*", violation(c));

        expect_abort(merge_and_die, &p, pattern);
        g_free(pattern);
        pair_discard(&p);
        return;
    }

    if (message) {
        g_assert_false(merge_pair(&p, backup_arg, &err));
        expect_error(&err, message, hint);
        g_assert_false(merge_pair(&p, backup_arg, NULL));
        g_assert_true(backup == untouched);
        now = content_of(p.dest);
        expect_same(&now, &dest_before);
        expect_count(p.dest, &dest_before);
    } else {
        g_assert_true(merge_pair(&p, backup_arg, &err));
        g_assert_null(err);
        now = content_of(p.dest);
        expect_same(&now, &expected);
        expect_count(p.dest, &expected);
        g_assert_cmpuint(bdrv_dirty_bitmap_granularity(p.dest), ==, c->dest_granularity);
        if (c->with_backup) {
            g_assert_true(backup != untouched);
            check_backup(&p, backup, &dest_before, &expected);
        }
    }
    /* The source is as it was in any case. */
    now = content_of(p.src);
    expect_same(&now, &src_before);
    expect_count(p.src, &src_before);
    g_assert_cmpuint(bdrv_dirty_bitmap_granularity(p.src), ==, c->src_granularity);
    pair_discard(&p);
}
