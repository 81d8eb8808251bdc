/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A host of a few lines instead of QEMU's glue. */
#ifndef TESTS_DROPIN_HOST_H
#define TESTS_DROPIN_HOST_H

#include "qemu_dirty_bitmap.h"

struct BlockDriverState {
    void *bitmaps;
    int64_t length;
    int locked;
};

struct Error {
    int os_errno;
    char func[64];
    char msg[256];
    char hint[256];
};

typedef struct QdbDirtyInfo {
    const char *name;
    int64_t count;
    uint32_t granularity;
    bool recording, busy, persistent, inconsistent;
} QdbDirtyInfo;

extern int locks;
extern int retired;
extern char asserted_for[64];

void qdb_host_lock(BlockDriverState *bs);
void qdb_host_unlock(BlockDriverState *bs);
void **qdb_host_bitmaps(BlockDriverState *bs);
void qdb_host_read_lock(void);
void qdb_host_read_unlock(void);
void qdb_host_retire(void *object, void (*free)(void *object));
int64_t qdb_host_length(BlockDriverState *bs);
int64_t qdb_host_cluster_size(BlockDriverState *bs);
void qdb_host_error_set(Error **errp, int os_errno, const char *func, const char *msg);
void qdb_host_error_hint(Error **errp, const char *hint);
void qdb_host_info_append(BlockDirtyInfoList ***tail, const QdbDirtyInfo *info);
void qdb_host_assert_global_state(const char *func);

#endif
