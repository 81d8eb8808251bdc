/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The host of QEMU's own two files in the oracle: nodes, errors and the query's lists, with the
 * names and the promises of the stand-alone library's qdb_* functions, so that one program can
 * drive either library.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "block/block_int.h"

#define EXPORT __attribute__((visibility("default")))

typedef struct QdbDriver {
    bool (*supports_persistent)(BlockDriverState *bs, void *opaque);
    bool (*can_store)(BlockDriverState *bs, const char *name, uint32_t granularity, void *opaque,
                      Error **errp);
    int (*remove)(BlockDriverState *bs, const char *name, void *opaque, Error **errp);
} QdbDriver;

struct Error {
    char *message;
    GString *hint;
};

EXPORT Error *qdb_error_abort;
EXPORT Error *qdb_error_fatal;

/* Hands a new error to the caller's pointer, with QEMU's rules for the two special ones. */
static void error_deliver(Error **errp, const char *func, char *message)
{
    if (errp == &qdb_error_abort) {
        fprintf(stderr, "Unexpected error in %s():\n%s\n", func, message);
        abort();
    }
    if (errp == &qdb_error_fatal) {
        fprintf(stderr, "%s\n", message);
        exit(1);
    }
    assert(*errp == NULL);
    *errp = g_new0(Error, 1);
    (*errp)->message = message;
}

void oracle_error_set(Error **errp, const char *func, int os_error, const char *fmt, ...)
{
    int saved_errno = errno;
    va_list args;
    char *message;

    if (!errp) {
        return;
    }
    va_start(args, fmt);
    message = g_strdup_vprintf(fmt, args);
    va_end(args);
    if (os_error) {
        char *text = message;

        message = g_strdup_printf("%s: %s", text, strerror(os_error));
        g_free(text);
    }
    error_deliver(errp, func, message);
    errno = saved_errno;
}

void error_append_hint(Error *const *errp, const char *fmt, ...)
{
    va_list args;

    if (!errp) {
        return;
    }
    assert(*errp && errp != &qdb_error_abort && errp != &qdb_error_fatal);
    if (!(*errp)->hint) {
        (*errp)->hint = g_string_new(NULL);
    }
    va_start(args, fmt);
    g_string_append_vprintf((*errp)->hint, fmt, args);
    va_end(args);
}

EXPORT const char *qdb_error_message(const Error *err)
{
    return err->message;
}

EXPORT const char *qdb_error_hint(const Error *err)
{
    return err->hint ? err->hint->str : NULL;
}

EXPORT void qdb_error_free(Error *err)
{
    if (err) {
        if (err->hint) {
            g_string_free(err->hint, TRUE);
        }
        g_free(err->message);
        g_free(err);
    }
}

EXPORT void qdb_error_set(Error **errp, const char *message)
{
    if (errp) {
        error_deliver(errp, __func__, g_strdup(message));
    }
}

EXPORT BlockDriverState *qdb_node_new(int64_t length, int64_t cluster_size, const char *node_name)
{
    BlockDriverState *bs = g_new0(BlockDriverState, 1);

    pthread_mutex_init(&bs->dirty_bitmap_mutex.lock, NULL);
    bs->dirty_bitmap_mutex.initialized = true;
    QLIST_INIT(&bs->dirty_bitmaps);
    bs->length = length;
    bs->cluster_size = cluster_size;
    bs->name = g_strdup(node_name ? node_name : "");
    return bs;
}

EXPORT void qdb_node_free(BlockDriverState *bs)
{
    if (bs) {
        assert(QLIST_EMPTY(&bs->dirty_bitmaps));
        pthread_mutex_destroy(&bs->dirty_bitmap_mutex.lock);
        g_free(bs->name);
        g_free(bs);
    }
}

EXPORT void qdb_node_set_length(BlockDriverState *bs, int64_t length)
{
    bs->length = length;
}

EXPORT int64_t qdb_node_length(const BlockDriverState *bs)
{
    return bs->length;
}

static bool call_supports_persistent(BlockDriverState *bs)
{
    return bs->callbacks->supports_persistent(bs, bs->opaque);
}

static bool call_can_store(BlockDriverState *bs, const char *name, uint32_t granularity,
                           Error **errp)
{
    return bs->callbacks->can_store(bs, name, granularity, bs->opaque, errp);
}

static int call_remove(BlockDriverState *bs, const char *name, Error **errp)
{
    return bs->callbacks->remove(bs, name, bs->opaque, errp);
}

EXPORT void qdb_node_set_driver(BlockDriverState *bs, const QdbDriver *driver, void *opaque)
{
    bs->callbacks = driver;
    bs->opaque = opaque;
    bs->drv = driver ? &bs->driver : NULL;
    bs->driver.bdrv_supports_persistent_dirty_bitmap =
        driver && driver->supports_persistent ? call_supports_persistent : NULL;
    bs->driver.bdrv_co_can_store_new_dirty_bitmap =
        driver && driver->can_store ? call_can_store : NULL;
    bs->driver.bdrv_co_remove_persistent_dirty_bitmap =
        driver && driver->remove ? call_remove : NULL;
}

#ifndef ORACLE_CO_WRAPPERS_IN_TREE
/*
 * From 8.0 on QEMU generates these two; a caller without an event loop needs no more than the call.
 */
EXPORT bool bdrv_can_store_new_dirty_bitmap(BlockDriverState *bs, const char *name,
                                            uint32_t granularity, Error **errp)
{
    return bdrv_co_can_store_new_dirty_bitmap(bs, name, granularity, errp);
}

EXPORT int bdrv_remove_persistent_dirty_bitmap(BlockDriverState *bs, const char *name, Error **errp)
{
    return bdrv_co_remove_persistent_dirty_bitmap(bs, name, errp);
}
#endif

EXPORT void qdb_dirty_info_list_free(BlockDirtyInfoList *list)
{
    while (list) {
        BlockDirtyInfoList *next = list->next;

        g_free(list->value->name);
        g_free(list->value);
        g_free(list);
        list = next;
    }
}

EXPORT const char *qdb_version(void)
{
    return "qemu";
}
