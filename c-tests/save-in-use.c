/* SPDX-License-Identifier: GPL-2.0-or-later */
/* qdb_bitmap_mark_in_use: a program that dies leaves a bitmap that is refused. */
#include "node.h"
#include "save-tests.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define IN_USE "the stored bitmap is marked as in use: it was not stored again, and may lack writes"

/* A bitmap in a file that is open for reading and writing, at its beginning. */
static int stored_bitmap(char *path)
{
    BlockDriverState *bs = qdb_node_new(MIB, 0, NULL);
    BdrvDirtyBitmap *bitmap = bitmap_new(bs, "b", GRANULARITY, 1, STATE_PERSISTENT);
    int fd = mkstemp(path);

    g_assert_cmpint(fd, >=, 0);
    g_assert_true(qdb_bitmap_save(bitmap, fd, &error_abort));
    g_assert_cmpint(lseek(fd, 0, SEEK_SET), ==, 0);
    node_discard(bs);
    return fd;
}

static void expect_in_use(int fd)
{
    BlockDriverState *bs = qdb_node_new(MIB, 0, NULL);
    Error *err = NULL;

    g_assert_cmpint(lseek(fd, 0, SEEK_SET), ==, 0);
    g_assert_null(qdb_bitmap_load(bs, fd, &err));
    expect_error(&err, IN_USE, NULL);
    g_assert_cmpint(node_bitmap_count(bs), ==, 0);
    node_discard(bs);
}

static void load_mark_and_die(void *opaque)
{
    int fd = *(int *)opaque;
    BlockDriverState *bs = qdb_node_new(MIB, 0, NULL);
    BdrvDirtyBitmap *bitmap = qdb_bitmap_load(bs, fd, &error_abort);
    off_t place = lseek(fd, 0, SEEK_CUR);

    g_assert_true(qdb_bitmap_mark_in_use(fd, 0, &error_abort));
    g_assert_cmpint(lseek(fd, 0, SEEK_CUR), ==, place);
    bdrv_set_dirty(bs, 8 * GRANULARITY, 1);
    g_assert_cmpint(bdrv_get_dirty_count(bitmap), ==, 2 * GRANULARITY);
    /* An emulator may have something to say after that. */
    fputs("all is as expected\n", stderr);
    abort();
}

static void a_program_that_dies(void)
{
    char path[] = "/tmp/qdb-in-use-XXXXXX";
    int fd = stored_bitmap(path);
    Error *err = NULL;

    expect_abort(load_mark_and_die, &fd, "all is as expected\n*");
    expect_in_use(fd);
    g_assert_false(qdb_bitmap_mark_in_use(fd, 0, &err));
    expect_error(&err, IN_USE, NULL);
    close(fd);
    unlink(path);
}

/* The file is replaced by one without a mark. */
static void a_program_that_ends_well(void)
{
    char path[] = "/tmp/qdb-in-use-XXXXXX", replacement[] = "/tmp/qdb-in-use-XXXXXX";
    BlockDriverState *bs = qdb_node_new(MIB, 0, NULL);
    BdrvDirtyBitmap *bitmap;
    int fd = stored_bitmap(path), replaced;

    bitmap = qdb_bitmap_load(bs, fd, &error_abort);
    g_assert_true(qdb_bitmap_mark_in_use(fd, 0, &error_abort));
    expect_in_use(fd);
    bdrv_set_dirty(bs, 8 * GRANULARITY, 1);
    replaced = mkstemp(replacement);
    g_assert_true(qdb_bitmap_save(bitmap, replaced, &error_abort));
    g_assert_cmpint(fsync(replaced), ==, 0);
    g_assert_cmpint(rename(replacement, path), ==, 0);
    close(replaced);
    close(fd);
    node_discard(bs);

    fd = open(path, O_RDONLY | O_CLOEXEC);
    bs = qdb_node_new(MIB, 0, NULL);
    bitmap = qdb_bitmap_load(bs, fd, &error_abort);
    g_assert_cmpint(bdrv_get_dirty_count(bitmap), ==, 2 * GRANULARITY);
    close(fd);
    unlink(path);
    node_discard(bs);
}

static void at_an_offset(void)
{
    char path[] = "/tmp/qdb-in-use-XXXXXX";
    BlockDriverState *bs = qdb_node_new(MIB, 0, NULL);
    BdrvDirtyBitmap *bitmap = bitmap_new(bs, "b", GRANULARITY, 1, 0);
    int fd = stored_bitmap(path);
    off_t second = lseek(fd, 0, SEEK_END);
    BdrvDirtyBitmap *loaded;

    g_assert_true(qdb_bitmap_save(bitmap, fd, &error_abort));
    bdrv_release_dirty_bitmap(bitmap);
    g_assert_true(qdb_bitmap_mark_in_use(fd, second, &error_abort));
    g_assert_cmpint(lseek(fd, 0, SEEK_SET), ==, 0);
    loaded = qdb_bitmap_load(bs, fd, &error_abort);
    bdrv_release_dirty_bitmap(loaded);
    g_assert_null(qdb_bitmap_load(bs, fd, NULL));
    close(fd);
    unlink(path);
    node_discard(bs);
}

static void expect_not_marked(int fd, int64_t offset, const char *message)
{
    Error *err = NULL;

    g_assert_false(qdb_bitmap_mark_in_use(fd, offset, &err));
    expect_error(&err, message, NULL);
}

static void what_cannot_be_marked(void)
{
    char path[] = "/tmp/qdb-in-use-XXXXXX";
    BlockDriverState *bs = qdb_node_new(MIB, 0, NULL);
    int fd = stored_bitmap(path), read_only = open(path, O_RDONLY | O_CLOEXEC), ends[2];
    int appending = open(path, O_RDWR | O_APPEND | O_CLOEXEC);
    off_t end = lseek(fd, 0, SEEK_END);

    expect_not_marked(fd, 1, "there is no stored bitmap");
    expect_not_marked(fd, end, "the stored bitmap is cut off");
    expect_not_marked(fd, INT64_MAX, "could not mark the bitmap as in use: Invalid argument");
    expect_not_marked(fd, -1, "could not mark the bitmap as in use: Invalid argument");
    expect_not_marked(-1, 0, "could not mark the bitmap as in use: Bad file descriptor");
    expect_not_marked(read_only, 0, "could not mark the bitmap as in use: Bad file descriptor");
    /* The mark would come to the end of the file. */
    expect_not_marked(appending, 0, "could not mark the bitmap as in use: Invalid argument");
    g_assert_cmpint(lseek(appending, 0, SEEK_END), ==, end);
    close(appending);
    g_assert_cmpint(pipe(ends), ==, 0);
    expect_not_marked(ends[0], 0, "could not mark the bitmap as in use: Illegal seek");
    close(ends[0]);
    close(ends[1]);

    /* None of that left a mark. */
    g_assert_cmpint(lseek(read_only, 0, SEEK_SET), ==, 0);
    g_assert_nonnull(qdb_bitmap_load(bs, read_only, &error_abort));
    close(read_only);
    close(fd);
    unlink(path);
    node_discard(bs);
}

void add_in_use_tests(void)
{
    g_test_add_func("/in-use/dies", a_program_that_dies);
    g_test_add_func("/in-use/ends-well", a_program_that_ends_well);
    g_test_add_func("/in-use/offset", at_an_offset);
    g_test_add_func("/in-use/refused", what_cannot_be_marked);
}
