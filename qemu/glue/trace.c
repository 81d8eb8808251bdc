/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * QEMU's trace events of bitmaps (util/trace-events), for the Rust library.
 */
#include "qemu/osdep.h"
#include "host.h"
#include "trace/trace-util.h"

/*
 * Tracers that attach from outside (SystemTap, LTTng) do not switch QEMU's own
 * event state on, so the library must hand them every event and let them
 * decide.
 */
#if defined(CONFIG_TRACE_DTRACE) || defined(CONFIG_TRACE_UST)
#define QDB_TRACERS_ATTACH_FROM_OUTSIDE 1
#else
#define QDB_TRACERS_ATTACH_FROM_OUTSIDE 0
#endif

/*
 * An event can be off (its state, which QEMU switches), compiled out (never),
 * or read by a tracer that QEMU does not know of (always).
 */
#if QDB_TRACERS_ATTACH_FROM_OUTSIDE
static const uint16_t always = 1;
#define STATE_OF(event) (&always)
#else
static const uint16_t never;
#define STATE_OF(event) \
    (TRACE_##event##_ENABLED ? &_TRACE_##event##_DSTATE : &never)
#endif

const uint16_t *const qdb_host_trace_set_state = STATE_OF(HBITMAP_SET);
const uint16_t *const qdb_host_trace_reset_state = STATE_OF(HBITMAP_RESET);
const uint16_t *const qdb_host_trace_iter_skip_words_state =
    STATE_OF(HBITMAP_ITER_SKIP_WORDS);

/*
 * The events want a pointer that they only print; that it is not const means
 * nothing.
 */

void qdb_host_trace_set(const void *hb, uint64_t start, uint64_t count,
                        uint64_t sbit, uint64_t ebit)
{
    trace_hbitmap_set((void *)hb, start, count, sbit, ebit);
}

void qdb_host_trace_reset(const void *hb, uint64_t start, uint64_t count,
                          uint64_t sbit, uint64_t ebit)
{
    trace_hbitmap_reset((void *)hb, start, count, sbit, ebit);
}

void qdb_host_trace_iter_skip_words(const void *hb, void *hbi, uint64_t pos,
                                    unsigned long cur)
{
    trace_hbitmap_iter_skip_words(hb, hbi, pos, cur);
}
