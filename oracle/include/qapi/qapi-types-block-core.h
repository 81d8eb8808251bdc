/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Stand-in for the QAPI types that a query of the bitmaps returns (the layout of QEMU 10.0). */
#ifndef ORACLE_QAPI_TYPES_BLOCK_CORE_H
#define ORACLE_QAPI_TYPES_BLOCK_CORE_H

#include "qemu/osdep.h"

typedef struct BlockDirtyInfo {
    char *name;
    int64_t count;
    uint32_t granularity;
    bool recording;
    bool busy;
    bool persistent;
    bool has_inconsistent;
    bool inconsistent;
    bool
        has_name; /* written by 7.2 alone; last, so that the other fields lie where 10.0 has them */
} BlockDirtyInfo;

typedef struct BlockDirtyInfoList {
    struct BlockDirtyInfoList *next;
    BlockDirtyInfo *value;
} BlockDirtyInfoList;

#define QAPI_LIST_APPEND(tail, element)                       \
    do {                                                      \
        BlockDirtyInfoList *new_ = g_new0(BlockDirtyInfoList, 1); \
        new_->value = (element);                              \
        *(tail) = new_;                                       \
        (tail) = &new_->next;                                 \
    } while (0)

#endif
