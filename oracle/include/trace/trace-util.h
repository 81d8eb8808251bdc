/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Stand-in for the generated trace points of util/: as if compiled out, which is QEMU's cheapest case. */
#ifndef ORACLE_TRACE_UTIL_H
#define ORACLE_TRACE_UTIL_H

#define trace_hbitmap_iter_skip_words(...) ((void)0)
#define trace_hbitmap_set(...) ((void)0)
#define trace_hbitmap_reset(...) ((void)0)

#endif
