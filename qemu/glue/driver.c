/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The bitmap functions that only ask a node's BlockDriver. They need QEMU's
 * driver table and its coroutines, so they are C in QEMU and not Rust in the
 * library.
 */
#include "qemu/osdep.h"
#include "host.h"
#include "version.h"
#include "block/dirty-bitmap.h"

#if QDB_WRAPPERS_ARE_OURS
#define BODY static
#else
#define BODY
#endif

#if !QDB_HAVE_GRAPH_LOCK
#define assert_bdrv_graph_readable() do { } while (0)
#endif

bool bdrv_supports_persistent_dirty_bitmap(BlockDriverState *bs)
{
    BlockDriver *drv = bs->drv;

    return drv && drv->bdrv_supports_persistent_dirty_bitmap &&
           drv->bdrv_supports_persistent_dirty_bitmap(bs);
}

BODY bool coroutine_fn
bdrv_co_can_store_new_dirty_bitmap(BlockDriverState *bs, const char *name,
                                   uint32_t granularity, Error **errp)
{
    BlockDriver *drv = bs->drv;

    assert_bdrv_graph_readable();

    if (drv && drv->bdrv_co_can_store_new_dirty_bitmap) {
        return drv->bdrv_co_can_store_new_dirty_bitmap(bs, name, granularity,
                                                       errp);
    }

    error_setg_errno(errp, drv ? ENOTSUP : ENOMEDIUM,
                     "Can't store persistent bitmaps to %s",
                     bdrv_get_device_or_node_name(bs));
    return false;
}

/*
 * A bitmap that was to be stored and never was has nothing to remove, and a
 * driver that cannot store bitmaps has none: neither is an error.
 */
BODY int coroutine_fn
bdrv_co_remove_persistent_dirty_bitmap(BlockDriverState *bs, const char *name,
                                       Error **errp)
{
    BlockDriver *drv = bs->drv;

    assert_bdrv_graph_readable();

    if (drv && drv->bdrv_co_remove_persistent_dirty_bitmap) {
        return drv->bdrv_co_remove_persistent_dirty_bitmap(bs, name, errp);
    }
    return 0;
}

#if QDB_WRAPPERS_ARE_OURS
/* One question to a driver, asked from outside a coroutine. */
typedef struct DriverCall {
    BlockDriverState *bs;
    const char *name;
    uint32_t granularity;
    Error **errp;
    bool can_store;
    int removed;
    bool done;
} DriverCall;

static void coroutine_fn can_store_entry(void *opaque)
{
    DriverCall *call = opaque;

    call->can_store =
        bdrv_co_can_store_new_dirty_bitmap(call->bs, call->name,
                                           call->granularity, call->errp);
    call->done = true;
    aio_wait_kick();
}

static void coroutine_fn remove_entry(void *opaque)
{
    DriverCall *call = opaque;

    call->removed =
        bdrv_co_remove_persistent_dirty_bitmap(call->bs, call->name,
                                               call->errp);
    call->done = true;
    aio_wait_kick();
}

static void run_to_end(DriverCall *call, CoroutineEntry *entry)
{
    bdrv_coroutine_enter(call->bs, qemu_coroutine_create(entry, call));
    BDRV_POLL_WHILE(call->bs, !call->done);
}

bool bdrv_can_store_new_dirty_bitmap(BlockDriverState *bs, const char *name,
                                     uint32_t granularity, Error **errp)
{
    DriverCall call = {
        .bs = bs, .name = name, .granularity = granularity, .errp = errp,
    };

    IO_CODE();
    if (qemu_in_coroutine()) {
        return bdrv_co_can_store_new_dirty_bitmap(bs, name, granularity, errp);
    }
    run_to_end(&call, can_store_entry);
    return call.can_store;
}

int bdrv_remove_persistent_dirty_bitmap(BlockDriverState *bs, const char *name,
                                        Error **errp)
{
    DriverCall call = { .bs = bs, .name = name, .errp = errp };

    if (qemu_in_coroutine()) {
        return bdrv_co_remove_persistent_dirty_bitmap(bs, name, errp);
    }
    run_to_end(&call, remove_entry);
    return call.removed;
}
#endif
