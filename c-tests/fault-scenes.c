/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fault-scenes.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common.h"

#define CHUNK INT64_C(32768) /* what the library stores in one piece, in bits */
#define MANY 140             /* chunks: so many with a lot in them get memory in large pieces */

static void check(bool good, const char *what)
{
    if (!good) {
        static const char text[] = "wrong: ";

        if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0 ||
            write(STDERR_FILENO, what, strlen(what)) < 0) {
            _exit(SCENE_WRONG + 1);
        }
        _exit(SCENE_WRONG);
    }
}

#define CHECK(condition) check(condition, #condition)

/* @teeth bits in each of @chunks chunks, evenly apart. */
static void comb(HBitmap *hb, int64_t chunks, int64_t teeth)
{
    for (int64_t chunk = 0; chunk < chunks; chunk++) {
        for (int64_t tooth = 0; tooth < teeth; tooth++) {
            hbitmap_set(hb, (uint64_t)(chunk * CHUNK + tooth * (CHUNK / teeth)), 1);
        }
    }
}

/* From few bits to all and back, at every density. */
static void densities(void)
{
    static const int64_t teeth[] = { 1, 7, 8, 32, 33, 64, 65, 500, CHUNK / 2, CHUNK };
    HBitmap *hb = hbitmap_alloc((uint64_t)(40 * CHUNK + 77), 0);

    for (size_t i = 0; i < G_N_ELEMENTS(teeth); i++) {
        comb(hb, 3, teeth[i]);
        CHECK(hbitmap_count(hb) == (uint64_t)(3 * teeth[i]) || i > 0);
        CHECK(hbitmap_next_dirty(hb, 0, INT64_MAX) == 0);
    }
    CHECK(hbitmap_count(hb) == (uint64_t)(3 * CHUNK));
    CHECK(hbitmap_next_zero(hb, 0, INT64_MAX) == 3 * CHUNK);
    hbitmap_reset(hb, 5, 1);
    hbitmap_reset(hb, (uint64_t)CHUNK + 1, (uint64_t)CHUNK - 2);
    CHECK(hbitmap_count(hb) == (uint64_t)(2 * CHUNK + 1));
    hbitmap_set(hb, 0, (uint64_t)(40 * CHUNK + 77));
    hbitmap_reset(hb, (uint64_t)(40 * CHUNK), 1);
    CHECK(hbitmap_count(hb) == (uint64_t)(40 * CHUNK + 76));
    hbitmap_reset_all(hb);
    CHECK(hbitmap_empty(hb));
    hbitmap_free(hb);
}

/* So much that is neither zero nor one that it is kept in large pieces. */
static void large_pieces(void)
{
    HBitmap *hb = hbitmap_alloc((uint64_t)(1100 * CHUNK), 0);

    for (int64_t chunk = 0; chunk < MANY; chunk++) {
        hbitmap_set(hb, (uint64_t)(chunk * CHUNK + 3), 5000);
    }
    CHECK(hbitmap_count(hb) == MANY * 5000);
    hbitmap_set(hb, (uint64_t)(600 * CHUNK + 3), (uint64_t)(300 * CHUNK));
    CHECK(hbitmap_count(hb) == MANY * 5000 + (uint64_t)(300 * CHUNK));
    hbitmap_reset(hb, 0, (uint64_t)(MANY * CHUNK));
    CHECK(hbitmap_count(hb) == (uint64_t)(300 * CHUNK));
    hbitmap_free(hb);
}

static void truncation(void)
{
    HBitmap *hb = hbitmap_alloc((uint64_t)(5 * CHUNK), 0);

    comb(hb, 5, 100);
    hbitmap_truncate(hb, (uint64_t)(700 * CHUNK + 9));
    hbitmap_set(hb, (uint64_t)(700 * CHUNK), 9);
    CHECK(hbitmap_count(hb) == 509);
    hbitmap_truncate(hb, (uint64_t)(2 * CHUNK + 1));
    CHECK(hbitmap_count(hb) == 201);
    hbitmap_free(hb);
}

/* Into bitmaps of the same, a finer and a coarser granularity. */
static void merges(void)
{
    static const int granularities[] = { 0, 3, 9 };

    for (size_t i = 0; i < G_N_ELEMENTS(granularities); i++) {
        for (size_t j = 0; j < G_N_ELEMENTS(granularities); j++) {
            HBitmap *a = hbitmap_alloc((uint64_t)(MANY * CHUNK), granularities[i]);
            HBitmap *b = hbitmap_alloc((uint64_t)(MANY * CHUNK), granularities[j]);
            HBitmap *union_ = hbitmap_alloc((uint64_t)(MANY * CHUNK), granularities[i]);
            bool merged;

            comb(a, 2, 80);
            hbitmap_set(b, (uint64_t)(100 * CHUNK), (uint64_t)CHUNK + 5);
            comb(b, 4, 9);
            merged = hbitmap_merge(a, b, union_);
            CHECK(merged || on_qemu());
            CHECK(hbitmap_count(union_) >= (uint64_t)CHUNK + 5 + 160);
            CHECK(hbitmap_get(union_, (uint64_t)(100 * CHUNK)) && hbitmap_get(union_, 0));
            CHECK(hbitmap_next_zero(union_, 100 * CHUNK, CHUNK + 5) == -1);
            hbitmap_free(a);
            hbitmap_free(b);
            hbitmap_free(union_);
        }
    }
}

static void serialisation(void)
{
    const uint64_t size = (uint64_t)(20 * CHUNK + 3);
    HBitmap *from = hbitmap_alloc(size, 0), *to = hbitmap_alloc(size, 0);
    static uint8_t buffer[(20 * CHUNK / 64 + 1) *
                          8]; /* not the allocator's: it is the library's requests that count */
    char *sums[2];

    comb(from, 10, 300);
    hbitmap_set(from, (uint64_t)(12 * CHUNK), (uint64_t)(3 * CHUNK));
    CHECK(hbitmap_serialization_size(from, 0, size) == sizeof(buffer));
    hbitmap_serialize_part(from, buffer, 0, size);
    hbitmap_deserialize_part(to, buffer, 0, size, true);
    sums[0] = hbitmap_sha256(from, &error_abort);
    sums[1] = hbitmap_sha256(to, &error_abort);
    CHECK(strcmp(sums[0], sums[1]) == 0);
    hbitmap_deserialize_ones(to, 0, (uint64_t)CHUNK, false);
    hbitmap_deserialize_zeroes(to, (uint64_t)CHUNK, (uint64_t)CHUNK, true);
    CHECK(hbitmap_count(to) == hbitmap_count(from) - 600 + (uint64_t)CHUNK);
    free(sums[0]);
    free(sums[1]);
    hbitmap_free(from);
    hbitmap_free(to);
}

/* Bitmaps on a node: names, errors, successors, backups, iterators, descriptions. */
static void node_life(void)
{
    BlockDriverState *bs = qdb_node_new(MIB * 64, 0, "node");
    BdrvDirtyBitmap *a = bdrv_create_dirty_bitmap(bs, 4096, "a", &error_abort);
    BdrvDirtyBitmap *b = bdrv_create_dirty_bitmap(bs, 512, "b", &error_abort);
    HBitmap *backup = NULL;
    BdrvDirtyBitmapIter *iter;
    BlockDirtyInfoList *infos;
    Error *error = NULL;
    bool merged;

    CHECK(!bdrv_create_dirty_bitmap(bs, 512, "a", &error) && error);
    CHECK(strcmp(qdb_error_message(error), "Bitmap already exists: a") == 0);
    qdb_error_free(error);
    for (int64_t offset = 0; offset < 64 * MIB; offset += 100 * KIB) {
        bdrv_set_dirty(bs, offset, 512);
    }
    CHECK(bdrv_get_dirty_count(b) == 656 * 512);
    CHECK(bdrv_dirty_bitmap_create_successor(a, &error_abort) == 0);
    bdrv_set_dirty(bs, 1, 1);
    CHECK(bdrv_reclaim_dirty_bitmap(a, &error_abort) == a);
    CHECK(bdrv_dirty_bitmap_create_successor(a, &error_abort) == 0);
    bdrv_set_dirty(bs, MIB + 5, 1);
    a = bdrv_dirty_bitmap_abdicate(a, &error_abort);
    CHECK(bdrv_get_dirty_count(a) == 4096);
    merged = bdrv_merge_dirty_bitmap(a, b, &backup, &error_abort);
    CHECK(merged && backup && hbitmap_count(backup) == 4096);
    bdrv_restore_dirty_bitmap(a, backup);
    bdrv_clear_dirty_bitmap(a, &backup);
    CHECK(bdrv_get_dirty_count(a) == 0 && hbitmap_count(backup) == 4096);
    hbitmap_free(backup);
    iter = bdrv_dirty_iter_new(b);
    CHECK(bdrv_dirty_iter_next(iter) == 0 && bdrv_dirty_iter_next(iter) == 100 * KIB);
    bdrv_dirty_iter_free(iter);
    infos = bdrv_query_dirty_bitmaps(bs);
    CHECK(infos && infos->next && !infos->next->next);
    qdb_dirty_info_list_free(infos);
    bdrv_dirty_bitmap_truncate(bs, 32 * MIB);
    bdrv_release_named_dirty_bitmaps(bs);
    qdb_node_free(bs);
}

const Scene fault_scenes[] = {
    { "densities", densities }, { "large-pieces", large_pieces },   { "truncation", truncation },
    { "merges", merges },       { "serialisation", serialisation }, { "node", node_life },
};
const unsigned fault_scene_count = G_N_ELEMENTS(fault_scenes);
