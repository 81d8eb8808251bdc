/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The assertions of the serialisation: five functions share the checks of a chunk. */
#include "abort-case.h"

typedef void Chunk(HBitmap *hb, uint64_t start, uint64_t count);

static uint8_t buffer[4096];

static void size_of(HBitmap *hb, uint64_t start, uint64_t count)
{
    hbitmap_serialization_size(hb, start, count);
}

static void part_out(HBitmap *hb, uint64_t start, uint64_t count)
{
    hbitmap_serialize_part(hb, buffer, start, count);
}

static void part_in(HBitmap *hb, uint64_t start, uint64_t count)
{
    hbitmap_deserialize_part(hb, buffer, start, count, true);
}

static void zeroes(HBitmap *hb, uint64_t start, uint64_t count)
{
    hbitmap_deserialize_zeroes(hb, start, count, true);
}

static void ones(HBitmap *hb, uint64_t start, uint64_t count)
{
    hbitmap_deserialize_ones(hb, start, count, true);
}

typedef struct ChunkFunction {
    const char *name;
    Chunk *call;
} ChunkFunction;

static const ChunkFunction functions[] = {
    { "size", size_of }, { "serialize_part", part_out }, { "deserialize_part", part_in },
    { "deserialize_zeroes", zeroes }, { "deserialize_ones", ones },
};

typedef struct ChunkViolation {
    const char *name;
    uint64_t start, count;
    const char *condition;
    int skipped_on_qemu;
} ChunkViolation;

#define START_TEXT "(start & (gran - 1)) == 0"
#define LAST_TEXT "(last >> hb->granularity) < hb->size"
#define COUNT_TEXT "(count & (gran - 1)) == 0"

/* For a bitmap of 1000 granules of 8 items: a word covers 512 items. */
static const ChunkViolation violations[] = {
    { "start", 8, 512, START_TEXT, ALWAYS_RUN },
    { "start-odd", 511, 1, START_TEXT, ALWAYS_RUN },
    { "last", 0, 8001, LAST_TEXT, ALWAYS_RUN },
    { "last-aligned", 7680, 512, LAST_TEXT, ALWAYS_RUN },
    { "last-far", 512, UINT64_MAX - 1023, LAST_TEXT, ALWAYS_RUN },
    { "count", 0, 500, COUNT_TEXT, ALWAYS_RUN },
    { "count-second", 512, 513, COUNT_TEXT, ALWAYS_RUN },
    /*
     * The end wraps round to a number before the start. (The size of such a part is returned: see
     * hbitmap-serialize.c.)
     */
    { "wraps", 1024, UINT64_MAX - 511, LAST_TEXT, DIFF_UNDEFINED_IN_C },
};

typedef struct Combination {
    AbortCase c;
    Chunk *call;
    const ChunkViolation *violation;
} Combination;

static Combination combinations[G_N_ELEMENTS(functions) * (G_N_ELEMENTS(violations) + 1)];

/* AbortCase bodies take no argument, so each process finds its combination by the test's path. */
static void violate(void)
{
    const char *name = g_test_get_path() + strlen("/abort/serialize/");

    for (size_t i = 0; i < G_N_ELEMENTS(combinations); i++) {
        const Combination *combination = &combinations[i];

        if (g_strcmp0(name, combination->c.name) == 0) {
            const ChunkViolation *v = combination->violation;

            if (v) {
                combination->call(hbitmap_alloc(8000, 3), v->start, v->count);
            } else {
                combination->call(hbitmap_alloc(UINT64_C(1) << 60, 58), 0, UINT64_C(1) << 60);
            }
            return;
        }
    }
    g_error("no combination for %s", name);
}

static void align_58(void)
{
    hbitmap_serialization_align(hbitmap_alloc(1000, 58));
}

static void align_63(void)
{
    hbitmap_serialization_align(hbitmap_alloc(1000, 63));
}

static const AbortCase align_cases[] = {
    { "align/granularity-58", "hbitmap_serialization_align", "hbitmap_is_serializable(hb)",
      align_58, ALWAYS_RUN },
    { "align/granularity-63", "hbitmap_serialization_align", "hbitmap_is_serializable(hb)",
      align_63, ALWAYS_RUN },
};

void add_hbitmap_serialize_aborts(void)
{
    Combination *next = combinations;

    for (size_t f = 0; f < G_N_ELEMENTS(functions); f++) {
        for (size_t v = 0; v <= G_N_ELEMENTS(violations); v++) {
            const ChunkViolation *violation = v < G_N_ELEMENTS(violations) ? &violations[v] : NULL;

            if (violation && violation->skipped_on_qemu == DIFF_UNDEFINED_IN_C &&
                functions[f].call == size_of) {
                continue;
            }
            next->call = functions[f].call;
            next->violation = violation;
            next->c.name = g_strdup_printf("%s/%s", functions[f].name,
                                           violation ? violation->name : "granularity-58");
            next->c.function = violation ? "serialization_chunk" : "hbitmap_serialization_align";
            next->c.condition = violation ? violation->condition : "hbitmap_is_serializable(hb)";
            next->c.body = violate;
            next->c.skipped_on_qemu = violation ? violation->skipped_on_qemu : ALWAYS_RUN;
            add_abort_cases("serialize", &next->c, 1);
            next++;
        }
    }
    add_abort_cases("serialize", align_cases, G_N_ELEMENTS(align_cases));
}
