/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <assert.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#undef NDEBUG
#include "traces.h"

uint16_t tracing, tracing_iterators;
char traced[1 << 16];
static size_t length;
static const void *named[26];
static size_t names;
static const char *expected;

const uint16_t *const qdb_host_trace_set_state = &tracing;
const uint16_t *const qdb_host_trace_reset_state = &tracing;
const uint16_t *const qdb_host_trace_iter_skip_words_state = &tracing_iterators;

void forget_traces(void)
{
    traced[0] = '\0';
    length = names = 0;
}

static void compare_and_exit(int signal)
{
    (void)signal;
    _exit(strcmp(traced, expected) ? 1 : ABORTED_AS_TOLD);
}

void at_abort(const char *told)
{
    expected = told;
    signal(SIGABRT, compare_and_exit);
}

static char name_of(const void *hb)
{
    size_t i = 0;

    while (i < names && named[i] != hb) {
        i++;
    }
    if (i == names) {
        assert(hb && names < sizeof(named) / sizeof(*named));
        named[names++] = hb;
    }
    return 'a' + i;
}

static void __attribute__((format(printf, 1, 2))) note(const char *format, ...)
{
    size_t left = sizeof(traced) - length;
    va_list arguments;

    va_start(arguments, format);
    length += vsnprintf(traced + length, left, format, arguments);
    va_end(arguments);
    assert(length < sizeof(traced));
}

void qdb_host_trace_set(const void *hb, uint64_t start, uint64_t count, uint64_t sbit,
                        uint64_t ebit)
{
    note("set %c %" PRIu64 ",%" PRIu64 " %" PRIu64 "..%" PRIu64 "\n", name_of(hb), start, count,
         sbit, ebit);
}

void qdb_host_trace_reset(const void *hb, uint64_t start, uint64_t count, uint64_t sbit,
                          uint64_t ebit)
{
    note("reset %c %" PRIu64 ",%" PRIu64 " %" PRIu64 "..%" PRIu64 "\n", name_of(hb), start, count,
         sbit, ebit);
}

void qdb_host_trace_iter_skip_words(const void *hb, void *hbi, uint64_t pos, unsigned long cur)
{
    assert(hbi);
    note("skip %c %" PRIu64 " %lx\n", name_of(hb), pos, cur);
}
