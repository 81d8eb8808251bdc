/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Error of the stand-alone host: message, hint, and the two pointers that end the process. */
#include "node.h"

#include <errno.h>
#include <sys/wait.h>

static void set_and_free(void)
{
    Error *err = NULL;
    char *text = g_strdup("something went wrong");

    qdb_error_set(&err, text);
    memset(text, 'x', strlen(text));
    g_free(text);
    g_assert_nonnull(err);
    g_assert_cmpstr(qdb_error_message(err), ==, "something went wrong");
    g_assert_null(qdb_error_hint(err));
    qdb_error_free(err);

    err = NULL;
    qdb_error_set(&err, "");
    g_assert_cmpstr(qdb_error_message(err), ==, "");
    qdb_error_free(err);
}

/* The text is no format. */
static void percent(void)
{
    Error *err = NULL;

    qdb_error_set(&err, "100 %s %n %");
    g_assert_cmpstr(qdb_error_message(err), ==, "100 %s %n %");
    qdb_error_free(err);
}

static void nobody_asks(void)
{
    qdb_error_set(NULL, "nobody hears");
    qdb_error_free(NULL);
    g_assert_null(qdb_error_abort);
    g_assert_null(qdb_error_fatal);
}

static void errno_stays(void)
{
    Error *err = NULL;

    errno = ENOTTY;
    qdb_error_set(&err, "message");
    g_assert_cmpint(errno, ==, ENOTTY);
    qdb_error_free(err);
    g_assert_cmpint(errno, ==, ENOTTY);
}

/* An error on success would be a lie: nothing touches the caller's pointer. */
static void success_leaves_the_pointer(void)
{
    BlockDriverState *bs = qdb_node_new(MIB, 0, NULL);
    Error *err = NULL;
    BdrvDirtyBitmap *a = bdrv_create_dirty_bitmap(bs, 4096, "a", &err);
    BdrvDirtyBitmap *b = bdrv_create_dirty_bitmap(bs, 4096, "b", &err);

    g_assert_null(err);
    g_assert_true(bdrv_merge_dirty_bitmap(a, b, NULL, &err));
    g_assert_cmpint(bdrv_dirty_bitmap_check(a, BDRV_BITMAP_DEFAULT, &err), ==, 0);
    g_assert_cmpint(bdrv_dirty_bitmap_create_successor(a, &err), ==, 0);
    g_assert_nonnull(bdrv_reclaim_dirty_bitmap(a, &err));
    g_assert_null(err);
    node_discard(bs);
}

static void fail_into(Error **errp)
{
    BlockDriverState *bs = qdb_node_new(MIB, 0, NULL);

    bitmap_new(bs, "twice", 4096, 0, 0);
    bdrv_create_dirty_bitmap(bs, 4096, "twice", errp);
}

static void fail_into_abort(void *opaque)
{
    (void)opaque;
    fail_into(&error_abort);
}

static void fail_into_fatal(void *opaque)
{
    (void)opaque;
    fail_into(&error_fatal);
}

static void set_abort(void *opaque)
{
    (void)opaque;
    qdb_error_set(&error_abort, "set by hand");
}

static void set_fatal(void *opaque)
{
    (void)opaque;
    qdb_error_set(&error_fatal, "set by hand");
}

static void check_inconsistent_abort(void *opaque)
{
    bdrv_dirty_bitmap_check(opaque, BDRV_BITMAP_INCONSISTENT, &error_abort);
}

static void merge_abort(void *opaque)
{
    bdrv_merge_dirty_bitmap(opaque, opaque, NULL, &error_abort);
}

static void error_abort_aborts(void)
{
    BlockDriverState *bs;
    BdrvDirtyBitmap *bitmap;

    if (skipped_on_qemu(DIFF_HOST)) {
        return;
    }
    bs = qdb_node_new(MIB, 0, NULL);
    bitmap = bitmap_new(bs, "b", 4096, 0, STATE_INCONSISTENT);
    expect_abort(fail_into_abort, NULL,
                 "*Unexpected error in bdrv_create_dirty_bitmap()*Bitmap already exists: twice*");
    expect_abort(set_abort, NULL, "*Unexpected error in *set by hand*");
    expect_abort(check_inconsistent_abort, bitmap,
                 "*Unexpected error in bdrv_dirty_bitmap_check()*Bitmap 'b' is inconsistent and "
                 "cannot be used*");
    bdrv_dirty_bitmap_set_busy(bitmap, true);
    expect_abort(merge_abort, bitmap,
                 "*Unexpected error in bdrv_dirty_bitmap_check()*Bitmap 'b' is currently in use by "
                 "another operation*");
    node_discard(bs);
}

static void expect_exit_1(void (*body)(void *), const char *pattern)
{
    char *text;
    int status = run_in_child(body, NULL, &text);

    g_assert_true(WIFEXITED(status));
    g_assert_cmpint(WEXITSTATUS(status), ==, 1);
    g_assert_true(g_pattern_match_simple(pattern, text));
    g_free(text);
}

static void error_fatal_exits(void)
{
    if (skipped_on_qemu(DIFF_HOST)) {
        return;
    }
    expect_exit_1(fail_into_fatal, "*Bitmap already exists: twice*");
    expect_exit_1(set_fatal, "*set by hand*");
}

static void overwrite(void *opaque)
{
    Error *err = NULL;

    (void)opaque;
    fail_into(&err);
    fail_into(&err);
}

/* Two errors for one pointer: the first would leak, and QEMU asserts. */
static void second_error_aborts(void)
{
    expect_abort(overwrite, NULL, "*errp == NULL*");
}

static void version(void)
{
    g_assert_nonnull(qdb_version());
    g_assert_cmpuint(strlen(qdb_version()), >, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/error/set-and-free", set_and_free);
    g_test_add_func("/error/percent", percent);
    g_test_add_func("/error/nobody-asks", nobody_asks);
    g_test_add_func("/error/errno-stays", errno_stays);
    g_test_add_func("/error/success", success_leaves_the_pointer);
    g_test_add_func("/error/error_abort", error_abort_aborts);
    g_test_add_func("/error/error_fatal", error_fatal_exits);
    g_test_add_func("/error/second-error", second_error_aborts);
    g_test_add_func("/error/version", version);
    return g_test_run();
}
