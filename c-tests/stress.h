/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Threads that do all that a program does with the bitmaps of two nodes, and logs of what they
 * wrote.
 *
 * Time is cut into rounds. In each, two nodes get new bitmaps, and threads work on them until the
 * writers have written all that is theirs. A writer has its own cells (4 KiB) and writes each of
 * them once, so that a lost write stays lost. Then what was logged is compared with what is found.
 */
#ifndef C_TESTS_STRESS_H
#define C_TESTS_STRESS_H

#include "node.h"

#define SECTOR 512
#define CELL                                                                                       \
    4096 /* the coarsest granularity: what one thread writes never shares a bit with what another  \
            one does */
#define NODES 2
#define MOST_SLOTS (16 + 2 * NODES)
#define MOST_WORKERS 10

/* A set of sectors. */
typedef struct Log {
    uint64_t *words;
    int64_t bytes; /* that it can hold */
} Log;

Log log_new(int64_t bytes);
void log_free(Log *log);
void log_add(Log *log, int64_t offset, int64_t bytes);
/* Adds each unit of @granularity that @other has a sector of. */
void log_add_rounded(Log *log, const Log *other, int64_t granularity);
/* The first sector that @log has and @other has not, in bytes; -1 if there is none. */
int64_t log_first_beyond(const Log *log, const Log *other);
/*
 * Adds what a bitmap has now; the bitmap's lock is taken. Checks that the areas are as long
 * together as the bitmap says.
 */
void log_add_bitmap(Log *log, BdrvDirtyBitmap *bitmap);

typedef enum Kind {
    KIND_MERGED, /* everybody's: written, merged, cleared, frozen and given back */
    KIND_JOB,    /* a backup job's: it is replaced by its successor again and again */
    KIND_ASIDE,  /* the clearer's: disabled, cleared and restored; others read it and merge from it
                  */
} Kind;

/* A bitmap that is there all the time, or its successors. */
typedef struct Slot {
    Kind kind;
    int node;
    int family; /* bitmaps of one size can be merged */
    uint32_t granularity;
    int64_t size;
    char name[16];
    BdrvDirtyBitmap *bitmap;
    Log saved; /* what its backup job saved before the successor took over */
} Slot;

typedef struct Round Round;

typedef struct Worker {
    const char *role;
    void (*work)(struct Worker *); /* once; called again and again. A writer's returns when it has
                                      written all */
    Round *round;
    int index;
    uint64_t random;
    GThread *thread;
    const char *doing;  /* for the watchdog */
    guint progress;     /* how often `work` returned, or how much a writer wrote */
    gint done;
    guint refused;      /* merges that were refused, as they had to be */
    Log to_slot[MOST_SLOTS]; /* what this thread wrote to one bitmap */
    Log to_node[NODES];      /* or to all of a node */
} Worker;

struct Round {
    BlockDriverState *nodes[NODES];
    int64_t smallest[NODES]; /* bitmap of the node: guest writes go no further */
    Slot slots[MOST_SLOTS];
    int slot_count, merged_count; /* the merged ones come first */
    Worker workers[MOST_WORKERS];
    int worker_count;
    gint stop;
};

uint64_t worker_random(Worker *w, uint64_t limit);
void worker_does(Worker *w, const char *what);
void worker_progresses(Worker *w);

/* All threads of a round. */
void add_workers(Round *round);

/* Guests and backup jobs on one node with fifty bitmaps, for some seconds. */
void stress_backups(double seconds);

#endif
