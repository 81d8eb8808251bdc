/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The inputs of docs/differences.md that take two threads.
 *
 *   races CASE
 *
 * The same file is linked with QEMU's two C files (with ThreadSanitizer, if it is to report races)
 * and with the library. A case prints what came of it; one that hangs is ended by an alarm.
 */
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "qemu_dirty_bitmap.h"

#define GRANULE 65536
#define GRANULES 4096
#define SIZE ((int64_t)GRANULES * GRANULE)
#define HANG 10 /* seconds */

static BlockDriverState *node;
static BdrvDirtyBitmap *bitmap;
static atomic_bool stop, started;

static void bark(int number)
{
    static const char text[] = "deadlock\n";

    (void)number;
    _exit(write(STDOUT_FILENO, text, sizeof(text) - 1) >= 0 ? 0 : 1);
}

/* Two nodes, two threads, opposite directions */

typedef struct Merger {
    BdrvDirtyBitmap *dest, *src;
} Merger;

static void *merge_often(void *opaque)
{
    Merger *m = opaque;

    for (int i = 0; i < 200000; i++) {
        bdrv_merge_dirty_bitmap(m->dest, m->src, NULL, &error_abort);
    }
    return NULL;
}

static void crossed_merges(void)
{
    BlockDriverState *nodes[2] = { qdb_node_new(GRANULE, 0, "one"),
                                   qdb_node_new(GRANULE, 0, "two") };
    BdrvDirtyBitmap *bitmaps[2];
    Merger mergers[2];
    pthread_t threads[2];

    signal(SIGALRM, bark);
    alarm(HANG);
    for (int i = 0; i < 2; i++) {
        bitmaps[i] = bdrv_create_dirty_bitmap(nodes[i], GRANULE, "b", &error_abort);
    }
    for (int i = 0; i < 2; i++) {
        mergers[i] = (Merger){ bitmaps[i], bitmaps[1 - i] };
        pthread_create(&threads[i], NULL, merge_often, &mergers[i]);
    }
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
    }
    printf("400000 merges\n");
}

/* A guest writes while the main thread works on the bitmap, each as QEMU does it */

static void *write_often(void *opaque)
{
    (void)opaque;
    for (int64_t i = 0; !stop; i++) {
        bdrv_set_dirty(node, i % GRANULES * GRANULE, 512);
        started = true;
    }
    return NULL;
}

static void with_a_writer(void (*work)(int round), int rounds)
{
    pthread_t writer;

    node = qdb_node_new(SIZE, 0, "node");
    bitmap = bdrv_create_dirty_bitmap(node, GRANULE, "b", &error_abort);
    pthread_create(&writer, NULL, write_often, NULL);
    while (!started) {
        usleep(1000);
    }
    for (int i = 0; i < rounds; i++) {
        work(i);
    }
    stop = true;
    pthread_join(writer, NULL);
    printf("done\n");
}

static void restore_once(int round)
{
    HBitmap *backup;

    (void)round;
    bdrv_clear_dirty_bitmap(bitmap, &backup);
    bdrv_restore_dirty_bitmap(bitmap, backup);
}

static void restore_while_a_guest_writes(void)
{
    with_a_writer(restore_once, 20000);
}

static void count_once(int round)
{
    (void)round;
    if (bdrv_get_dirty_count(bitmap) > SIZE) {
        printf("too many\n");
    }
}

static void count_while_a_guest_writes(void)
{
    with_a_writer(count_once, 20000);
}

static void serialise_once(int round)
{
    static uint8_t buffer[GRANULES / 8];

    (void)round;
    bdrv_dirty_bitmap_serialize_part(bitmap, buffer, 0, SIZE);
}

static void serialise_while_a_guest_writes(void)
{
    with_a_writer(serialise_once, 2000);
}

static void freeze_once(int round)
{
    (void)round;
    bdrv_dirty_bitmap_create_successor(bitmap, &error_abort);
    bdrv_reclaim_dirty_bitmap(bitmap, &error_abort);
}

static void freeze_while_a_guest_writes(void)
{
    with_a_writer(freeze_once, 20000);
}

static void *add_and_remove(void *opaque)
{
    (void)opaque;
    while (!stop) {
        bdrv_release_dirty_bitmap(bdrv_create_dirty_bitmap(node, GRANULE, NULL, &error_abort));
    }
    return NULL;
}

static void look_at_the_list_while_it_changes(void)
{
    pthread_t other;

    node = qdb_node_new(SIZE, 0, "node");
    bitmap = bdrv_create_dirty_bitmap(node, GRANULE, "b", &error_abort);
    pthread_create(&other, NULL, add_and_remove, NULL);
    for (int i = 0; i < 20000; i++) {
        if (bdrv_has_readonly_bitmaps(node) || !bdrv_has_named_bitmaps(node)) {
            printf("wrong\n");
        }
    }
    stop = true;
    pthread_join(other, NULL);
    printf("done\n");
}

static const struct {
    const char *name;
    void (*run)(void);
} cases[] = {
#define CASE(name) { #name, name }
    CASE(crossed_merges),
    CASE(restore_while_a_guest_writes),
    CASE(count_while_a_guest_writes),
    CASE(serialise_while_a_guest_writes),
    CASE(freeze_while_a_guest_writes),
    CASE(look_at_the_list_while_it_changes),
};

int main(int argc, char **argv)
{
    for (size_t i = 0; argc == 2 && i < sizeof(cases) / sizeof(*cases); i++) {
        if (strcmp(cases[i].name, argv[1]) == 0) {
            cases[i].run();
            return 0;
        }
    }
    fprintf(stderr, "races: no case %s\n", argc == 2 ? argv[1] : "given");
    return 2;
}
