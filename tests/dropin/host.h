/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A host of a few lines instead of QEMU's glue. */
#ifndef TESTS_DROPIN_HOST_H
#define TESTS_DROPIN_HOST_H

#include "qemu_dirty_bitmap.h"

struct BlockDriverState {
    void *bitmaps;
    int64_t length;
    int locked;
};

struct Error {
    int os_errno;
    char func[64];
    char msg[256];
    char hint[256];
};

extern int locks;
extern int retired;
extern char asserted_for[64];
extern const size_t qdb_host_bitmaps_offset;

/* The glue's own declarations, with the types above where it has QEMU's (tests/dropin/qemu). */
#include "../../qemu/glue/host.h"

#endif
