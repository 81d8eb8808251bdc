/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Stand-in for the constants and the markers of the block layer. */
#ifndef ORACLE_BLOCK_COMMON_H
#define ORACLE_BLOCK_COMMON_H

#include "qemu/osdep.h"
#include "qemu/queue.h"
#include "qemu/main-loop.h"

#define BDRV_SECTOR_SIZE (UINT64_C(1) << 9)

/*
 * Markers for QEMU's code generator and for clang's analysis. 7.2 and 10.0 define different ones.
 */
#ifndef coroutine_fn
#define coroutine_fn
#endif
#ifndef co_wrapper_bdrv_rdlock
#define co_wrapper_bdrv_rdlock
#endif
#ifndef GRAPH_RDLOCK
#define GRAPH_RDLOCK
#endif
#define assert_bdrv_graph_readable() ((void)0)

struct BlockDriverInfo {
    int cluster_size; /* bytes */
};

#endif
