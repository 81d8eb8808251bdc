/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef C_TESTS_FAULT_TESTS_H
#define C_TESTS_FAULT_TESTS_H

void add_memory_fault_tests(void);
void add_fork_tests(void);

#endif
