/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What every test of this folder includes: the library's header, GLib's test framework, and the
 * list of the points where the library differs from QEMU's C by design.
 *
 * The same binaries also run against QEMU's own two C files, built as a shared object with the same
 * names (the "oracle"). Its qdb_version() answers "qemu". A case that a listed difference makes
 * meaningless there is skipped there, with the reason on record; nothing is ever skipped against
 * this library.
 */
#ifndef C_TESTS_COMMON_H
#define C_TESTS_COMMON_H

#include <glib.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "qemu_dirty_bitmap.h"

#define KIB INT64_C(1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

typedef enum Difference {
    DIFF_BITS_PAST_END,      /* C keeps deserialised bits past the end; here they are dropped */
    DIFF_NEXT_ZERO_PAST_END, /* C reads out of bounds for a start past the end; here -1 */
    DIFF_LOCK_ORDER,         /* C locks dest, then src, and opposite merges deadlock */
    DIFF_NULL_ENABLE,        /* C dies of enable/disable of NULL; here a warning */
    DIFF_NULL_ARGUMENT,      /* C dereferences NULL; here an abort that names the argument */
    DIFF_MERGE_RESULT,       /* C aborts on a size mismatch and returns nothing; here false */
    DIFF_UNDEFINED_IN_C,     /* a wrapped index, an iterator over memory that moved, a data race */
    DIFF_EMPTY_FINISH,       /* C asserts in deserialize_finish of no bits; here it does nothing */
    DIFF_HOST,               /* a rule of the stand-alone host alone */
} Difference;

/* True if the library under test is QEMU's own C. */
bool on_qemu(void);

/* On QEMU's C: marks the running test as skipped because of @difference and returns true. */
bool skipped_on_qemu(Difference difference);

/* The functions whose return type QEMU 7.1 changed to void say nothing in C. */
#define check_merged(call)                   \
    do {                                     \
        bool merged_ = (call);               \
        g_assert_true(merged_ || on_qemu()); \
    } while (0)

/*
 * Runs @body in a forked child and checks that it dies of SIGABRT with stderr that matches the glob
 * @pattern. For matrices of hundreds of cases; test-abort.c uses GLib's subprocesses for the named
 * checks.
 */
void expect_abort(void (*body)(void *), void *opaque, const char *pattern);

/*
 * Runs @body in a forked child. Returns its wait status; *text gets what it wrote on stderr, to be
 * freed by g_free.
 */
int run_in_child(void (*body)(void *), void *opaque, char **text);

/* Checks message and hint (NULL: none) of an error, frees it and clears the caller's pointer. */
void expect_error(Error **err, const char *message, const char *hint);

/* A reproducible number in [0, limit), from GLib's test seed. */
uint64_t random_below(uint64_t limit);

#endif
