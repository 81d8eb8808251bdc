/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the kernel says of this process's memory. Nothing here allocates between two looks. */
#ifndef C_TESTS_MEMORY_USE_H
#define C_TESTS_MEMORY_USE_H

#include <stdint.h>

/* Bytes of private memory that are resident. */
int64_t memory_resident(void);

/* Bytes of address space. */
int64_t memory_addresses(void);

/* Mappings. */
int64_t memory_mappings(void);

/* Lets at most @more bytes of address space be added from now on. For a child process. */
void memory_limit(int64_t more);

/*
 * Runs @body in a child; fails the running test, with what the child wrote on stderr, unless it
 * returns.
 */
void memory_in_child(void (*body)(void *), void *opaque);

#endif
