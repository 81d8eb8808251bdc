/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The subjects of test-hbitmap, one file each. Each function adds its tests to GLib's tree. */
#ifndef C_TESTS_HBITMAP_TESTS_H
#define C_TESTS_HBITMAP_TESTS_H

void add_hbitmap_set_tests(void);
void add_hbitmap_reset_tests(void);
void add_hbitmap_iter_tests(void);
void add_hbitmap_iter_merge_tests(void);
void add_hbitmap_truncate_tests(void);
void add_hbitmap_search_tests(void);
void add_hbitmap_serialize_tests(void);
void add_hbitmap_merge_tests(void);
void add_hbitmap_sha256_tests(void);
void add_hbitmap_limit_tests(void);
void add_hbitmap_random_tests(void);

#endif
