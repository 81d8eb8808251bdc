/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which sizes and granularities a bitmap can have: it works, or the process aborts with the
 * assertion.
 */
#include <limits.h>

#include "common.h"
#include "limits-rules.h"
#include "limits-tests.h"

/*
 * A bitmap allocates memory for each bit. Larger ones that are allowed are for test-memory, which
 * makes them under a limit.
 */
#define MOST_BITS (UINT64_C(1) << 30)

static const uint64_t sizes[] = {
    0,
    1,
    63,
    64,
    65,
    UINT64_C(1) << 40,
    (UINT64_C(1) << 41) - 1,
    UINT64_C(1) << 41,
    (UINT64_C(1) << 41) + 1,
    UINT64_C(1) << 42,
    INT64_MAX - 1,
    INT64_MAX,
    UINT64_C(1) << 63,
    (UINT64_C(1) << 63) + 1,
    UINT64_MAX - 1,
    UINT64_MAX,
};
static const int granularities[] = { INT_MIN, -64, -1, 0,  1,  2,  21, 22,  23,
                                     40,      57,  58, 62, 63, 64, 65, 127, INT_MAX };

typedef struct Wanted {
    HBitmap *hb;
    uint64_t size;
    int granularity;
} Wanted;

static void alloc_and_free(void *opaque)
{
    const Wanted *wanted = opaque;

    hbitmap_free(hbitmap_alloc(wanted->size, wanted->granularity));
}

static void truncate_it(void *opaque)
{
    const Wanted *wanted = opaque;

    hbitmap_truncate(wanted->hb, wanted->size);
}

static bool fits(uint64_t size, int granularity)
{
    return size >> granularity <= MOST_BITS;
}

/* A bitmap of this shape takes its first and its last item, and lets go of them. */
static void use(HBitmap *hb, uint64_t size, int granularity)
{
    const uint64_t unit = UINT64_C(1) << granularity;
    const uint64_t last_bit = size ? (size - 1) >> granularity : 0;

    g_assert_cmpint(hbitmap_granularity(hb), ==, granularity);
    g_assert_true(hbitmap_empty(hb));
    g_assert_cmpint(hbitmap_next_dirty(hb, 0, INT64_MAX), ==, -1);
    g_assert_cmpint(hbitmap_next_zero(hb, 0, INT64_MAX), ==, size ? 0 : -1);
    if (size == 0) {
        return;
    }
    hbitmap_set(hb, size - 1, 1);
    hbitmap_set(hb, 0, 1);
    g_assert_cmpuint(hbitmap_count(hb), ==, last_bit ? 2 * unit : unit);
    g_assert_true(hbitmap_get(hb, size - 1));
    g_assert_cmpint(hbitmap_next_dirty(hb, (int64_t)size - 1, 1), ==, (int64_t)size - 1);
    g_assert_cmpint(hbitmap_next_zero(hb, 0, INT64_MAX), ==, last_bit > 1 ? (int64_t)unit : -1);
    hbitmap_reset_all(hb);
    g_assert_true(hbitmap_empty(hb));
}

static void shapes(void)
{
    unsigned good = 0, bad = 0;

    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        for (size_t j = 0; j < G_N_ELEMENTS(granularities); j++) {
            Wanted wanted = { NULL, sizes[i], granularities[j] };

            if (!shape_allowed(wanted.size, wanted.granularity)) {
                expect_abort(alloc_and_free, &wanted, "*hbitmap_alloc: Assertion `*' failed*");
                bad++;
            } else if (fits(wanted.size, wanted.granularity)) {
                HBitmap *hb = hbitmap_alloc(wanted.size, wanted.granularity);

                use(hb, wanted.size, wanted.granularity);
                hbitmap_free(hb);
                good++;
            }
        }
    }
    g_test_message("%u shapes work, %u abort", good, bad);
    g_assert_cmpuint(good, >, 50);
    g_assert_cmpuint(bad, >, 50);
}

/* From one size to every other. */
static void truncations(void)
{
    unsigned good = 0, bad = 0;

    for (int granularity = 0; granularity < 64; granularity += 9) {
        for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
            if (!shape_allowed(sizes[i], granularity) || !fits(sizes[i], granularity)) {
                continue;
            }
            for (size_t j = 0; j < G_N_ELEMENTS(sizes); j++) {
                Wanted wanted = { NULL, sizes[j], granularity };

                wanted.hb = hbitmap_alloc(sizes[i], granularity);
                if (!shape_allowed(wanted.size, granularity)) {
                    expect_abort(truncate_it, &wanted, "*hbitmap_truncate: Assertion `*' failed*");
                    bad++;
                } else if (fits(wanted.size, granularity)) {
                    if (sizes[i] > 0) {
                        hbitmap_set(wanted.hb, sizes[i] - 1, 1);
                    }
                    truncate_it(&wanted);
                    /* The last bit stays if it is still one of the bitmap's. */
                    g_assert_cmpint(hbitmap_empty(wanted.hb), ==,
                                    sizes[i] == 0 || wanted.size == 0 ||
                                        (sizes[i] - 1) >> granularity > (wanted.size - 1) >>
                                            granularity);
                    hbitmap_reset_all(wanted.hb);
                    use(wanted.hb, wanted.size, granularity);
                    good++;
                }
                hbitmap_free(wanted.hb);
            }
        }
    }
    g_test_message("%u truncations work, %u abort", good, bad);
    g_assert_cmpuint(good, >, 50);
    g_assert_cmpuint(bad, >, 50);
}

void add_shape_limit_tests(void)
{
    g_test_add_func("/limits/shapes", shapes);
    g_test_add_func("/limits/truncations", truncations);
}
