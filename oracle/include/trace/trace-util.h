/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Stand-in for the generated trace points of util/: as if compiled out, which is QEMU's cheapest
 * case; with ORACLE_TRACES (in ORACLE_CFLAGS) events go to the functions that the drop-in object
 * tells them to (tests/dropin/traces.c).
 */
#ifndef ORACLE_TRACE_UTIL_H
#define ORACLE_TRACE_UTIL_H

/* Not told: it differs when iterators inside of QEMU's code move (docs/differences.md, 23). */
#define trace_hbitmap_iter_skip_words(...) ((void)0)

#ifdef ORACLE_TRACES
void qdb_host_trace_set(const void *hb, uint64_t start, uint64_t count, uint64_t sbit,
                        uint64_t ebit);
void qdb_host_trace_reset(const void *hb, uint64_t start, uint64_t count, uint64_t sbit,
                          uint64_t ebit);
#define trace_hbitmap_set qdb_host_trace_set
#define trace_hbitmap_reset qdb_host_trace_reset
#else
#define trace_hbitmap_set(...) ((void)0)
#define trace_hbitmap_reset(...) ((void)0)
#endif

#endif
