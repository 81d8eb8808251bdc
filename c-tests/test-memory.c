/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory: when it is allocated, how much of it, and how many mappings. The measure of all is QEMU's
 * C.
 */
#include <sys/prctl.h>

#include "common.h"
#include "memory-tests.h"

/*
 * Where every program gets huge pages, C's arrays have them too, and nothing could be learnt from
 * the bits.
 */
static void no_huge_pages_for_all(void)
{
    char *mode = NULL;

    if (g_file_get_contents("/sys/kernel/mm/transparent_hugepage/enabled", &mode, NULL, NULL) &&
        strstr(mode, "[always]")) {
        prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
    }
    g_free(mode);
}

int main(int argc, char **argv)
{
    g_setenv("RUST_BACKTRACE", "0", TRUE);
    g_test_init(&argc, &argv, NULL);
    no_huge_pages_for_all();
    add_memory_write_tests();
    add_memory_resident_tests();
    add_memory_mapping_tests();
    return g_test_run();
}
