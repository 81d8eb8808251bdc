/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "node.h"

BdrvDirtyBitmap *bitmap_new(BlockDriverState *bs, const char *name, uint32_t granularity,
                            int64_t dirty, unsigned state)
{
    BdrvDirtyBitmap *bitmap = bdrv_create_dirty_bitmap(
        bs, granularity, state & STATE_ANONYMOUS ? NULL : name, &error_abort);

    if (dirty > 0) {
        bdrv_set_dirty_bitmap(bitmap, 0, dirty);
    }
    if (state & STATE_DISABLED) {
        bdrv_disable_dirty_bitmap(bitmap);
    }
    if (state & STATE_SUCCESSOR) {
        g_assert_cmpint(bdrv_dirty_bitmap_create_successor(bitmap, &error_abort), ==, 0);
    }
    bdrv_dirty_bitmap_set_busy(bitmap, state & STATE_BUSY);
    if (state & (STATE_PERSISTENT | STATE_INCONSISTENT)) {
        bdrv_dirty_bitmap_set_persistence(bitmap, true);
    }
    if (state & STATE_INCONSISTENT) {
        bdrv_dirty_bitmap_set_inconsistent(bitmap);
    }
    if (state & STATE_SKIP_STORE) {
        bdrv_dirty_bitmap_skip_store(bitmap, true);
    }
    if (state & STATE_READONLY) {
        bdrv_dirty_bitmap_set_readonly(bitmap, true);
    }
    return bitmap;
}

const char *bitmap_display_name(const BdrvDirtyBitmap *bitmap)
{
    const char *name = bdrv_dirty_bitmap_name(bitmap);

    return name ? name : "(null)";
}

bool state_enabled(unsigned state)
{
    return !(state & (STATE_DISABLED | STATE_SUCCESSOR | STATE_INCONSISTENT));
}

bool state_recording(unsigned state)
{
    return state_enabled(state) || ((state & STATE_SUCCESSOR) && !(state & STATE_DISABLED));
}

/* Without errors: tests free what is there. */
void bitmap_discard(BdrvDirtyBitmap *bitmap)
{
    bdrv_dirty_bitmap_set_readonly(bitmap, false);
    if (bdrv_dirty_bitmap_has_successor(bitmap)) {
        g_assert_true(bdrv_reclaim_dirty_bitmap(bitmap, &error_abort) == bitmap);
    }
    bdrv_dirty_bitmap_set_busy(bitmap, false);
    bdrv_release_dirty_bitmap(bitmap);
}

/* Successors are discarded with their parents, so parents go first. */
static BdrvDirtyBitmap *first_parent(BlockDriverState *bs)
{
    BdrvDirtyBitmap *bitmap;

    for (bitmap = bdrv_dirty_bitmap_first(bs); bitmap; bitmap = bdrv_dirty_bitmap_next(bitmap)) {
        if (bdrv_dirty_bitmap_has_successor(bitmap)) {
            return bitmap;
        }
    }
    return bdrv_dirty_bitmap_first(bs);
}

void node_discard(BlockDriverState *bs)
{
    BdrvDirtyBitmap *bitmap;

    while ((bitmap = first_parent(bs))) {
        bitmap_discard(bitmap);
    }
    qdb_node_free(bs);
}

int64_t bitmap_next_dirty(BdrvDirtyBitmap *bitmap, int64_t offset, int64_t bytes)
{
    int64_t result;

    bdrv_dirty_bitmap_lock(bitmap);
    result = bdrv_dirty_bitmap_next_dirty(bitmap, offset, bytes);
    bdrv_dirty_bitmap_unlock(bitmap);
    return result;
}

int64_t bitmap_next_zero(BdrvDirtyBitmap *bitmap, int64_t offset, int64_t bytes)
{
    int64_t result;

    bdrv_dirty_bitmap_lock(bitmap);
    result = bdrv_dirty_bitmap_next_zero(bitmap, offset, bytes);
    bdrv_dirty_bitmap_unlock(bitmap);
    return result;
}

bool bitmap_status(BdrvDirtyBitmap *bitmap, int64_t offset, int64_t bytes, int64_t *count)
{
    bool result;

    bdrv_dirty_bitmap_lock(bitmap);
    result = bdrv_dirty_bitmap_status(bitmap, offset, bytes, count);
    bdrv_dirty_bitmap_unlock(bitmap);
    return result;
}

bool bitmap_next_dirty_area(BdrvDirtyBitmap *bitmap, int64_t start, int64_t end, int64_t max,
                            int64_t *dirty_start, int64_t *dirty_count)
{
    bool result;

    bdrv_dirty_bitmap_lock(bitmap);
    result = bdrv_dirty_bitmap_next_dirty_area(bitmap, start, end, max, dirty_start, dirty_count);
    bdrv_dirty_bitmap_unlock(bitmap);
    return result;
}

char *bitmap_picture(BdrvDirtyBitmap *bitmap, uint32_t granularity)
{
    GString *picture = g_string_new(NULL);
    int64_t size = bdrv_dirty_bitmap_size(bitmap);

    for (int64_t at = 0; at < size; at += granularity) {
        g_string_append_c(picture, bdrv_dirty_bitmap_get(bitmap, at) ? '1' : '0');
    }
    return g_string_free(picture, FALSE);
}

char *hbitmap_picture(const HBitmap *hb, int64_t size, uint32_t granularity)
{
    GString *picture = g_string_new(NULL);

    for (int64_t at = 0; at < size; at += granularity) {
        g_string_append_c(picture, hbitmap_get(hb, (uint64_t)at) ? '1' : '0');
    }
    return g_string_free(picture, FALSE);
}

void expect_picture(BdrvDirtyBitmap *bitmap, uint32_t granularity, const char *expected)
{
    char *picture = bitmap_picture(bitmap, granularity);

    g_assert_cmpstr(picture, ==, expected);
    g_free(picture);
}

int node_bitmap_count(BlockDriverState *bs)
{
    BdrvDirtyBitmap *bitmap;
    int count = 0;

    for (bitmap = bdrv_dirty_bitmap_first(bs); bitmap; bitmap = bdrv_dirty_bitmap_next(bitmap)) {
        count++;
    }
    return count;
}
