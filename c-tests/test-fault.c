/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Faults of the world around the library: no memory, and a fork in the middle. */
#include "common.h"
#include "fault-tests.h"

int main(int argc, char **argv)
{
    /* Looking up names for a backtrace takes longer than everything else here. */
    g_setenv("RUST_BACKTRACE", "0", TRUE);
    g_test_init(&argc, &argv, NULL);
    add_memory_fault_tests();
    add_fork_tests();
    return g_test_run();
}
