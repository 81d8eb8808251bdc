/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One merge of two bitmaps in given states, granularities and nodes, checked against a model that
 * knows sectors: a granule of the destination is dirty afterwards if any of its sectors was dirty
 * in either bitmap.
 */
#ifndef C_TESTS_MERGE_CASE_H
#define C_TESTS_MERGE_CASE_H

#include "node.h"

#define SECTORS 131 /* no multiple of any granularity that is used */
#define SIZE ((int64_t)(SECTORS * 512))

typedef struct Content {
    bool dirty[SECTORS];
} Content;

typedef enum How {
    HOW_PUBLIC,
    HOW_INTERNAL,      /* the caller holds the locks */
    HOW_INTERNAL_LOCK, /* the function takes them */
    HOW_COUNT,
} How;

typedef struct Case {
    unsigned dest_state, src_state;
    uint32_t dest_granularity, src_granularity;
    bool other_node;
    bool with_backup;
    How how;
} Case;

/* A case that is set up. */
typedef struct Pair {
    const Case *c;
    BlockDriverState *dest_bs, *src_bs;
    BdrvDirtyBitmap *dest, *src;
} Pair;

Content content_of(BdrvDirtyBitmap *bitmap);
Content content_of_hbitmap(const HBitmap *hb);
void expect_same(const Content *a, const Content *b);
/* The dirty count fits the content. */
void expect_count(BdrvDirtyBitmap *bitmap, const Content *content);

bool merge_pair(Pair *p, HBitmap **backup, Error **errp);

/* What bdrv_merge_dirty_bitmap says, NULL if it merges. */
const char *refusal(const Case *c, const char **hint);

/* What bdrv_dirty_bitmap_merge_internal dies of, NULL if it merges. */
const char *violation(const Case *c);

/*
 * Sets the case up, merges (or is refused, or dies), and checks everything that can be seen of both
 * bitmaps.
 */
void run_case(const Case *c);

#endif
