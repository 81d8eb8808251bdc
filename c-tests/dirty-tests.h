/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The subjects of test-dirty-bitmap, one file each. Each function adds its tests to GLib's tree. */
#ifndef C_TESTS_DIRTY_TESTS_H
#define C_TESTS_DIRTY_TESTS_H

void add_dirty_create_tests(void);
void add_dirty_content_tests(void);
void add_dirty_state_tests(void);
void add_dirty_death_tests(void);
void add_dirty_successor_tests(void);
void add_dirty_merge_tests(void);
void add_dirty_backup_tests(void);
void add_dirty_serialize_tests(void);
void add_dirty_iter_tests(void);
void add_dirty_query_tests(void);
void add_dirty_node_tests(void);
void add_dirty_driver_tests(void);

#endif
