/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A table of calls that must abort, each run in a subprocess of the test program. */
#ifndef C_TESTS_ABORT_CASE_H
#define C_TESTS_ABORT_CASE_H

#include "common.h"

typedef struct AbortCase {
    const char *name;      /* of the test, below its table's path */
    const char *function;  /* that stderr must name */
    const char *condition; /* QEMU's text of the assertion */
    void (*body)(void);
    int skipped_on_qemu;   /* ALWAYS_RUN, or the Difference that makes QEMU's C die otherwise */
} AbortCase;

#define ALWAYS_RUN (-1)

/* Adds one test for each of @count cases: "/abort/<table>/<name>". The table must stay. */
void add_abort_cases(const char *table, const AbortCase *cases, size_t count);

/* The same with NULL for an argument: @condition is the name of the argument. */
void add_null_cases(const char *table, const AbortCase *cases, size_t count);

/*
 * For tables of (function, argument, call): the function that makes the call, and the case for
 * add_null_cases(). NULL_DIFFERENCE is the file's, the Difference that makes QEMU's C die
 * otherwise.
 */
#define NULL_BODY(function, argument, call) \
    static void function##_##argument(void) \
    {                                       \
        call;                               \
    }
#define NULL_CASE(function, argument, call) \
    { #function "/" #argument, #function, #argument, function##_##argument, NULL_DIFFERENCE },

void add_hbitmap_aborts(void);
void add_hbitmap_serialize_aborts(void);
void add_dirty_bitmap_aborts(void);
void add_hbitmap_null_aborts(void);
void add_dirty_bitmap_null_aborts(void);
void add_node_null_aborts(void);
void add_null_enable_tests(void);

#endif
