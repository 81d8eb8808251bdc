/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The subjects of test-memory, one file each. Each function adds its tests to GLib's tree. */
#ifndef C_TESTS_MEMORY_TESTS_H
#define C_TESTS_MEMORY_TESTS_H

void add_memory_write_tests(void);
void add_memory_resident_tests(void);
void add_memory_mapping_tests(void);

#endif
