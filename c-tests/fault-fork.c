/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A fork in the middle: parent and child go on, each with bitmaps of its own, and both get what
 * they would have got alone. QEMU forks helpers; a child may make any call, because no thread that
 * it lacks can hold a lock of the library.
 */
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common.h"
#include "fault-tests.h"

#define BITS (INT64_C(600) * 32768 + 5)
#define NODE_SIZE (256 * MIB)
#define STEPS 4000
#define SUMS 4

/*
 * HBitmaps of two granularities, and two bitmaps on a node, with an iterator in the middle of each
 * kind.
 */
typedef struct World {
    HBitmap *fine, *coarse;
    HBitmapIter iter;
    BlockDriverState *bs;
    BdrvDirtyBitmap *a, *b;
    BdrvDirtyBitmapIter *dirty_iter;
    uint64_t
        random; /* state of a generator of its own: what comes next does not depend on who asks */
} World;

typedef struct Digest {
    char sums[SUMS][65];
    int64_t seen; /* by the iterators */
} Digest;

static uint64_t next_random(World *w, uint64_t limit)
{
    w->random = w->random * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (w->random >> 20) % limit;
}

static void step(World *w)
{
    uint64_t start = next_random(w, BITS - 70000);
    uint64_t length = next_random(w, 4) ? 1 + next_random(w, 100) : 1 + next_random(w, 70000);
    int64_t offset = (int64_t)next_random(w, NODE_SIZE / 4096) * 4096;

    switch (next_random(w, 8)) {
    case 0:
        hbitmap_reset(w->fine, start, length);
        break;
    case 1:
        hbitmap_set(w->coarse, start, length);
        break;
    case 2:
        bdrv_set_dirty(w->bs, offset, 4096);
        break;
    case 3:
        bdrv_reset_dirty_bitmap(w->a, offset, 4096);
        break;
    case 4:
        bdrv_set_dirty_bitmap(w->b, 0, offset + 4096);
        break;
    default:
        hbitmap_set(w->fine, start, length);
    }
}

static void world_new(World *w)
{
    w->random = 1;
    w->fine = hbitmap_alloc(BITS, 0);
    w->coarse = hbitmap_alloc(BITS, 6);
    w->bs = qdb_node_new(NODE_SIZE, 0, "node");
    w->a = bdrv_create_dirty_bitmap(w->bs, 4096, "a", &error_abort);
    w->b = bdrv_create_dirty_bitmap(w->bs, 4096, "b", &error_abort);
    for (int i = 0; i < STEPS; i++) {
        step(w);
    }
    hbitmap_iter_init(&w->iter, w->fine, BITS / 2);
    g_assert_cmpint(hbitmap_iter_next(&w->iter), >=, BITS / 2);
    w->dirty_iter = bdrv_dirty_iter_new(w->a);
    g_assert_cmpint(bdrv_dirty_iter_next(w->dirty_iter), >=, 0);
}

/* Goes on in one of several ways, and says where it came to. */
static void go_on(World *w, uint64_t way, Digest *digest)
{
    HBitmap *backup = NULL;
    char *sums[SUMS];

    w->random = way;
    for (int i = 0; i < STEPS; i++) {
        step(w);
    }
    check_merged(hbitmap_merge(w->fine, w->coarse, w->fine));
    check_merged(bdrv_merge_dirty_bitmap(w->b, w->a, &backup, &error_abort));
    hbitmap_truncate(w->coarse, BITS / 2 + way);
    digest->seen = hbitmap_iter_next(&w->iter);
    digest->seen += bdrv_dirty_iter_next(w->dirty_iter);
    bdrv_dirty_iter_free(w->dirty_iter);
    w->dirty_iter = NULL;
    sums[0] = hbitmap_sha256(w->fine, &error_abort);
    sums[1] = hbitmap_sha256(w->coarse, &error_abort);
    sums[2] = bdrv_dirty_bitmap_sha256(w->a, &error_abort);
    sums[3] = bdrv_dirty_bitmap_sha256(w->b, &error_abort);
    for (int i = 0; i < SUMS; i++) {
        g_strlcpy(digest->sums[i], sums[i], sizeof(digest->sums[i]));
        free(sums[i]);
    }
    hbitmap_free(backup);
}

static void world_free(World *w)
{
    bdrv_dirty_iter_free(w->dirty_iter);
    bdrv_release_named_dirty_bitmaps(w->bs);
    qdb_node_free(w->bs);
    hbitmap_free(w->fine);
    hbitmap_free(w->coarse);
}

/* What a process gets that never forks. */
static void alone(uint64_t way, Digest *digest)
{
    World w = { 0 };

    world_new(&w);
    go_on(&w, way, digest);
    world_free(&w);
}

static void expect_same(const Digest *one, const Digest *other)
{
    for (int i = 0; i < SUMS; i++) {
        g_assert_cmpstr(one->sums[i], ==, other->sums[i]);
    }
    g_assert_cmpint(one->seen, ==, other->seen);
}

/* A child that goes on in a way of its own; its digest comes through the pipe. */
static pid_t fork_child(World *w, uint64_t way, int *from_child, bool locked)
{
    int ends[2];
    pid_t child;

    g_assert_cmpint(pipe(ends), ==, 0);
    child = fork();
    g_assert_cmpint(child, >=, 0);
    if (child == 0) {
        Digest digest = { 0 };

        alarm(120); /* a lock that nobody lets go of must not keep the test forever */
        if (locked) {
            bdrv_dirty_bitmap_unlock(w->a);
        }
        go_on(w, way, &digest);
        world_free(w);
        _exit(write(ends[1], &digest, sizeof(digest)) != sizeof(digest));
    }
    close(ends[1]);
    *from_child = ends[0];
    return child;
}

static void expect_child(pid_t child, int from_child, const Digest *expected)
{
    Digest digest = { 0 };
    int status;

    g_assert_cmpint(read(from_child, &digest, sizeof(digest)), ==, (ssize_t)sizeof(digest));
    close(from_child);
    g_assert_cmpint(waitpid(child, &status, 0), ==, child);
    g_assert_cmpint(status, ==, 0);
    expect_same(&digest, expected);
}

static void forked(bool locked)
{
    World w = { 0 };
    Digest expected[3], digest = { 0 };
    pid_t children[2];
    int pipes[2];

    for (uint64_t way = 0; way < G_N_ELEMENTS(expected); way++) {
        memset(&expected[way], 0, sizeof(expected[way]));
        alone(way + 10, &expected[way]);
    }
    /* The ways lead apart, or all this shows nothing. */
    g_assert_cmpstr(expected[0].sums[0], !=, expected[1].sums[0]);
    g_assert_cmpstr(expected[1].sums[0], !=, expected[2].sums[0]);

    world_new(&w);
    if (locked) {
        bdrv_dirty_bitmap_lock(w.a);
    }
    for (int i = 0; i < 2; i++) {
        children[i] = fork_child(&w, (uint64_t)i + 10, &pipes[i], locked);
    }
    if (locked) {
        bdrv_dirty_bitmap_unlock(w.a);
    }
    go_on(&w, 12, &digest);
    expect_same(&digest, &expected[2]);
    for (int i = 0; i < 2; i++) {
        expect_child(children[i], pipes[i], &expected[i]);
    }
    world_free(&w);
}

static void one_thread(void)
{
    forked(false);
}

/*
 * The thread that forks holds a node's lock: parent and children have it, and each lets go of its
 * own.
 */
static void lock_held(void)
{
    forked(true);
}

typedef struct Idle {
    GMutex mutex;
    GCond wakes;
    bool ready, end;
} Idle;

/* Has used the library, and waits while others fork. */
static gpointer idle(gpointer data)
{
    Idle *shared = data;
    World w = { 0 };

    world_new(&w);
    world_free(&w);
    g_mutex_lock(&shared->mutex);
    shared->ready = true;
    g_cond_broadcast(&shared->wakes);
    while (!shared->end) {
        g_cond_wait(&shared->wakes, &shared->mutex);
    }
    g_mutex_unlock(&shared->mutex);
    return NULL;
}

static void idle_threads(void)
{
    Idle shared = { 0 };
    GThread *threads[3];

    g_mutex_init(&shared.mutex);
    g_cond_init(&shared.wakes);
    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++) {
        g_mutex_lock(&shared.mutex);
        shared.ready = false;
        threads[i] = g_thread_new("idle", idle, &shared);
        while (!shared.ready) {
            g_cond_wait(&shared.wakes, &shared.mutex);
        }
        g_mutex_unlock(&shared.mutex);
    }
    forked(false);
    g_mutex_lock(&shared.mutex);
    shared.end = true;
    g_cond_broadcast(&shared.wakes);
    g_mutex_unlock(&shared.mutex);
    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++) {
        g_thread_join(threads[i]);
    }
    g_mutex_clear(&shared.mutex);
    g_cond_clear(&shared.wakes);
}

void add_fork_tests(void)
{
    g_test_add_func("/fault/fork/one-thread", one_thread);
    g_test_add_func("/fault/fork/lock-held", lock_held);
    g_test_add_func("/fault/fork/idle-threads", idle_threads);
}
