/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Nodes and bitmaps in any combination of the states that a BdrvDirtyBitmap knows. */
#ifndef C_TESTS_NODE_H
#define C_TESTS_NODE_H

#include "common.h"

typedef enum State {
    STATE_BUSY = 1 << 0,
    STATE_READONLY = 1 << 1,
    STATE_INCONSISTENT = 1 << 2, /* also makes it persistent and disabled, as QEMU does */
    STATE_PERSISTENT = 1 << 3,
    STATE_SKIP_STORE = 1 << 4,
    STATE_DISABLED = 1 << 5,
    STATE_SUCCESSOR = 1 << 6, /* has one; BUSY says whether it is busy as well */
    STATE_ANONYMOUS = 1 << 7,
    STATE_COMBINATIONS = 1 << 8,
} State;

#define GRANULARITY 4096

/* A bitmap named @name (unless ANONYMOUS) with @dirty bytes set from 0 on, then put into @state. */
BdrvDirtyBitmap *bitmap_new(BlockDriverState *bs, const char *name, uint32_t granularity,
                            int64_t dirty, unsigned state);

/* What a bitmap in @state is called in an error message. */
const char *bitmap_display_name(const BdrvDirtyBitmap *bitmap);

/* Whether the bitmap records writes by itself, and whether it or its successor does. */
bool state_enabled(unsigned state);
bool state_recording(unsigned state);

/* Takes every state away and releases the bitmap, its successor first. */
void bitmap_discard(BdrvDirtyBitmap *bitmap);

/* Discards all bitmaps of a node, and the node. */
void node_discard(BlockDriverState *bs);

/* Reads with the lock held, as QEMU's headers want it. */
int64_t bitmap_next_dirty(BdrvDirtyBitmap *bitmap, int64_t offset, int64_t bytes);
int64_t bitmap_next_zero(BdrvDirtyBitmap *bitmap, int64_t offset, int64_t bytes);
bool bitmap_status(BdrvDirtyBitmap *bitmap, int64_t offset, int64_t bytes, int64_t *count);
bool bitmap_next_dirty_area(BdrvDirtyBitmap *bitmap, int64_t start, int64_t end, int64_t max,
                            int64_t *dirty_start, int64_t *dirty_count);

/*
 * The dirty granules as a string: one digit for each granule of @granularity bytes, from the start
 * of the node.
 */
char *bitmap_picture(BdrvDirtyBitmap *bitmap, uint32_t granularity);
char *hbitmap_picture(const HBitmap *hb, int64_t size, uint32_t granularity);
void expect_picture(BdrvDirtyBitmap *bitmap, uint32_t granularity, const char *expected);

int node_bitmap_count(BlockDriverState *bs);

#endif
