/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A block node, an Error and a QAPI list, as the Rust library needs them.
 */
#include "qemu/osdep.h"
#include "host.h"
#include "version.h"
#include "qemu/main-loop.h"
#include "qemu/rcu.h"

void qdb_host_lock(BlockDriverState *bs)
{
    qemu_mutex_lock(&bs->dirty_bitmap_mutex);
}

void qdb_host_unlock(BlockDriverState *bs)
{
    qemu_mutex_unlock(&bs->dirty_bitmap_mutex);
}

const size_t qdb_host_bitmaps_offset =
    offsetof(BlockDriverState, dirty_bitmaps.lh_first);

void qdb_host_read_lock(void)
{
    rcu_read_lock();
}

void qdb_host_read_unlock(void)
{
    rcu_read_unlock();
}

typedef struct Retired {
    struct rcu_head rcu;
    void *object;
    void (*free)(void *object);
} Retired;

static void free_retired(Retired *retired)
{
    retired->free(retired->object);
    g_free(retired);
}

void qdb_host_retire(void *object, void (*free)(void *object))
{
    Retired *retired = g_new(Retired, 1);

    retired->object = object;
    retired->free = free;
    call_rcu(retired, free_retired, rcu);
}

int64_t qdb_host_length(BlockDriverState *bs)
{
    return bdrv_getlength(bs);
}

int64_t qdb_host_cluster_size(BlockDriverState *bs)
{
    BlockDriverInfo info;

    return bdrv_get_info(bs, &info) < 0 ? 0 : info.cluster_size;
}

/*
 * The messages are complete, and may hold a bitmap's name with any byte in it:
 * they go through "%s", never as a format.
 */
void qdb_host_error_set(Error **errp, int os_errno, const char *func,
                        const char *msg)
{
    error_setg_errno_internal(errp, __FILE__, __LINE__, func, os_errno,
                              "%s", msg);
}

void qdb_host_error_hint(Error **errp, const char *hint)
{
    error_append_hint(errp, "%s", hint);
}

void qdb_host_info_append(BlockDirtyInfoList ***tail, const QdbDirtyInfo *info)
{
    BlockDirtyInfo *copy = g_new0(BlockDirtyInfo, 1);

#if QDB_QAPI_STRINGS_HAVE_FLAGS
    copy->has_name = info->name != NULL;
#endif
    copy->name = g_strdup(info->name);
    copy->count = info->count;
    copy->granularity = info->granularity;
    copy->recording = info->recording;
    copy->busy = info->busy;
    copy->persistent = info->persistent;
    /* The schema shows this member only when it is true. */
    copy->has_inconsistent = info->inconsistent;
    copy->inconsistent = info->inconsistent;

    QAPI_LIST_APPEND(*tail, copy);
}

void qdb_host_assert_global_state(const char *func)
{
    if (!qemu_in_main_thread()) {
        fprintf(stderr, "%s: Assertion `qemu_in_main_thread()' failed.\n",
                func);
        abort();
    }
}
