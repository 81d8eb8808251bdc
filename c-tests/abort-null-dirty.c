/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * NULL for each argument of the BdrvDirtyBitmap functions that needs an object. QEMU's C crashes on
 * most.
 */
#include "abort-case.h"
#include "node.h"

static int64_t out;
static uint8_t buffer[8];

static BdrvDirtyBitmap *some(void)
{
    return bitmap_new(qdb_node_new(64 * GRANULARITY, 0, NULL), "b", GRANULARITY, GRANULARITY, 0);
}

static BdrvDirtyBitmap *locked(void)
{
    BdrvDirtyBitmap *bitmap = some();

    bdrv_dirty_bitmap_lock(bitmap);
    return bitmap;
}

static BlockDriverState *node(void)
{
    return qdb_node_new(MIB, 0, NULL);
}

/* function, argument, call */
#define CALLS(X)                                                                                   \
    X(bdrv_create_dirty_bitmap, bs, bdrv_create_dirty_bitmap(NULL, 4096, "b", NULL))               \
    X(bdrv_dirty_bitmap_create_successor, bitmap, bdrv_dirty_bitmap_create_successor(NULL, NULL))  \
    X(bdrv_dirty_bitmap_abdicate, bitmap, bdrv_dirty_bitmap_abdicate(NULL, NULL))                  \
    X(bdrv_reclaim_dirty_bitmap, parent, bdrv_reclaim_dirty_bitmap(NULL, NULL))                    \
    X(bdrv_reclaim_dirty_bitmap_locked, parent, bdrv_reclaim_dirty_bitmap_locked(NULL, NULL))      \
    X(bdrv_dirty_bitmap_enable_successor, bitmap, bdrv_dirty_bitmap_enable_successor(NULL))        \
    X(bdrv_find_dirty_bitmap, bs, bdrv_find_dirty_bitmap(NULL, "b"))                               \
    X(bdrv_dirty_bitmap_check, bitmap, bdrv_dirty_bitmap_check(NULL, BDRV_BITMAP_DEFAULT, NULL))   \
    X(bdrv_release_dirty_bitmap, bitmap, bdrv_release_dirty_bitmap(NULL))                          \
    X(bdrv_release_named_dirty_bitmaps, bs, bdrv_release_named_dirty_bitmaps(NULL))                \
    X(bdrv_enable_dirty_bitmap_locked, bitmap, bdrv_enable_dirty_bitmap_locked(NULL))              \
    X(bdrv_query_dirty_bitmaps, bs, bdrv_query_dirty_bitmaps(NULL))                                \
    X(bdrv_get_default_bitmap_granularity, bs, bdrv_get_default_bitmap_granularity(NULL))          \
    X(bdrv_dirty_bitmap_granularity, bitmap, bdrv_dirty_bitmap_granularity(NULL))                  \
    X(bdrv_dirty_bitmap_enabled, bitmap, bdrv_dirty_bitmap_enabled(NULL))                          \
    X(bdrv_dirty_bitmap_has_successor, bitmap, bdrv_dirty_bitmap_has_successor(NULL))              \
    X(bdrv_dirty_bitmap_name, bitmap, bdrv_dirty_bitmap_name(NULL))                                \
    X(bdrv_dirty_bitmap_size, bitmap, bdrv_dirty_bitmap_size(NULL))                                \
    X(bdrv_set_dirty_bitmap, bitmap, bdrv_set_dirty_bitmap(NULL, 0, 1))                            \
    X(bdrv_reset_dirty_bitmap, bitmap, bdrv_reset_dirty_bitmap(NULL, 0, 1))                        \
    X(bdrv_set_dirty_bitmap_locked, bitmap, bdrv_set_dirty_bitmap_locked(NULL, 0, 1))              \
    X(bdrv_reset_dirty_bitmap_locked, bitmap, bdrv_reset_dirty_bitmap_locked(NULL, 0, 1))          \
    X(bdrv_clear_dirty_bitmap, bitmap, bdrv_clear_dirty_bitmap(NULL, NULL))                        \
    X(bdrv_restore_dirty_bitmap, bitmap, bdrv_restore_dirty_bitmap(NULL, hbitmap_alloc(MIB, 0)))   \
    X(bdrv_restore_dirty_bitmap, backup, bdrv_restore_dirty_bitmap(some(), NULL))                  \
    X(bdrv_dirty_iter_new, bitmap, bdrv_dirty_iter_new(NULL))                                      \
    X(bdrv_dirty_iter_next, iter, bdrv_dirty_iter_next(NULL))                                      \
    X(bdrv_set_dirty_iter, iter, bdrv_set_dirty_iter(NULL, 0))                                     \
    X(bdrv_dirty_bitmap_serialization_size, bitmap,                                                \
      bdrv_dirty_bitmap_serialization_size(NULL, 0, 1))                                            \
    X(bdrv_dirty_bitmap_serialization_align, bitmap, bdrv_dirty_bitmap_serialization_align(NULL))  \
    X(bdrv_dirty_bitmap_serialization_coverage, bitmap,                                            \
      bdrv_dirty_bitmap_serialization_coverage(8, NULL))                                           \
    X(bdrv_dirty_bitmap_serialize_part, bitmap,                                                    \
      bdrv_dirty_bitmap_serialize_part(NULL, buffer, 0, 1))                                        \
    X(bdrv_dirty_bitmap_serialize_part, buf,                                                       \
      bdrv_dirty_bitmap_serialize_part(some(), NULL, 0, 64 * GRANULARITY))                         \
    X(bdrv_dirty_bitmap_deserialize_part, bitmap,                                                  \
      bdrv_dirty_bitmap_deserialize_part(NULL, buffer, 0, 1, true))                                \
    X(bdrv_dirty_bitmap_deserialize_part, buf,                                                     \
      bdrv_dirty_bitmap_deserialize_part(some(), NULL, 0, 64 * GRANULARITY, true))                 \
    X(bdrv_dirty_bitmap_deserialize_zeroes, bitmap,                                                \
      bdrv_dirty_bitmap_deserialize_zeroes(NULL, 0, 1, true))                                      \
    X(bdrv_dirty_bitmap_deserialize_ones, bitmap,                                                  \
      bdrv_dirty_bitmap_deserialize_ones(NULL, 0, 1, true))                                        \
    X(bdrv_dirty_bitmap_deserialize_finish, bitmap, bdrv_dirty_bitmap_deserialize_finish(NULL))    \
    X(bdrv_dirty_bitmap_set_readonly, bitmap, bdrv_dirty_bitmap_set_readonly(NULL, true))          \
    X(bdrv_dirty_bitmap_set_persistence, bitmap, bdrv_dirty_bitmap_set_persistence(NULL, true))    \
    X(bdrv_dirty_bitmap_set_inconsistent, bitmap, bdrv_dirty_bitmap_set_inconsistent(NULL))        \
    X(bdrv_dirty_bitmap_set_busy, bitmap, bdrv_dirty_bitmap_set_busy(NULL, true))                  \
    X(bdrv_dirty_bitmap_skip_store, bitmap, bdrv_dirty_bitmap_skip_store(NULL, true))              \
    X(bdrv_merge_dirty_bitmap, dest, bdrv_merge_dirty_bitmap(NULL, some(), NULL, NULL))            \
    X(bdrv_merge_dirty_bitmap, src, bdrv_merge_dirty_bitmap(some(), NULL, NULL, NULL))             \
    X(bdrv_dirty_bitmap_merge_internal, dest,                                                      \
      bdrv_dirty_bitmap_merge_internal(NULL, some(), NULL, true))                                  \
    X(bdrv_dirty_bitmap_merge_internal, src,                                                       \
      bdrv_dirty_bitmap_merge_internal(some(), NULL, NULL, true))                                  \
    X(bdrv_dirty_bitmap_get, bitmap, bdrv_dirty_bitmap_get(NULL, 0))                               \
    X(bdrv_dirty_bitmap_get_locked, bitmap, bdrv_dirty_bitmap_get_locked(NULL, 0))                 \
    X(bdrv_dirty_bitmap_lock, bitmap, bdrv_dirty_bitmap_lock(NULL))                                \
    X(bdrv_dirty_bitmap_unlock, bitmap, bdrv_dirty_bitmap_unlock(NULL))                            \
    X(bdrv_get_dirty_count, bitmap, bdrv_get_dirty_count(NULL))                                    \
    X(bdrv_dirty_bitmap_truncate, bs, bdrv_dirty_bitmap_truncate(NULL, 0))                         \
    X(bdrv_dirty_bitmap_readonly, bitmap, bdrv_dirty_bitmap_readonly(NULL))                        \
    X(bdrv_has_readonly_bitmaps, bs, bdrv_has_readonly_bitmaps(NULL))                              \
    X(bdrv_has_named_bitmaps, bs, bdrv_has_named_bitmaps(NULL))                                    \
    X(bdrv_dirty_bitmap_get_persistence, bitmap, bdrv_dirty_bitmap_get_persistence(NULL))          \
    X(bdrv_dirty_bitmap_inconsistent, bitmap, bdrv_dirty_bitmap_inconsistent(NULL))                \
    X(bdrv_dirty_bitmap_first, bs, bdrv_dirty_bitmap_first(NULL))                                  \
    X(bdrv_dirty_bitmap_next, bitmap, bdrv_dirty_bitmap_next(NULL))                                \
    X(bdrv_dirty_bitmap_sha256, bitmap, bdrv_dirty_bitmap_sha256(NULL, NULL))                      \
    X(bdrv_dirty_bitmap_next_dirty, bitmap, bdrv_dirty_bitmap_next_dirty(NULL, 0, 1))              \
    X(bdrv_dirty_bitmap_next_zero, bitmap, bdrv_dirty_bitmap_next_zero(NULL, 0, 1))                \
    X(bdrv_dirty_bitmap_next_dirty_area, bitmap,                                                   \
      bdrv_dirty_bitmap_next_dirty_area(NULL, 0, 9, 9, &out, &out))                                \
    X(bdrv_dirty_bitmap_next_dirty_area, dirty_start,                                              \
      bdrv_dirty_bitmap_next_dirty_area(locked(), 0, 9, 9, NULL, &out))                            \
    X(bdrv_dirty_bitmap_next_dirty_area, dirty_count,                                              \
      bdrv_dirty_bitmap_next_dirty_area(locked(), 0, 9, 9, &out, NULL))                            \
    X(bdrv_dirty_bitmap_status, bitmap, bdrv_dirty_bitmap_status(NULL, 0, 1, &out))                \
    X(bdrv_dirty_bitmap_status, count, bdrv_dirty_bitmap_status(locked(), 0, 1, NULL))             \
    X(bdrv_set_dirty, bs, bdrv_set_dirty(NULL, 0, 1))                                              \
    X(bdrv_supports_persistent_dirty_bitmap, bs, bdrv_supports_persistent_dirty_bitmap(NULL))      \
    X(bdrv_co_can_store_new_dirty_bitmap, bs,                                                      \
      bdrv_co_can_store_new_dirty_bitmap(NULL, "b", 4096, NULL))                                   \
    X(bdrv_can_store_new_dirty_bitmap, bs, bdrv_can_store_new_dirty_bitmap(NULL, "b", 4096, NULL)) \
    X(bdrv_co_remove_persistent_dirty_bitmap, bs,                                                  \
      bdrv_co_remove_persistent_dirty_bitmap(NULL, "b", NULL))                                     \
    X(bdrv_remove_persistent_dirty_bitmap, bs, bdrv_remove_persistent_dirty_bitmap(NULL, "b", NULL))

#define NULL_DIFFERENCE DIFF_NULL_ARGUMENT

CALLS(NULL_BODY)

static const AbortCase cases[] = { CALLS(NULL_CASE) };

/* QEMU asserts on this one. */
static void find_no_name(void)
{
    bdrv_find_dirty_bitmap(node(), NULL);
}

static const AbortCase asserted[] = {
    { "bdrv_find_dirty_bitmap/name", "bdrv_find_dirty_bitmap", "name", find_no_name, ALWAYS_RUN },
};

void add_dirty_bitmap_null_aborts(void)
{
    add_null_cases("null", cases, G_N_ELEMENTS(cases));
    add_abort_cases("null", asserted, G_N_ELEMENTS(asserted));
}

/* A transaction of QEMU's that fails does this, and must not take the guest with it. */
static void null_enable(gconstpointer data)
{
    bool enable = GPOINTER_TO_INT(data);

    if (g_test_subprocess()) {
        if (enable) {
            bdrv_enable_dirty_bitmap(NULL);
        } else {
            bdrv_disable_dirty_bitmap(NULL);
        }
        return;
    }
    if (skipped_on_qemu(DIFF_NULL_ENABLE)) {
        return;
    }
    g_test_trap_subprocess(NULL, 60 * G_USEC_PER_SEC, G_TEST_SUBPROCESS_DEFAULT);
    g_test_trap_assert_passed();
    g_test_trap_assert_stderr(enable ? "*bdrv_enable_dirty_bitmap*NULL*"
                                     : "*bdrv_disable_dirty_bitmap*NULL*");
}

void add_null_enable_tests(void)
{
    g_test_add_data_func("/null-lives/bdrv_enable_dirty_bitmap", GINT_TO_POINTER(1), null_enable);
    g_test_add_data_func("/null-lives/bdrv_disable_dirty_bitmap", GINT_TO_POINTER(0), null_enable);
}
