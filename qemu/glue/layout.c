/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the library takes for granted of QEMU's headers, checked by the
 * compiler.
 */
#include "qemu/osdep.h"
#include "host.h"
#include "qemu/hbitmap.h"
#include "block/dirty-bitmap.h"

#if !defined(__linux__) || !defined(__ELF__)
#error "qemu-dirty-bitmap is for Linux ELF hosts"
#endif

/* The library is for 64-bit hosts. */
QEMU_BUILD_BUG_ON(sizeof(void *) != 8);
QEMU_BUILD_BUG_ON(sizeof(unsigned long) != 8);

/* Callers keep an HBitmapIter on their stack and the library fills it. */
QEMU_BUILD_BUG_ON(sizeof(HBitmapIter) != 80);
QEMU_BUILD_BUG_ON(__alignof__(HBitmapIter) != 8);
QEMU_BUILD_BUG_ON(offsetof(HBitmapIter, hb) != 0);
QEMU_BUILD_BUG_ON(offsetof(HBitmapIter, pos) != 16);
QEMU_BUILD_BUG_ON(offsetof(HBitmapIter, cur) != 24);

/*
 * The head of a node's bitmap list is one pointer, which QEMU does not follow.
 */
QEMU_BUILD_BUG_ON(sizeof_field(BlockDriverState, dirty_bitmaps) !=
                  sizeof(void *));
QEMU_BUILD_BUG_ON(sizeof_field(BlockDriverState, dirty_bitmaps.lh_first) !=
                  sizeof(void *));

/* The numbers that the library has for itself. */
QEMU_BUILD_BUG_ON(HBITMAP_LEVELS != 7);
QEMU_BUILD_BUG_ON(BDRV_SECTOR_SIZE != 512);
QEMU_BUILD_BUG_ON(BDRV_BITMAP_MAX_NAME_SIZE != 1023);
QEMU_BUILD_BUG_ON(BDRV_BITMAP_BUSY != 1);
QEMU_BUILD_BUG_ON(BDRV_BITMAP_RO != 2);
QEMU_BUILD_BUG_ON(BDRV_BITMAP_INCONSISTENT != 4);

/* What passes by pointer from Rust. */
QEMU_BUILD_BUG_ON(sizeof(bool) != 1);
QEMU_BUILD_BUG_ON(sizeof(QdbDirtyInfo) != 24);
QEMU_BUILD_BUG_ON(offsetof(QdbDirtyInfo, count) != 8);
QEMU_BUILD_BUG_ON(offsetof(QdbDirtyInfo, granularity) != 16);
QEMU_BUILD_BUG_ON(offsetof(QdbDirtyInfo, recording) != 20);
QEMU_BUILD_BUG_ON(offsetof(QdbDirtyInfo, inconsistent) != 23);
