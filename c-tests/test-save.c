/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Bitmaps in files and streams. */
#include "common.h"
#include "save-tests.h"

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add_save_tests();
    add_in_use_tests();
    return g_test_run();
}
