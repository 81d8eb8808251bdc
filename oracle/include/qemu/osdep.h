/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Stand-in for QEMU's first header: what util/hbitmap.c and block/dirty-bitmap.c take from it, and
 * nothing else. Found before the source tree's include/, so that no configured QEMU build is
 * needed.
 */
#ifndef ORACLE_QEMU_OSDEP_H
#define ORACLE_QEMU_OSDEP_H

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include <glib.h>

/* What QEMU's configuration finds on every 64-bit Linux host. */
#define CONFIG_INT128 1
#define CONFIG_INT128_TYPE 1
#define CONFIG_BYTESWAP_H 1
#define HOST_BIG_ENDIAN (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__)

#include "qemu/compiler.h"

/* Each argument is evaluated once, as in QEMU (GLib's macros evaluate the larger one twice). */
#undef MIN
#undef MAX
#define MIN(a, b)                                                                                  \
    ({                                                                                             \
        __typeof__(1 ? (a) : (b)) min_a_ = (a), min_b_ = (b);                                      \
        min_a_ < min_b_ ? min_a_ : min_b_;                                                         \
    })
#define MAX(a, b)                                                                                  \
    ({                                                                                             \
        __typeof__(1 ? (a) : (b)) max_a_ = (a), max_b_ = (b);                                      \
        max_a_ > max_b_ ? max_a_ : max_b_;                                                         \
    })

#define QEMU_IS_ALIGNED(n, m) (((n) % (m)) == 0)
#ifndef ROUND_UP
#define ROUND_UP(n, d) (((n) + (d) - 1) & -(0 ? (n) : (d)))
#endif
#ifndef DIV_ROUND_UP
#define DIV_ROUND_UP(n, d) (((n) + (d) - 1) / (d))
#endif

typedef struct AioContext AioContext;
typedef struct BdrvDirtyBitmap BdrvDirtyBitmap;
typedef struct BdrvDirtyBitmapIter BdrvDirtyBitmapIter;
typedef struct BlockDriver BlockDriver;
typedef struct BlockDriverInfo BlockDriverInfo;
typedef struct BlockDriverState BlockDriverState;
typedef struct Coroutine Coroutine;
typedef struct Error Error;
typedef struct HBitmap HBitmap;

#endif
