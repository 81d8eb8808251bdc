/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An allocator that refuses. Linked into a program, its malloc stands before that of the C library
 * for the whole process, the shared library under test included; it passes on what it does not
 * refuse.
 */
#ifndef C_TESTS_FAULT_ALLOC_H
#define C_TESTS_FAULT_ALLOC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct FaultReport {
    uint64_t requests;  /* since fault_arm */
    uint64_t refused;   /* how many of them got nothing */
    char call[16];      /* the C function of the first one that got nothing, and its bytes */
    size_t bytes;
} FaultReport;

/* Where all requests are recorded from now on: memory that a parent process may share. */
void fault_report_to(FaultReport *report);

/*
 * From now on requests are counted; the @nth (1: the next one) is refused, and with @onwards all
 * that follow. 0: none.
 */
void fault_arm(uint64_t nth, bool onwards);

/* Nothing is refused or counted any more. */
void fault_disarm(void);

#endif
