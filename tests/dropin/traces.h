/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The trace events of bitmaps, written down line by line. */
#ifndef TESTS_DROPIN_TRACES_H
#define TESTS_DROPIN_TRACES_H

#include <stdint.h>

/* What at_abort() ends the process with if what was traced is what was expected. */
#define ABORTED_AS_TOLD 77

/* Whether hbitmap_set and hbitmap_reset are switched on, and hbitmap_iter_skip_words. */
extern uint16_t tracing, tracing_iterators;

/*
 * The events since the last forget_traces(), a line each. Bitmaps are called a, b, ... in the order
 * in which events name them: an address says nothing.
 */
extern char traced[1 << 16];

void forget_traces(void);

/*
 * From now on abort() exits: with ABORTED_AS_TOLD if `told` was traced, else with another number.
 */
void at_abort(const char *told);

extern const uint16_t *const qdb_host_trace_set_state;
extern const uint16_t *const qdb_host_trace_reset_state;
extern const uint16_t *const qdb_host_trace_iter_skip_words_state;
void qdb_host_trace_set(const void *hb, uint64_t start, uint64_t count, uint64_t sbit,
                        uint64_t ebit);
void qdb_host_trace_reset(const void *hb, uint64_t start, uint64_t count, uint64_t sbit,
                          uint64_t ebit);
void qdb_host_trace_iter_skip_words(const void *hb, void *hbi, uint64_t pos, unsigned long cur);

#endif
