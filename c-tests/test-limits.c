/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The limits of sizes, granularities, offsets and lengths: as QEMU has them, or a clear abort. */
#include "common.h"
#include "limits-tests.h"

int main(int argc, char **argv)
{
    /* Looking up names for a backtrace takes longer than everything else here. */
    g_setenv("RUST_BACKTRACE", "0", TRUE);
    g_test_init(&argc, &argv, NULL);
    add_range_limit_tests();
    add_shape_limit_tests();
    add_node_limit_tests();
    return g_test_run();
}
