/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a program on the library needs for ThreadSanitizer.
 *
 * First, names that rustc's code wants and gcc's run-time library has under others. The functions
 * of C's own names are watched there in the same way.
 */
#include <stddef.h>
#include <string.h>

#include "qemu_dirty_bitmap.h"

void *__tsan_memcpy(void *to, const void *from, size_t count);
void *__tsan_memmove(void *to, const void *from, size_t count);
void *__tsan_memset(void *to, int byte, size_t count);

void *__tsan_memcpy(void *to, const void *from, size_t count)
{
    return memcpy(to, from, count);
}

void *__tsan_memmove(void *to, const void *from, size_t count)
{
    return memmove(to, from, count);
}

void *__tsan_memset(void *to, int byte, size_t count)
{
    return memset(to, byte, count);
}

/*
 * Second, crossbeam-epoch's collector, made by the first thread that needs it, under a
 * std::sync::Once. std is not compiled for ThreadSanitizer, so it sees that other threads load the
 * Once, and not that the first one stored it after making the collector: it would report a race
 * between that and each use. A release of a node's last bitmap needs the collector; here there are
 * no other threads yet. All that the library does with it later is watched.
 */
__attribute__((constructor)) static void make_collector(void)
{
    BlockDriverState *node = qdb_node_new(512, 0, NULL);

    bdrv_release_dirty_bitmap(bdrv_create_dirty_bitmap(node, 512, NULL, &error_abort));
    qdb_node_free(node);
}
