/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef C_TESTS_SAVE_TESTS_H
#define C_TESTS_SAVE_TESTS_H

void add_save_tests(void);
void add_in_use_tests(void);

#endif
