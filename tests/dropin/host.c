/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Nodes, errors and lists, as the drop-in object asks QEMU for them. */
#include <assert.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#undef NDEBUG
#include "host.h"

int locks;
int retired;
static bool reading;
char asserted_for[64];

void qdb_host_lock(BlockDriverState *bs)
{
    assert(!bs->locked);
    bs->locked = 1;
    locks++;
}

void qdb_host_unlock(BlockDriverState *bs)
{
    assert(bs->locked);
    bs->locked = 0;
}

const size_t qdb_host_bitmaps_offset = offsetof(BlockDriverState, bitmaps);

void qdb_host_read_lock(void)
{
    assert(!reading);
    reading = true;
}

void qdb_host_read_unlock(void)
{
    assert(reading);
    reading = false;
}

void qdb_host_retire(void *object, void (*free)(void *object))
{
    assert(!reading);
    free(object);
    retired++;
}

BlockDriverState *qdb_node_new(int64_t length, int64_t cluster_size, const char *node_name)
{
    BlockDriverState *bs = calloc(1, sizeof(*bs));

    (void)cluster_size;
    (void)node_name;
    bs->length = length;
    return bs;
}

void qdb_node_set_length(BlockDriverState *bs, int64_t length)
{
    bs->length = length;
}

int64_t qdb_host_length(BlockDriverState *bs)
{
    return bs->length;
}

int64_t qdb_host_cluster_size(BlockDriverState *bs)
{
    (void)bs;
    return 8192;
}

void qdb_host_error_set(Error **errp, int os_errno, const char *func, const char *msg)
{
    if (errp) {
        *errp = calloc(1, sizeof(**errp));
        (*errp)->os_errno = os_errno;
        snprintf((*errp)->func, sizeof((*errp)->func), "%s", func);
        snprintf((*errp)->msg, sizeof((*errp)->msg), "%s", msg);
    }
}

void qdb_host_error_hint(Error **errp, const char *hint)
{
    if (errp) {
        snprintf((*errp)->hint, sizeof((*errp)->hint), "%s", hint);
    }
}

void qdb_host_info_append(BlockDirtyInfoList ***tail, const QdbDirtyInfo *info)
{
    BlockDirtyInfoList *entry = calloc(1, sizeof(*entry));

    entry->value = calloc(1, sizeof(*entry->value));
    entry->value->name = info->name ? strdup(info->name) : NULL;
    entry->value->count = info->count;
    entry->value->granularity = info->granularity;
    entry->value->recording = info->recording;
    **tail = entry;
    *tail = &entry->next;
}

void qdb_host_assert_global_state(const char *func)
{
    snprintf(asserted_for, sizeof(asserted_for), "%s", func);
}
