/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Faults that a checker has to report, most of them a C program's misuse that only shows inside of
 * the library: so a run without a report says something about the library, and not that nobody was
 * looking there.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qemu_dirty_bitmap.h"

#define SIZE (UINT64_C(1) << 22)

static atomic_bool first_is_done;

/* Its last bitmap leaves a node with something that is freed when no thread reads it any more. */
static void use_node(void)
{
    BlockDriverState *node = qdb_node_new(SIZE, 0, NULL);

    bdrv_release_dirty_bitmap(bdrv_create_dirty_bitmap(node, 512, NULL, &error_abort));
    qdb_node_free(node);
}

static void *use_node_first(void *unused)
{
    use_node();
    atomic_store_explicit(&first_is_done, true, memory_order_relaxed);
    return unused;
}

/* Threads that share nothing, and that nothing of theirs brings into an order. */
static void two_nodes(void)
{
    pthread_t other;

    if (pthread_create(&other, NULL, use_node_first, NULL)) {
        abort();
    }
    while (!atomic_load_explicit(&first_is_done, memory_order_relaxed)) {
    }
    use_node();
    pthread_join(other, NULL);
}

/* What a program should do: the checker must not say anything about it. */
static void none(void)
{
    HBitmap *bitmap = hbitmap_alloc(SIZE, 9);

    hbitmap_set(bitmap, 0, SIZE / 2);
    hbitmap_free(bitmap);
    two_nodes();
}

static void use_after_free(void)
{
    HBitmap *bitmap = hbitmap_alloc(SIZE, 9);

    hbitmap_set(bitmap, 0, 1);
    hbitmap_free(bitmap);
    printf("%d\n", hbitmap_get(bitmap, 0));
}

static void leak(void)
{
    /* The pointer is not kept anywhere, not even in a register. */
    hbitmap_set(hbitmap_alloc(SIZE, 9), 0, SIZE);
    hbitmap_free(hbitmap_alloc(SIZE, 9));
}

/* A buffer that is too short: the library writes past its end. */
static void overflow(void)
{
    HBitmap *bitmap = hbitmap_alloc(SIZE, 0);
    uint8_t *buffer = malloc(hbitmap_serialization_size(bitmap, 0, SIZE) - 8);

    hbitmap_set(bitmap, 0, SIZE);
    hbitmap_serialize_part(bitmap, buffer, 0, SIZE);
    free(buffer);
    hbitmap_free(bitmap);
}

/* Bytes that were never written decide what the library does. */
static void uninitialised(void)
{
    HBitmap *bitmap = hbitmap_alloc(SIZE, 0);
    uint8_t *buffer = malloc(hbitmap_serialization_size(bitmap, 0, SIZE));

    hbitmap_deserialize_part(bitmap, buffer, 0, SIZE, true);
    printf("%" PRIu64 "\n", hbitmap_count(bitmap));
    free(buffer);
    hbitmap_free(bitmap);
}

static void *set_all(void *bitmap)
{
    for (uint64_t at = 0; at < SIZE; at += 512) {
        hbitmap_set(bitmap, at, 1);
    }
    return NULL;
}

/* An HBitmap is for one thread at a time. */
static void race(void)
{
    HBitmap *bitmap = hbitmap_alloc(SIZE, 9);
    pthread_t other;

    if (pthread_create(&other, NULL, set_all, bitmap)) {
        abort();
    }
    set_all(bitmap);
    pthread_join(other, NULL);
    hbitmap_free(bitmap);
}

/* In this program: shows that the C tests are checked too. */
static void signed_overflow(void)
{
    volatile int most = 0x7fffffff;

    printf("%d\n", most + 1);
}

#ifdef PLANTED
/* Functions of planted.rs. */
int32_t planted_overflow(int32_t number);
void planted_assertion(int32_t number);
int32_t planted_index(size_t index);

static void library_overflow(void)
{
    printf("%d\n", planted_overflow(INT32_MAX));
}

static void library_assertion(void)
{
    planted_assertion(1);
}

static void library_index(void)
{
    printf("%d\n", planted_index(4));
}
#endif

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*commit)(void);
    } faults[] = {
        { "none", none },
        { "use-after-free", use_after_free },
        { "leak", leak },
        { "overflow", overflow },
        { "race", race },
        { "uninitialised", uninitialised },
        { "signed-overflow", signed_overflow },
#ifdef PLANTED
        { "planted-overflow", library_overflow },
        { "planted-assertion", library_assertion },
        { "planted-index", library_index },
#endif
    };

    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        if (argc > 1 && strcmp(argv[argc - 1], faults[i].name) == 0) {
            faults[i].commit();
            return 0;
        }
    }
    return 2;
}
