/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Times what QEMU's block layer does for a guest's write, on a node that has dirty bitmaps. It is
 * linked with a build of QEMU as QEMU's own unit tests are (`tools/bench --qemu` does that): its
 * node, mutex, RCU, coroutines and I/O threads. Nothing but the disk is missing: the node is
 * null-co.
 *
 *   guest-write RUNS ID...    prints "ID NANOSECONDS" for each, the median of so many runs
 *
 * An id is WHAT-BLOCKS-BITMAPS-THREADSt. "record" is the two calls that block/io.c makes for a
 * write; the bitmaps' granularities are mixed. "write" is a whole blk_co_pwrite(), and all bitmaps
 * have 64 KiB.
 */
#include "qemu/osdep.h"
#include "block/block.h"
#include "block/block_int.h"
#include "block/dirty-bitmap.h"
#include "block/graph-lock.h"
#include "qapi/error.h"
#include "qobject/qdict.h"
#include "qemu/main-loop.h"
#include "system/block-backend.h"
#include "iothread.h"

#define DISK (1ULL << 40)
#define BLOCK 4096
#define HOT (1 << 12)
#define MOST_BITMAPS 50
#define MOST_THREADS 2

typedef enum Blocks { HOT_BLOCKS, FIRST_WRITES, WRITTEN_BEFORE } Blocks;

static const char *const blocks_names[] = { "hot", "first", "again" };

typedef struct Row {
    bool whole; /* the whole write, not only its record in the bitmaps */
    Blocks blocks;
    int bitmaps;
    int threads;
} Row;

typedef struct Node {
    BlockDriverState *bs;
    BlockBackend *blk;
    BdrvDirtyBitmap *bitmaps[MOST_BITMAPS];
} Node;

typedef struct Writer {
    const Row *row;
    const Node *node;
    uint64_t seed;
} Writer;

/* Of one thread in a run. Hot ones are few, so that a busy machine leaves most runs alone. */
static int writes_of(const Row *row)
{
    return row->blocks == HOT_BLOCKS ? 1 << 14 : 1 << 16;
}

static IOThread *threads[MOST_THREADS];
static int running;
static int ready;

static uint64_t next_offset(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    z ^= z >> 31;
    return (uint64_t)(((unsigned __int128)z * (DISK / BLOCK)) >> 64) * BLOCK;
}

static void coroutine_fn write_all(void *opaque)
{
    const Writer *writer = opaque;
    static char data[BLOCK];
    uint64_t state = writer->seed;
    int writes = writes_of(writer->row);

    qatomic_inc(&ready);
    while (qatomic_read(&ready) < writer->row->threads) {
        /* both begin at once */
    }
    for (int i = 0; i < writes; i++) {
        uint64_t offset;

        if (writer->row->blocks == HOT_BLOCKS && i % HOT == 0) {
            state = writer->seed;
        }
        offset = next_offset(&state);
        if (writer->row->whole) {
            if (blk_co_pwrite(writer->node->blk, offset, BLOCK, data, 0) < 0) {
                abort();
            }
        } else {
            if (bdrv_has_readonly_bitmaps(writer->node->bs)) {
                abort();
            }
            bdrv_set_dirty(writer->node->bs, offset, BLOCK);
        }
    }
    qatomic_dec(&running);
    aio_wait_kick();
}

static void start_writer(void *writer)
{
    qemu_coroutine_enter(qemu_coroutine_create(write_all, writer));
}

/* All writes of a row, once. Returns nanoseconds. */
static int64_t run(const Row *row, const Node *node)
{
    Writer writers[MOST_THREADS];
    int64_t begun = get_clock();

    running = row->threads;
    ready = 0;
    for (int i = 0; i < row->threads; i++) {
        writers[i] = (Writer) { .row = row, .node = node, .seed = i };
        aio_bh_schedule_oneshot(iothread_get_aio_context(threads[i]),
                                start_writer, &writers[i]);
    }
    AIO_WAIT_WHILE_UNLOCKED(NULL, qatomic_read(&running) > 0);
    return get_clock() - begun;
}

static Node open_node(const Row *row)
{
    QDict *options = qdict_new();
    Node node;

    qdict_put_str(options, "driver", "null-co");
    qdict_put_int(options, "size", DISK);
    node.bs = bdrv_open(NULL, NULL, options, BDRV_O_RDWR, &error_abort);
    node.blk = blk_new(qemu_get_aio_context(), BLK_PERM_ALL, BLK_PERM_ALL);
    blk_insert_bs(node.blk, node.bs, &error_abort);
    for (int i = 0; i < row->bitmaps; i++) {
        uint32_t granularity = (1 << 16) >> (row->whole ? 0 : i % 5);
        g_autofree char *name = g_strdup_printf("bitmap%d", i);

        node.bitmaps[i] = bdrv_create_dirty_bitmap(node.bs, granularity, name, &error_abort);
    }
    return node;
}

static void close_node(const Row *row, const Node *node)
{
    for (int i = 0; i < row->bitmaps; i++) {
        bdrv_release_dirty_bitmap(node->bitmaps[i]);
    }
    blk_unref(node->blk);
    bdrv_unref(node->bs);
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static void measure(const Row *row, int runs, const char *id)
{
    g_autofree int64_t *took = g_new(int64_t, runs);
    Node node = open_node(row);

    if (row->blocks != FIRST_WRITES) {
        run(row, &node);
        run(row, &node);
    }
    for (int i = 0; i < runs; i++) {
        for (int j = 0; row->blocks == FIRST_WRITES && j < row->bitmaps; j++) {
            bdrv_clear_dirty_bitmap(node.bitmaps[j], NULL);
        }
        took[i] = run(row, &node);
    }
    qsort(took, runs, sizeof(*took), compare);
    printf("%s %.2f\n", id, (double)took[runs / 2] / (writes_of(row) * row->threads));
    fflush(stdout);
    close_node(row, &node);
}

static bool parse(const char *id, Row *row)
{
    char what[8], blocks[8];

    if (sscanf(id, "%7[a-z]-%7[a-z]-%d-%dt", what, blocks, &row->bitmaps, &row->threads) != 4 ||
        row->bitmaps < 0 || row->bitmaps > MOST_BITMAPS ||
        row->threads < 1 || row->threads > MOST_THREADS) {
        return false;
    }
    row->whole = g_str_equal(what, "write");
    for (row->blocks = HOT_BLOCKS; row->blocks <= WRITTEN_BEFORE; row->blocks++) {
        if (g_str_equal(blocks, blocks_names[row->blocks])) {
            return row->whole || g_str_equal(what, "record");
        }
    }
    return false;
}

int main(int argc, char **argv)
{
    int runs = argc > 2 ? atoi(argv[1]) : 0;

    if (runs <= 0) {
        fprintf(stderr, "usage: guest-write RUNS ID...\n");
        return 2;
    }
    bdrv_init();
    qemu_init_main_loop(&error_abort);
    for (int i = 0; i < MOST_THREADS; i++) {
        threads[i] = iothread_new();
    }
    for (int i = 2; i < argc; i++) {
        Row row;

        if (!parse(argv[i], &row)) {
            fprintf(stderr, "guest-write: %s is no row\n", argv[i]);
            return 2;
        }
        measure(&row, runs, argv[i]);
    }
    for (int i = 0; i < MOST_THREADS; i++) {
        iothread_join(threads[i]);
    }
    return 0;
}
