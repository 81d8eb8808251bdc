/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Stand-in for the block layer: a node with a length, a cluster size, a name, the lock and the list
 * of its bitmaps, and the three driver callbacks that block/dirty-bitmap.c dispatches to.
 */
#ifndef ORACLE_BLOCK_INT_H
#define ORACLE_BLOCK_INT_H

#include "qapi/error.h"
#include "qapi/qapi-types-block-core.h"
#include "block/block-common.h"
#include "block/dirty-bitmap.h"

/* QEMU's mutex is a pthread mutex with a flag that is asserted on. */
typedef struct QemuMutex {
    pthread_mutex_t lock;
    bool initialized;
} QemuMutex;

static inline void qemu_mutex_lock(QemuMutex *mutex)
{
    assert(mutex->initialized);
    if (pthread_mutex_lock(&mutex->lock)) {
        abort();
    }
}

static inline void qemu_mutex_unlock(QemuMutex *mutex)
{
    assert(mutex->initialized);
    if (pthread_mutex_unlock(&mutex->lock)) {
        abort();
    }
}

struct BlockDriver {
    bool (*bdrv_supports_persistent_dirty_bitmap)(BlockDriverState *bs);
    bool (*bdrv_co_can_store_new_dirty_bitmap)(BlockDriverState *bs, const char *name,
                                               uint32_t granularity, Error **errp);
    int (*bdrv_co_remove_persistent_dirty_bitmap)(BlockDriverState *bs, const char *name,
                                                  Error **errp);
};

struct QdbDriver;

struct BlockDriverState {
    BlockDriver *drv; /* NULL or &driver */
    QemuMutex dirty_bitmap_mutex;
    QLIST_HEAD(, BdrvDirtyBitmap) dirty_bitmaps;

    /* The rest is host.c's. */
    int64_t length;       /* bytes, or a negative errno */
    int64_t cluster_size; /* bytes, 0 if unknown */
    char *name;
    BlockDriver driver; /* trampolines to callbacks, where that has them */
    const struct QdbDriver *callbacks;
    void *opaque;
};

static inline int64_t bdrv_getlength(BlockDriverState *bs)
{
    return bs->length;
}

static inline int bdrv_get_info(BlockDriverState *bs, BlockDriverInfo *info)
{
    if (bs->cluster_size <= 0) {
        return -ENOTSUP;
    }
    info->cluster_size = (int)MIN(bs->cluster_size, INT_MAX);
    return 0;
}

static inline const char *bdrv_get_device_or_node_name(const BlockDriverState *bs)
{
    return bs->name;
}

/* Declared elsewhere in QEMU's include/block/. */
void bdrv_set_dirty(BlockDriverState *bs, int64_t offset, int64_t bytes);
void bdrv_clear_dirty_bitmap(BdrvDirtyBitmap *bitmap, HBitmap **out);
void bdrv_restore_dirty_bitmap(BdrvDirtyBitmap *bitmap, HBitmap *backup);
void bdrv_dirty_bitmap_merge_internal(BdrvDirtyBitmap *dest, const BdrvDirtyBitmap *src,
                                      HBitmap **backup, bool lock);
bool bdrv_can_store_new_dirty_bitmap(BlockDriverState *bs, const char *name, uint32_t granularity,
                                     Error **errp);
int bdrv_remove_persistent_dirty_bitmap(BlockDriverState *bs, const char *name, Error **errp);
#ifndef ORACLE_CO_WRAPPERS_IN_TREE
bool bdrv_co_can_store_new_dirty_bitmap(BlockDriverState *bs, const char *name,
                                        uint32_t granularity, Error **errp);
#endif

/*
 * 7.2 has the coroutine wrappers in block/dirty-bitmap.c. Without an event loop every caller counts
 * as a coroutine, so they call straight through, and what follows is compiled but never reached.
 */
static inline bool qemu_in_coroutine(void)
{
    return true;
}

static inline Coroutine *qemu_coroutine_create(void (*entry)(void *), void *opaque)
{
    (void)entry;
    (void)opaque;
    abort();
}

static inline void bdrv_coroutine_enter(BlockDriverState *bs, Coroutine *co)
{
    (void)bs;
    (void)co;
    abort();
}

#define aio_wait_kick() ((void)0)
#define BDRV_POLL_WHILE(bs, condition) \
    do {                               \
        if (condition) {               \
            abort();                   \
        }                              \
    } while (0)

#endif
