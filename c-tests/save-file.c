/* SPDX-License-Identifier: GPL-2.0-or-later */
/* qdb_bitmap_save and qdb_bitmap_load: files, pipes, and what refuses bytes. */
#include "node.h"
#include "save-tests.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

/* Not a multiple of the granularity. */
#define SIZE (100 * MIB + 1000)

static int new_file(void)
{
    char path[] = "/tmp/qdb-save-XXXXXX";
    int fd = mkstemp(path);

    g_assert_cmpint(fd, >=, 0);
    unlink(path);
    return fd;
}

static BlockDriverState *new_disk(void)
{
    return qdb_node_new(SIZE, 0, NULL);
}

/* A bitmap with runs, single bits, and a last bit. */
static BdrvDirtyBitmap *new_bitmap(BlockDriverState *bs, unsigned state)
{
    BdrvDirtyBitmap *bitmap = bitmap_new(bs, "monday", GRANULARITY, 3 * MIB, 0);

    for (int64_t offset = 50 * MIB; offset < 60 * MIB; offset += 100000) {
        bdrv_set_dirty(bs, offset, 1);
    }
    bdrv_set_dirty(bs, SIZE - 1, 1);
    if (state & STATE_PERSISTENT) {
        bdrv_dirty_bitmap_set_persistence(bitmap, true);
    }
    if (state & STATE_DISABLED) {
        bdrv_disable_dirty_bitmap(bitmap);
    }
    return bitmap;
}

static void expect_same(BdrvDirtyBitmap *one, BdrvDirtyBitmap *other)
{
    char *picture = bitmap_picture(one, GRANULARITY);

    g_assert_true(one != other);
    expect_picture(other, GRANULARITY, picture);
    g_free(picture);
    g_assert_cmpstr(bdrv_dirty_bitmap_name(one), ==, bdrv_dirty_bitmap_name(other));
    g_assert_cmpint(bdrv_get_dirty_count(one), ==, bdrv_get_dirty_count(other));
    g_assert_cmpuint(bdrv_dirty_bitmap_granularity(one), ==, bdrv_dirty_bitmap_granularity(other));
    g_assert_cmpint(bdrv_dirty_bitmap_size(one), ==, bdrv_dirty_bitmap_size(other));
    g_assert_cmpint(bdrv_dirty_bitmap_enabled(one), ==, bdrv_dirty_bitmap_enabled(other));
    g_assert_cmpint(bdrv_dirty_bitmap_get_persistence(one), ==,
                    bdrv_dirty_bitmap_get_persistence(other));
}

static void through_a_file(gconstpointer state)
{
    BlockDriverState *bs = new_disk(), *restarted = new_disk();
    BdrvDirtyBitmap *bitmap = new_bitmap(bs, GPOINTER_TO_UINT(state));
    BdrvDirtyBitmap *loaded;
    int fd = new_file();

    g_assert_true(qdb_bitmap_save(bitmap, fd, &error_abort));
    g_assert_cmpint(lseek(fd, 0, SEEK_SET), ==, 0);
    loaded = qdb_bitmap_load(restarted, fd, &error_abort);
    expect_same(bitmap, loaded);
    g_assert_true(bdrv_find_dirty_bitmap(restarted, "monday") == loaded);

    /* It records as any other. */
    bdrv_enable_dirty_bitmap(loaded);
    bdrv_set_dirty(restarted, 20 * MIB, 1);
    g_assert_true(bdrv_dirty_bitmap_get(loaded, 20 * MIB));
    close(fd);
    node_discard(bs);
    node_discard(restarted);
}

static void without_a_name(void)
{
    BlockDriverState *bs = new_disk(), *restarted = new_disk();
    BdrvDirtyBitmap *bitmap = bdrv_create_dirty_bitmap(bs, 65536, NULL, &error_abort);
    int fd = new_file();

    g_assert_true(qdb_bitmap_save(bitmap, fd, &error_abort));
    g_assert_cmpint(lseek(fd, 0, SEEK_SET), ==, 0);
    expect_same(bitmap, qdb_bitmap_load(restarted, fd, &error_abort));
    close(fd);
    node_discard(bs);
    node_discard(restarted);
}

struct writer {
    BdrvDirtyBitmap *bitmap;
    int fd;
};

static gpointer save_two(gpointer opaque)
{
    struct writer *writer = opaque;

    g_assert_true(qdb_bitmap_save(writer->bitmap, writer->fd, &error_abort));
    g_assert_cmpint(write(writer->fd, "between", 7), ==, 7);
    g_assert_true(qdb_bitmap_save(writer->bitmap, writer->fd, &error_abort));
    close(writer->fd);
    return NULL;
}

/* More than a pipe holds, both ways at once; what follows a bitmap is left for its reader. */
static void through_a_pipe(void)
{
    BlockDriverState *bs = new_disk(), *restarted = new_disk();
    BdrvDirtyBitmap *bitmap = bitmap_new(bs, "large", 512, 0, 0), *loaded;
    struct writer writer = { .bitmap = bitmap };
    char text[8] = "";
    GThread *thread;
    int ends[2];

    for (int64_t offset = 0; offset < 50 * MIB; offset += 512 * 3) {
        bdrv_set_dirty(bs, offset, 1);
    }
    g_assert_cmpint(pipe(ends), ==, 0);
    writer.fd = ends[1];
    thread = g_thread_new("writer", save_two, &writer);

    loaded = qdb_bitmap_load(restarted, ends[0], &error_abort);
    expect_same(bitmap, loaded);
    g_assert_cmpint(read(ends[0], text, 7), ==, 7);
    g_assert_cmpstr(text, ==, "between");
    bdrv_release_dirty_bitmap(loaded);
    expect_same(bitmap, qdb_bitmap_load(restarted, ends[0], &error_abort));
    g_assert_cmpint(read(ends[0], text, 1), ==, 0);

    g_thread_join(thread);
    close(ends[0]);
    node_discard(bs);
    node_discard(restarted);
}

static gpointer save_what_is_released(gpointer opaque)
{
    struct writer *writer = opaque;
    Error *err = NULL;

    g_assert_false(qdb_bitmap_save(writer->bitmap, writer->fd, &err));
    expect_error(&err, "could not save the bitmap: the bitmap was released meanwhile", NULL);
    close(writer->fd);
    return NULL;
}

/*
 * A backup begins and ends while the bitmap is saved. What is written meanwhile is in the successor
 * alone, so the file would lack it.
 */
static void a_backup_meanwhile(void)
{
    BlockDriverState *bs = qdb_node_new(2 * GIB, 0, NULL);
    BdrvDirtyBitmap *bitmap = bitmap_new(bs, "large", 512, 0, 0);
    struct writer writer = { .bitmap = bitmap };
    char bytes[4096];
    GThread *thread;
    int ends[2];

    /* Eight blocks of the file; a pipe holds one. */
    for (int64_t offset = 0; offset < 2 * GIB; offset += 512 * 3) {
        bdrv_set_dirty(bs, offset, 1);
    }
    g_assert_cmpint(pipe(ends), ==, 0);
    writer.fd = ends[1];
    thread = g_thread_new("writer", save_what_is_released, &writer);
    g_assert_cmpint(read(ends[0], bytes, sizeof bytes), >, 0);
    g_assert_cmpint(bdrv_dirty_bitmap_create_successor(bitmap, &error_abort), ==, 0);
    bdrv_set_dirty(bs, 512, 1);
    bitmap = bdrv_dirty_bitmap_abdicate(bitmap, &error_abort);
    while (read(ends[0], bytes, sizeof bytes) > 0) {
    }
    g_thread_join(thread);
    close(ends[0]);
    node_discard(bs);
}

/* The message has the name as it is, whatever its encoding. */
static void a_name_that_is_taken(void)
{
    BlockDriverState *bs = new_disk();
    BdrvDirtyBitmap *bitmap = bitmap_new(bs, "caf\xe9", GRANULARITY, 0, 0);
    Error *created = NULL, *loaded = NULL;
    int fd = new_file();

    g_assert_true(qdb_bitmap_save(bitmap, fd, &error_abort));
    g_assert_cmpint(lseek(fd, 0, SEEK_SET), ==, 0);
    g_assert_null(qdb_bitmap_load(bs, fd, &loaded));
    g_assert_null(bdrv_create_dirty_bitmap(bs, GRANULARITY, "caf\xe9", &created));
    expect_error(&loaded, qdb_error_message(created), NULL);
    qdb_error_free(created);
    close(fd);
    node_discard(bs);
}

static void expect_not_saved(BdrvDirtyBitmap *bitmap, int fd, int number)
{
    char *message = g_strdup_printf("could not save the bitmap: %s", strerror(number));
    Error *err = NULL;

    errno = 0;
    g_assert_false(qdb_bitmap_save(bitmap, fd, &err));
    g_assert_cmpint(errno, ==, number);
    expect_error(&err, message, NULL);
    g_assert_false(qdb_bitmap_save(bitmap, fd, NULL));
    g_free(message);
}

static void what_refuses_bytes(void)
{
    BlockDriverState *bs = new_disk();
    BdrvDirtyBitmap *bitmap = new_bitmap(bs, 0);
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    int read_only = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    int ends[2];

    signal(SIGPIPE, SIG_IGN);
    g_assert_cmpint(full, >=, 0);
    expect_not_saved(bitmap, full, ENOSPC);
    expect_not_saved(bitmap, read_only, EBADF);
    expect_not_saved(bitmap, -1, EBADF);
    expect_not_saved(bitmap, INT_MAX, EBADF);
    g_assert_cmpint(pipe(ends), ==, 0);
    close(ends[0]);
    expect_not_saved(bitmap, ends[1], EPIPE);
    close(ends[1]);
    close(full);
    close(read_only);
    node_discard(bs);
}

static void wrong_states(void)
{
    BlockDriverState *bs = new_disk();
    BdrvDirtyBitmap *bitmap = new_bitmap(bs, STATE_PERSISTENT);
    Error *err = NULL;
    int fd = new_file();

    bdrv_dirty_bitmap_set_busy(bitmap, true);
    g_assert_false(qdb_bitmap_save(bitmap, fd, &err));
    expect_error(&err,
                 "Bitmap 'monday' is currently in use by another operation and cannot be used",
                 NULL);
    bdrv_dirty_bitmap_set_busy(bitmap, false);
    bdrv_dirty_bitmap_set_inconsistent(bitmap);
    g_assert_false(qdb_bitmap_save(bitmap, fd, &err));
    expect_error(&err, "Bitmap 'monday' is inconsistent and cannot be used",
                 "Try block-dirty-bitmap-remove to delete this bitmap from disk\n");
    /* Nothing was written. */
    g_assert_cmpint(lseek(fd, 0, SEEK_END), ==, 0);
    close(fd);
    node_discard(bs);
}

/* What is left of a file is loaded after @change, and refused; the node has no bitmap then. */
static void expect_not_loaded(BlockDriverState *bs, int fd, const char *message)
{
    int before = node_bitmap_count(bs);
    Error *err = NULL;

    g_assert_cmpint(lseek(fd, 0, SEEK_SET), ==, 0);
    g_assert_null(qdb_bitmap_load(bs, fd, &err));
    expect_error(&err, message, NULL);
    g_assert_cmpint(node_bitmap_count(bs), ==, before);
}

static void what_is_refused(void)
{
    BlockDriverState *bs = new_disk(), *longer = qdb_node_new(SIZE + 1, 0, NULL);
    BlockDriverState *gone = qdb_node_new(-ENOMEDIUM, 0, NULL);
    BdrvDirtyBitmap *bitmap = new_bitmap(bs, 0);
    Error *err = NULL;
    int fd = new_file();
    off_t end;

    expect_not_loaded(bs, fd, "the stored bitmap is cut off");
    g_assert_true(qdb_bitmap_save(bitmap, fd, &error_abort));
    end = lseek(fd, 0, SEEK_CUR);
    expect_not_loaded(bs, fd, "Bitmap already exists: monday");
    expect_not_loaded(longer, fd,
                      "the stored bitmap is for a disk of 104858600 bytes, this one has 104858601");
    expect_not_loaded(gone, fd, "could not get length of device: No medium found");
    bdrv_release_dirty_bitmap(bitmap);

    /* At its end there is nothing. */
    g_assert_null(qdb_bitmap_load(bs, fd, NULL));
    for (off_t at = 0; at < end; at++) {
        char byte, changed;

        g_assert_cmpint(pread(fd, &byte, 1, at), ==, 1);
        changed = byte ^ 0x10;
        g_assert_cmpint(pwrite(fd, &changed, 1, at), ==, 1);
        g_assert_cmpint(lseek(fd, 0, SEEK_SET), ==, 0);
        g_assert_null(qdb_bitmap_load(bs, fd, &err));
        g_assert_nonnull(err);
        qdb_error_free(err);
        err = NULL;
        g_assert_cmpint(pwrite(fd, &byte, 1, at), ==, 1);
    }
    g_assert_cmpint(ftruncate(fd, end - 1), ==, 0);
    expect_not_loaded(bs, fd, "the stored bitmap is cut off");
    g_assert_cmpint(pwrite(fd, "text", 4, 0), ==, 4);
    expect_not_loaded(bs, fd, "there is no stored bitmap");
    g_assert_null(qdb_bitmap_load(bs, -1, &err));
    expect_error(&err, "could not load the bitmap: Bad file descriptor", NULL);
    g_assert_cmpint(node_bitmap_count(bs), ==, 0);
    close(fd);
    node_discard(bs);
    node_discard(longer);
    node_discard(gone);
}

/* tests/stored.bitmap was written by the Rust API; this library writes it again, byte by byte. */
static void the_sample(void)
{
    const char *tests = g_getenv("QDB_TESTS");
    char *here = g_path_get_dirname(__FILE__);
    char *folder = tests ? g_strdup(tests) : g_build_filename(here, "..", "tests", NULL);
    char *path = g_build_filename(folder, "stored.bitmap", NULL);
    BlockDriverState *bs = qdb_node_new(100000000, 0, NULL);
    BdrvDirtyBitmap *bitmap;
    char *expected, *written;
    gsize size;
    int fd = open(path, O_RDONLY | O_CLOEXEC), copy = new_file();

    g_assert_cmpint(fd, >=, 0);
    bitmap = qdb_bitmap_load(bs, fd, &error_abort);
    g_assert_cmpstr(bdrv_dirty_bitmap_name(bitmap), ==, "sample");
    g_assert_cmpint(bdrv_get_dirty_count(bitmap), ==, 3170304);
    g_assert_true(qdb_bitmap_save(bitmap, copy, &error_abort));

    g_assert_true(g_file_get_contents(path, &expected, &size, NULL));
    written = g_malloc0(size + 1);
    g_assert_cmpint(pread(copy, written, size + 1, 0), ==, size);
    g_assert_cmpmem(written, size, expected, size);
    g_free(expected);
    g_free(written);
    g_free(path);
    g_free(folder);
    g_free(here);
    close(fd);
    close(copy);
    node_discard(bs);
}

void add_save_tests(void)
{
    g_test_add_data_func("/save/file", GUINT_TO_POINTER(0), through_a_file);
    g_test_add_data_func("/save/file/persistent", GUINT_TO_POINTER(STATE_PERSISTENT),
                         through_a_file);
    g_test_add_data_func("/save/file/disabled", GUINT_TO_POINTER(STATE_DISABLED), through_a_file);
    g_test_add_func("/save/no-name", without_a_name);
    g_test_add_func("/save/pipe", through_a_pipe);
    g_test_add_func("/save/backup-meanwhile", a_backup_meanwhile);
    g_test_add_func("/save/refused-bytes", what_refuses_bytes);
    g_test_add_func("/save/states", wrong_states);
    g_test_add_func("/load/refused", what_is_refused);
    g_test_add_func("/load/name-taken", a_name_that_is_taken);
    g_test_add_func("/load/sample", the_sample);
}
