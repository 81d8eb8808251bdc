/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef C_TESTS_LIMITS_TESTS_H
#define C_TESTS_LIMITS_TESTS_H

void add_range_limit_tests(void);
void add_shape_limit_tests(void);
void add_node_limit_tests(void);

#endif
