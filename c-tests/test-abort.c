/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every check that ends the process, reached through the API: the message names the function and
 * the condition.
 */
#include "abort-case.h"

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add_hbitmap_aborts();
    add_hbitmap_serialize_aborts();
    add_dirty_bitmap_aborts();
    add_hbitmap_null_aborts();
    add_dirty_bitmap_null_aborts();
    add_node_null_aborts();
    add_null_enable_tests();
    return g_test_run();
}
