/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory that is resident: at most what QEMU's C holds for the same bits, and two per cent. C has a
 * word for each 64 bits, a bit for each such word in the level above, and so on; what is resident
 * are the pages that have something set. The tests count these pages. On QEMU's C they also check
 * that the count is right.
 */
#include <unistd.h>

#include "common.h"
#include "memory-tests.h"
#include "memory-use.h"

#define REGION_BITS (UINT64_C(1) << 24)
#define REGIONS UINT64_C(16)
#define BITS (REGIONS * REGION_BITS)
#define LEVELS 3           /* those above take less than a page */
#define SLACK (192 * KIB)  /* headers, levels above, what the C library's heap rounds up */

/* The pages of C's levels that have a bit. A child makes one, and takes it with it. */
typedef struct Footprint {
    uint64_t page_bits;
    uint8_t *touched[LEVELS];
    uint64_t pages[LEVELS];
} Footprint;

static void footprint_init(Footprint *f, uint64_t bits)
{
    f->page_bits = (uint64_t)sysconf(_SC_PAGESIZE) * 8;
    for (int level = 0; level < LEVELS; level++) {
        f->pages[level] = (bits >> (6 * level)) / f->page_bits + 1;
        f->touched[level] = g_malloc0(f->pages[level]);
    }
}

static void footprint_note(Footprint *f, uint64_t bit)
{
    for (int level = 0; level < LEVELS; level++) {
        f->touched[level][(bit >> (6 * level)) / f->page_bits] = 1;
    }
}

static int64_t footprint_bytes(const Footprint *f)
{
    int64_t pages = 0;

    for (int level = 0; level < LEVELS; level++) {
        for (uint64_t page = 0; page < f->pages[level]; page++) {
            pages += f->touched[level][page];
        }
    }
    return pages * (int64_t)(f->page_bits / 8);
}

/* A pattern calls this for each of its bits. */
typedef void Visit(void *opaque, uint64_t bit);

/* A quarter of the regions with every 300th bit, and one chunk of words in each of the others. */
static void quarter_dense(Visit *visit, void *opaque)
{
    for (uint64_t bit = 0; bit < BITS / 4; bit += 300) {
        visit(opaque, bit);
    }
    for (uint64_t region = REGIONS / 4; region < REGIONS; region++) {
        for (uint64_t i = 0; i < 66; i++) {
            visit(opaque, region * REGION_BITS + i);
        }
    }
}

/* An eighth with three of five bits, and 40 bits in each half region of the rest. */
static void eighth_dense(Visit *visit, void *opaque)
{
    for (uint64_t bit = 0; bit < BITS / 8; bit += 5) {
        for (uint64_t i = 0; i < 3; i++) {
            visit(opaque, bit + i);
        }
    }
    for (uint64_t start = BITS / 8; start < BITS; start += REGION_BITS / 2) {
        for (uint64_t i = 0; i < 40; i++) {
            visit(opaque, start + i * 100);
        }
    }
}

/* A bit in 10,000, at random, as of a guest that writes everywhere. */
static void scattered(Visit *visit, void *opaque)
{
    uint64_t random = 1;

    for (uint64_t i = 0; i < BITS / 10000; i++) {
        random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
        visit(opaque, (random >> 20) % BITS);
    }
}

/* Every chunk has some bits, one more than fit into a short list in many ways to keep one. */
static void words_everywhere(Visit *visit, void *opaque)
{
    for (uint64_t bit = 0; bit < BITS; bit += 500) {
        visit(opaque, bit);
    }
}

typedef struct Pattern {
    const char *name;
    void (*visit_all)(Visit *visit, void *opaque);
} Pattern;

static const Pattern patterns[] = {
    { "quarter-dense", quarter_dense },
    { "eighth-dense", eighth_dense },
    { "scattered", scattered },
    { "words-everywhere", words_everywhere },
};

static void set_bit(void *opaque, uint64_t bit)
{
    hbitmap_set(opaque, bit, 1);
}

static void note_bit(void *opaque, uint64_t bit)
{
    footprint_note(opaque, bit);
}

/* What one bit of a coarse bitmap becomes in one of half the granularity. */
static void note_both_halves(void *opaque, uint64_t bit)
{
    footprint_note(opaque, 2 * bit);
    footprint_note(opaque, 2 * bit + 1);
}

static void expect_at_most_c(int64_t used, const Footprint *c)
{
    int64_t most = footprint_bytes(c) * 102 / 100 + SLACK;

    if (used > most) {
        g_error("%" PRId64 " KiB are resident, C has %" PRId64 " KiB", used / KIB,
                footprint_bytes(c) / KIB);
    }
    if (on_qemu()) {
        g_assert_cmpint(used, >=, footprint_bytes(c) * 95 / 100 - SLACK);
    }
}

static void filled_by_sets(void *opaque)
{
    const Pattern *pattern = opaque;
    Footprint c;
    int64_t before;
    HBitmap *hb;

    footprint_init(&c, BITS);
    pattern->visit_all(note_bit, &c);
    before = memory_resident();
    hb = hbitmap_alloc(BITS, 0);
    pattern->visit_all(set_bit, hb);
    expect_at_most_c(memory_resident() - before, &c);
}

static void set_coarse_bit(void *opaque, uint64_t bit)
{
    hbitmap_set(opaque, 2 * bit, 1);
}

static void merged_into_finer(void *opaque)
{
    const Pattern *pattern = opaque;
    HBitmap *coarse = hbitmap_alloc(2 * BITS, 1);
    Footprint c;
    int64_t before;
    HBitmap *fine;

    footprint_init(&c, 2 * BITS);
    pattern->visit_all(note_both_halves, &c);
    pattern->visit_all(set_coarse_bit, coarse);
    before = memory_resident();
    fine = hbitmap_alloc(2 * BITS, 0);
    check_merged(hbitmap_merge(fine, coarse, fine));
    expect_at_most_c(memory_resident() - before, &c);
}

/*
 * A bitmap of a 1 PiB disk after others of its size were freed: C's upper levels come from the heap
 * then, 748 KiB.
 */
static void empty_after_others(void *opaque)
{
    const uint64_t size = UINT64_C(1) << 50;
    int64_t before = memory_resident();

    (void)opaque;
    for (int round = 0; round < 8; round++) {
        HBitmap *hb = hbitmap_alloc(size, 16);
        int64_t used = memory_resident() - before;

        if (used > 748 * KIB * 102 / 100 + 32 * KIB) {
            g_error("an empty bitmap, made after %d others were freed, holds %" PRId64 " KiB",
                    round, used / KIB);
        }
        g_assert_true(hbitmap_empty(hb));
        hbitmap_free(hb);
    }
}

static void sets(gconstpointer data)
{
    memory_in_child(filled_by_sets, (void *)data);
}

static void merges(gconstpointer data)
{
    memory_in_child(merged_into_finer, (void *)data);
}

static void empty(void)
{
    memory_in_child(empty_after_others, NULL);
}

void add_memory_resident_tests(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(patterns); i++) {
        char *path = g_strdup_printf("/memory/resident/sets/%s", patterns[i].name);

        g_test_add_data_func(path, &patterns[i], sets);
        g_free(path);
        path = g_strdup_printf("/memory/resident/merge-into-finer/%s", patterns[i].name);
        g_test_add_data_func(path, &patterns[i], merges);
        g_free(path);
    }
    g_test_add_func("/memory/resident/empty", empty);
}
