/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory for a bitmap's content is allocated when the bitmap is made. A guest's write, a reset, a
 * clear and a merge in place allocate none: so a limit shows when a bitmap is added, and never in a
 * write.
 */
#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common.h"
#include "fault-alloc.h"
#include "memory-tests.h"
#include "memory-use.h"

#define CHUNK UINT64_C(32768) /* what the library stores in one piece, in bits */
#define CHUNKS UINT64_C(2048)
#define BITS (CHUNKS * CHUNK)
#define BITMAPS 3
#define NOT_ALLOWED 77

/* HBitmaps of one size and three granularities, and a part to load. */
typedef struct Maps {
    HBitmap *hb[BITMAPS];
    uint8_t part[CHUNK / 8];
} Maps;

static const int granularities[BITMAPS] = { 0, 3, 9 };

static void maps_init(Maps *maps, uint64_t size)
{
    for (int i = 0; i < BITMAPS; i++) {
        maps->hb[i] = hbitmap_alloc(size, granularities[i]);
    }
    memset(maps->part, 0x11, sizeof(maps->part));
}

static void maps_clear(Maps *maps)
{
    for (int i = 0; i < BITMAPS; i++) {
        hbitmap_free(maps->hb[i]);
    }
}

/* Every density of a chunk, up and down, in a row of chunks; the bits are set one by one. */
static void densities(HBitmap *hb, uint64_t chunks)
{
    static const uint64_t counts[] = {
        1, 4, 5, 6, 7, 8, 9, 12, 32, 33, 64, 65, 500, CHUNK / 2, CHUNK,
    };
    uint64_t unit = UINT64_C(1) << hbitmap_granularity(hb);

    for (uint64_t chunk = 0; chunk < chunks; chunk++) {
        uint64_t count = counts[chunk % G_N_ELEMENTS(counts)];

        for (uint64_t i = 0; i < count; i++) {
            hbitmap_set(hb, (chunk * CHUNK + i * (CHUNK / count)) * unit, 1);
        }
        for (uint64_t i = 0; chunk % 3 == 0 && i < count; i++) {
            hbitmap_reset(hb, (chunk * CHUNK + i * (CHUNK / count)) * unit, unit);
        }
    }
}

static void edit(HBitmap *hb, uint64_t size)
{
    uint64_t unit = UINT64_C(1) << hbitmap_granularity(hb);

    densities(hb, 4);
    hbitmap_set(hb, 5 * unit, size / 2);
    hbitmap_reset(hb, 64 * unit, size / 4 / unit * unit);
    hbitmap_set(hb, 0, size);
    hbitmap_reset(hb, 7 * unit, unit);
    hbitmap_reset_all(hb);
    densities(hb, size / unit / CHUNK > 200 ? 200 : size / unit / CHUNK);
}

static void load_and_merge(Maps *maps, uint64_t size)
{
    for (int i = 0; i < BITMAPS; i++) {
        int granularity = granularities[i];

        hbitmap_deserialize_part(maps->hb[i], maps->part, 0, CHUNK << granularity, false);
        hbitmap_deserialize_ones(maps->hb[i], CHUNK << granularity, CHUNK << granularity, false);
        hbitmap_deserialize_zeroes(maps->hb[i], 2 * CHUNK << granularity, CHUNK << granularity,
                                   true);
    }
    for (int i = 0; i < BITMAPS; i++) {
        for (int k = 0; k < BITMAPS; k++) {
            check_merged(hbitmap_merge(maps->hb[i], maps->hb[k], maps->hb[i]));
        }
        hbitmap_set(maps->hb[i], size - 1, 1);
    }
}

/* All that is done with HBitmaps that live, without a new one. */
static void work(Maps *maps, uint64_t size)
{
    for (int i = 0; i < BITMAPS; i++) {
        edit(maps->hb[i], size);
    }
    load_and_merge(maps, size);
}

static void expect_no_request(const FaultReport *report)
{
    if (report->requests != 0) {
        g_error("%" PRIu64 " requests for memory; expected none", report->requests);
    }
}

static void hbitmap_asks_nothing(void)
{
    Maps maps;
    FaultReport report = { 0 };

    maps_init(&maps, BITS);
    fault_report_to(&report);
    fault_arm(0, false);
    work(&maps, BITS);
    fault_disarm();
    expect_no_request(&report);
    maps_clear(&maps);
}

/*
 * A node as a guest's disk has it: bitmaps of several granularities, one of them with a successor.
 */
static void guest_write_asks_nothing(void)
{
    const int64_t size = 64 * GIB;
    BlockDriverState *bs = qdb_node_new(size, 0, "node");
    BdrvDirtyBitmap *fine = bdrv_create_dirty_bitmap(bs, 4096, "fine", &error_abort);
    BdrvDirtyBitmap *coarse = bdrv_create_dirty_bitmap(bs, 65536, "coarse", &error_abort);
    BdrvDirtyBitmap *frozen = bdrv_create_dirty_bitmap(bs, 65536, "frozen", &error_abort);
    FaultReport report = { 0 };

    g_assert_cmpint(bdrv_dirty_bitmap_create_successor(frozen, &error_abort), ==, 0);
    /* A thread's first look at a write filter registers the thread, once in its life. */
    bdrv_set_dirty(bs, 0, 512);
    fault_report_to(&report);
    fault_arm(0, false);
    for (int64_t i = 0; i < 20000; i++) {
        bdrv_set_dirty(bs, i * 7919 % (size / 4096) * 4096, i % 5 ? 512 : 3 * MIB);
    }
    bdrv_set_dirty_bitmap(fine, 0, size);
    bdrv_reset_dirty_bitmap(fine, 0, size / 2);
    bdrv_clear_dirty_bitmap(fine, NULL);
    check_merged(bdrv_merge_dirty_bitmap(fine, coarse, NULL, &error_abort));
    fault_disarm();
    expect_no_request(&report);
    g_assert_true(bdrv_reclaim_dirty_bitmap(frozen, &error_abort) == frozen);
    bdrv_release_named_dirty_bitmaps(bs);
    qdb_node_free(bs);
}

/* Deeper than anything below will go, so that the stack is there: it is counted as well. */
static __attribute__((noinline)) void touch_stack(void)
{
    volatile char deep[256 * 1024];

    for (size_t i = 0; i < sizeof(deep); i += 1024) {
        deep[i] = 1;
    }
}

/* No address is left: QEMU under a limit, or a host that does not promise more. */
static void no_addresses_left(void *opaque)
{
    const uint64_t size = *(const uint64_t *)opaque;
    Maps maps;

    touch_stack();
    maps_init(&maps, size);
    memory_limit(0);
    work(&maps, size);
}

static void writes_under_a_limit(void)
{
    /* The finest one: 2^26 and 2^30 bits. */
    const uint64_t sizes[] = { UINT64_C(1) << 26, UINT64_C(1) << 30 };

    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        memory_in_child(no_addresses_left, (void *)&sizes[i]);
    }
}

static int64_t page_faults(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_minflt + usage.ru_majflt;
}

static void locked_in_memory(void *opaque)
{
    Maps maps;
    int64_t before, faults;
    struct rlimit limit;

    (void)opaque;
    touch_stack();
    getrlimit(RLIMIT_MEMLOCK, &limit);
    if (geteuid() != 0 && limit.rlim_cur < 256 * MIB) {
        _exit(NOT_ALLOWED);
    }
    if (mlockall(MCL_CURRENT | MCL_FUTURE) != 0) {
        _exit(errno == EPERM || errno == ENOMEM ? NOT_ALLOWED : 1);
    }
    maps_init(&maps, BITS);
    before = page_faults();
    work(&maps, BITS);
    faults = page_faults() - before;
    /*
     * A few page faults may be the kernel's own. Writes that allocate have three thousand.
     */
    if (faults > 16) {
        g_error("%" PRId64 " page faults in writes; expected none", faults);
    }
}

/* As with QEMU's -overcommit mem-lock=on: what a bitmap needs is there when it is made. */
static void no_page_fault_when_locked(void)
{
    char *text;
    int status = run_in_child(locked_in_memory, NULL, &text);

    if (WIFEXITED(status) && WEXITSTATUS(status) == NOT_ALLOWED) {
        g_test_skip("this user may not lock memory");
    } else if (status != 0) {
        g_error("wait status 0x%x, stderr '%s'", (unsigned)status, text);
    }
    g_free(text);
}

typedef struct Wanted {
    uint64_t size;
    int granularity;
    uint64_t bits;
} Wanted;

static void made_under_a_limit(void *opaque)
{
    const Wanted *wanted = opaque;

    memory_limit(64 * MIB);
    hbitmap_free(hbitmap_alloc(wanted->size, wanted->granularity));
}

static void grown_under_a_limit(void *opaque)
{
    const Wanted *wanted = opaque;

    memory_limit(64 * MIB);
    hbitmap_truncate(hbitmap_alloc(0, wanted->granularity), wanted->size);
}

/* The number that the message of a refused allocation has. */
static uint64_t bytes_asked_for(const char *text)
{
    const char *words = on_qemu() ? "failed to allocate " : "memory allocation of ";
    const char *found = strstr(text, words);

    if (!found) {
        g_error("stderr '%s'", text);
    }
    return g_ascii_strtoull(found + strlen(words), NULL, 10);
}

/*
 * The limit shows at once, with a message that names the size: all that the bits need,
 * of 2^41 bits too, the most that a bitmap may have. One bit more is an assertion, in test-abort.
 */
static void limit_shows_when_made(void)
{
    static const Wanted all[] = {
        { UINT64_C(1) << 32, 0, UINT64_C(1) << 32 },
        { (UINT64_C(1) << 41) - 1, 0, UINT64_C(1) << 41 },
        { UINT64_C(1) << 41, 0, UINT64_C(1) << 41 },
        { UINT64_C(1) << 50, 9, UINT64_C(1) << 41 },
        { INT64_MAX, 22, UINT64_C(1) << 41 },
    };
    void (*const bodies[])(void *) = { made_under_a_limit, grown_under_a_limit };

    for (size_t i = 0; i < G_N_ELEMENTS(all) * G_N_ELEMENTS(bodies); i++) {
        const Wanted *wanted = &all[i / G_N_ELEMENTS(bodies)];
        char *text;
        int status = run_in_child(bodies[i % G_N_ELEMENTS(bodies)], (void *)wanted, &text);
        uint64_t bytes = bytes_asked_for(text);

        g_assert_true(WIFSIGNALED(status));
        g_assert_cmpint(WTERMSIG(status), ==, on_qemu() ? SIGTRAP : SIGABRT);
        g_assert_cmpuint(bytes, >=, wanted->bits / 8);
        g_assert_cmpuint(bytes, <=, wanted->bits / 8 * 102 / 100);
        g_free(text);
    }
}

void add_memory_write_tests(void)
{
    g_test_add_func("/memory/write/limit-shows-when-made", limit_shows_when_made);
    g_test_add_func("/memory/write/hbitmap-asks-nothing", hbitmap_asks_nothing);
    g_test_add_func("/memory/write/guest-asks-nothing", guest_write_asks_nothing);
    g_test_add_func("/memory/write/address-limit", writes_under_a_limit);
    g_test_add_func("/memory/write/locked", no_page_fault_when_locked);
}
