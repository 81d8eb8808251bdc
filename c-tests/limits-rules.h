/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What QEMU's functions answer for any numbers at all, computed in 128 bits from a plain array of
 * bits, so that nothing in here can wrap.
 */
#ifndef C_TESTS_LIMITS_RULES_H
#define C_TESTS_LIMITS_RULES_H

#include <stdbool.h>
#include <stdint.h>

#define PLAIN_BITS 4200

typedef struct Plain {
    uint64_t size; /* items */
    int granularity;
    uint64_t bits;
    bool dirty[PLAIN_BITS];
} Plain;

/* A call: on what function, with which numbers. */
typedef enum LimitCall {
    LIMIT_SET,
    LIMIT_RESET,
    LIMIT_GET,
    LIMIT_NEXT_DIRTY,
    LIMIT_NEXT_ZERO,
    LIMIT_NEXT_AREA,
    LIMIT_STATUS,
    LIMIT_SERIAL_SIZE,
    LIMIT_ZEROES,
    LIMIT_ITER,
    LIMIT_CALLS,
} LimitCall;

typedef enum Fate {
    FATE_RETURNS,
    FATE_ABORTS,        /* an assertion of QEMU's */
    FATE_ABORTS_HERE,   /* QEMU's C wraps or reads out of bounds: docs/differences.md */
    FATE_RETURNS_HERE,  /* as above */
} Fate;

typedef struct Answer {
    Fate fate;
    int64_t value;  /* what comes back; for an area its start, -1 if there is none; of a set or
                       reset, the count after it */
    int64_t length; /* of an area, or of a status */
} Answer;

void plain_init(Plain *plain, uint64_t size, int granularity);

/* Whether an HBitmap can have these. */
bool shape_allowed(uint64_t size, int granularity);

/* Does the call on @plain, if it returns. */
Answer rule(Plain *plain, LimitCall call, uint64_t first, uint64_t second);

#endif
