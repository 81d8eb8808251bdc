/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * BdrvDirtyBitmap: bitmaps with names and states on a node. QEMU has no unit test for these
 * functions.
 */
#include "dirty-tests.h"

#include <glib.h>

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add_dirty_create_tests();
    add_dirty_content_tests();
    add_dirty_state_tests();
    add_dirty_death_tests();
    add_dirty_successor_tests();
    add_dirty_merge_tests();
    add_dirty_backup_tests();
    add_dirty_serialize_tests();
    add_dirty_iter_tests();
    add_dirty_query_tests();
    add_dirty_node_tests();
    add_dirty_driver_tests();
    return g_test_run();
}
