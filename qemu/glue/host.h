/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the Rust library asks of QEMU, as C sees it. The same declarations stand
 * in the library's src/host/qemu.rs; a change here is a change there.
 */
#ifndef QDB_GLUE_HOST_H
#define QDB_GLUE_HOST_H

#include "block/block.h"
#include "block/block_int.h"
#include "qapi/error.h"
#include "qapi/qapi-types-block-core.h"

/*
 * A function of QEMU's that is called without its prototype loses the upper
 * half of what it returns; also in a build with --disable-werror this must not
 * pass.
 */
#pragma GCC diagnostic error "-Wimplicit-function-declaration"
#pragma GCC diagnostic error "-Wincompatible-pointer-types"
#pragma GCC diagnostic error "-Wint-conversion"
#pragma GCC diagnostic error "-Wmissing-prototypes"
#pragma GCC diagnostic error "-Wformat"

/* Takes and gives back the lock of the bitmaps of @bs. Not recursive. */
void qdb_host_lock(BlockDriverState *bs);
void qdb_host_unlock(BlockDriverState *bs);

/*
 * Where in a BlockDriverState a pointer for the library is: NULL if the node
 * has no bitmaps. QEMU only compares it with NULL. A number, and no function,
 * because each write of a guest asks.
 */
extern const size_t qdb_host_bitmaps_offset;

/* An RCU read-side critical section. */
void qdb_host_read_lock(void);
void qdb_host_read_unlock(void);

/* Calls @free(@object) after a grace period. */
void qdb_host_retire(void *object, void (*free)(void *object));

/* The length of @bs in bytes, or a negative errno. */
int64_t qdb_host_length(BlockDriverState *bs);

/* The cluster size of @bs in bytes; 0 or less if it is not known. */
int64_t qdb_host_cluster_size(BlockDriverState *bs);

/*
 * Sets @errp to @msg, word for word; with @os_errno above 0, ": " and its text
 * follow. @func is the function that fails: it is what &error_abort names.
 * @errp may be NULL.
 */
void qdb_host_error_set(Error **errp, int os_errno, const char *func,
                        const char *msg);

/* Adds @hint to an error that qdb_host_error_set has set. @errp may be NULL. */
void qdb_host_error_hint(Error **errp, const char *hint);

/* One bitmap, as query-block shows it. */
typedef struct QdbDirtyInfo {
    const char *name;      /* NULL: an anonymous bitmap */
    int64_t count;         /* dirty bytes */
    uint32_t granularity;  /* bytes */
    bool recording;
    bool busy;
    bool persistent;
    bool inconsistent;
} QdbDirtyInfo;

/* Copies @info to the end of a QAPI list and moves @tail on to the new end. */
void qdb_host_info_append(BlockDirtyInfoList ***tail, const QdbDirtyInfo *info);

/* Aborts, naming @func, unless this is the main thread with the big lock. */
void qdb_host_assert_global_state(const char *func);

/*
 * Each points at a number that is not 0 while its trace event is wanted; a
 * reader needs one relaxed load to know. The trace functions below may be
 * called at any time.
 */
extern const uint16_t *const qdb_host_trace_set_state;
extern const uint16_t *const qdb_host_trace_reset_state;
extern const uint16_t *const qdb_host_trace_iter_skip_words_state;

void qdb_host_trace_set(const void *hb, uint64_t start, uint64_t count,
                        uint64_t sbit, uint64_t ebit);
void qdb_host_trace_reset(const void *hb, uint64_t start, uint64_t count,
                          uint64_t sbit, uint64_t ebit);
void qdb_host_trace_iter_skip_words(const void *hb, void *hbi, uint64_t pos,
                                    unsigned long cur);

#endif
