/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The subjects of test-threads. */
#ifndef C_TESTS_THREADS_TESTS_H
#define C_TESTS_THREADS_TESTS_H

/* Ends the process if the test hangs; alarm(0) calls it off. */
void watch(void);

void add_unlocked_reader_tests(void);

#endif
