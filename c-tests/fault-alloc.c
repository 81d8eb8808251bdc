/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fault-alloc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The C library's own, under the names that it has for programs that bring a malloc along. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

static FaultReport nobody;
static FaultReport *report = &nobody;
static bool armed, onwards;
static uint64_t nth;

void fault_report_to(FaultReport *new_report)
{
    report = new_report;
}

void fault_arm(uint64_t new_nth, bool new_onwards)
{
    nth = new_nth;
    onwards = new_onwards;
    armed = true;
}

void fault_disarm(void)
{
    armed = false;
}

/* Must not allocate itself. */
static bool refused(const char *call, size_t bytes)
{
    if (!armed) {
        return false;
    }
    report->requests++;
    if (nth == 0 || report->requests < nth || (report->requests > nth && !onwards)) {
        return false;
    }
    if (report->refused++ == 0) {
        strncpy(report->call, call, sizeof(report->call) - 1);
        report->bytes = bytes;
    }
    errno = ENOMEM;
    return true;
}

void *malloc(size_t size)
{
    return refused("malloc", size) ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return refused("calloc", count * size) ? NULL : __libc_calloc(count, size);
}

void *realloc(void *memory, size_t size)
{
    return refused("realloc", size) ? NULL : __libc_realloc(memory, size);
}

void *memalign(size_t alignment, size_t size)
{
    return refused("memalign", size) ? NULL : __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return refused("aligned_alloc", size) ? NULL : __libc_memalign(alignment, size);
}

int posix_memalign(void **memory, size_t alignment, size_t size)
{
    void *new_memory = refused("posix_memalign", size) ? NULL : __libc_memalign(alignment, size);

    if (!new_memory) {
        return ENOMEM;
    }
    *memory = new_memory;
    return 0;
}
