/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * HBitmap. The 40 paths of QEMU's tests/unit/test-hbitmap.c are here under the same names, with
 * bodies of our own, and further ones for what QEMU's tests never enter.
 */
#include "hbitmap-tests.h"

#include <glib.h>

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add_hbitmap_set_tests();
    add_hbitmap_reset_tests();
    add_hbitmap_iter_tests();
    add_hbitmap_iter_merge_tests();
    add_hbitmap_truncate_tests();
    add_hbitmap_search_tests();
    add_hbitmap_serialize_tests();
    add_hbitmap_merge_tests();
    add_hbitmap_sha256_tests();
    add_hbitmap_limit_tests();
    add_hbitmap_random_tests();
    return g_test_run();
}
