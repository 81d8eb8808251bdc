/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runs rounds (see stress.h) with 2, 8 and 16 bitmaps, and compares what was written with what is
 * found.
 *
 * QDB_STRESS_SECONDS   how long for each number of bitmaps (default: 2)
 * QDB_STRESS_PATIENCE  seconds without progress of a thread that are a deadlock (default: 60)
 */
#include "stress.h"

#include <stdio.h>
#include <stdlib.h>

static double setting(const char *name, double usual)
{
    const char *text = g_getenv(name);

    return text ? g_ascii_strtod(text, NULL) : usual;
}

static Slot *add_slot(Round *round, Kind kind, int node, int family, int64_t size)
{
    Slot *slot = &round->slots[round->slot_count];

    slot->kind = kind;
    slot->node = node;
    slot->family = family;
    slot->size = size;
    slot->granularity = SECTOR << random_below(4);
    slot->saved = log_new(size);
    g_snprintf(slot->name, sizeof(slot->name), "bitmap-%d", round->slot_count++);
    /* Bitmaps are as long as their node when they are made. */
    qdb_node_set_length(round->nodes[node], size);
    slot->bitmap = bitmap_new(round->nodes[node], slot->name, slot->granularity, 0,
                              kind == KIND_ASIDE ? STATE_DISABLED : 0);
    round->smallest[node] = MIN(round->smallest[node], size);
    return slot;
}

/*
 * Every other bitmap of a node is of the second family. Sizes are such that the last bits are in
 * the middle of a word.
 */
static Round *round_new(int bitmaps)
{
    Round *round = g_new0(Round, 1);
    int64_t sizes[2];

    for (int i = 0; i < 2; i++) {
        sizes[i] = (int64_t)(200 + random_below(200)) * MIB + (int64_t)random_below(100) * SECTOR;
    }
    for (int node = 0; node < NODES; node++) {
        round->nodes[node] = qdb_node_new(0, 0, NULL);
        round->smallest[node] = INT64_MAX;
    }
    for (int i = 0; i < bitmaps; i++) {
        int family = i / NODES % 2;

        add_slot(round, KIND_MERGED, i % NODES, family, sizes[family]);
    }
    round->merged_count = bitmaps;
    for (int node = 0; node < NODES; node++) {
        add_slot(round, KIND_ASIDE, node, 0, sizes[0]);
        add_slot(round, KIND_JOB, node, 0, sizes[0]);
    }
    add_workers(round);
    return round;
}

static gpointer run_worker(gpointer data)
{
    Worker *w = data;
    bool once = g_str_equal(w->role, "writer");

    do {
        w->work(w);
        worker_progresses(w);
    } while (!once && !g_atomic_int_get(&w->round->stop));
    worker_does(w, "nothing any more");
    g_atomic_int_set(&w->done, 1);
    return NULL;
}

/* A deadlock: says who is where, and ends the process. */
static G_NORETURN void bark(Round *round, double patience)
{
    fprintf(stderr, "no progress for %.0f s\n", patience);
    for (int i = 0; i < round->worker_count; i++) {
        Worker *w = &round->workers[i];

        fprintf(stderr, "  %s %d: %s, %u times\n", w->role, w->index,
                (const char *)g_atomic_pointer_get(&w->doing),
                (guint)g_atomic_int_get(&w->progress));
    }
    abort();
}

/* Whether the writers have written all, and everybody else has done something meanwhile. */
static bool round_done(const Round *round)
{
    for (int i = 0; i < round->worker_count; i++) {
        const Worker *w = &round->workers[i];

        if (g_str_equal(w->role, "writer") ? !g_atomic_int_get(&w->done)
                                           : g_atomic_int_get(&w->progress) < 5) {
            return false;
        }
    }
    return true;
}

static bool all_ended(const Round *round)
{
    for (int i = 0; i < round->worker_count; i++) {
        if (!g_atomic_int_get(&round->workers[i].done)) {
            return false;
        }
    }
    return true;
}

static void run_threads(Round *round)
{
    double patience = setting("QDB_STRESS_PATIENCE", 60);
    guint seen[MOST_WORKERS] = { 0 };
    gint64 moved[MOST_WORKERS];

    for (int i = 0; i < round->worker_count; i++) {
        moved[i] = g_get_monotonic_time();
        round->workers[i].thread =
            g_thread_new(round->workers[i].role, run_worker, &round->workers[i]);
    }
    while (!all_ended(round)) {
        g_usleep(2000);
        if (round_done(round)) {
            g_atomic_int_set(&round->stop, 1);
        }
        for (int i = 0; i < round->worker_count; i++) {
            Worker *w = &round->workers[i];
            guint progress = (guint)g_atomic_int_get(&w->progress);
            gint64 now = g_get_monotonic_time();

            if (progress != seen[i] || g_atomic_int_get(&w->done)) {
                seen[i] = progress;
                moved[i] = now;
            } else if ((double)(now - moved[i]) > patience * G_USEC_PER_SEC) {
                bark(round, patience);
            }
        }
    }
    for (int i = 0; i < round->worker_count; i++) {
        g_thread_join(round->workers[i].thread);
    }
}

/* What was written to a bitmap: to it, or to its node while it recorded. */
static void add_written(Log *written, const Round *round, int slot, int64_t granularity)
{
    for (int i = 0; i < round->worker_count; i++) {
        log_add_rounded(written, &round->workers[i].to_slot[slot], granularity);
        if (round->slots[slot].kind != KIND_ASIDE) {
            log_add_rounded(written, &round->workers[i].to_node[round->slots[slot].node],
                            granularity);
        }
    }
}

/* Each bitmap has all that was written to it. */
static void check_nothing_lost(const Round *round)
{
    for (int i = 0; i < round->slot_count; i++) {
        const Slot *slot = &round->slots[i];
        Log written = log_new(slot->size), found = log_new(slot->size);
        int64_t lost;

        add_written(&written, round, i, slot->granularity);
        log_add_bitmap(&found, slot->bitmap);
        log_add_rounded(&found, &slot->saved, SECTOR);
        /* The last unit may reach past the end, which the areas do not. */
        log_add_rounded(&found, &found, slot->granularity);
        lost = log_first_beyond(&written, &found);
        if (lost >= 0) {
            g_error("%s of granularity %u: what was written at %" PRId64 " is lost", slot->name,
                    slot->granularity, lost);
        }
        log_free(&written);
        log_free(&found);
    }
}

/*
 * The bitmaps that were merged with one another have together exactly what was written, in units of
 * the coarsest of them.
 */
static void check_nothing_else(const Round *round, int family)
{
    Log written = log_new(GIB), found = log_new(GIB), raw = log_new(GIB);
    int64_t coarsest = SECTOR, wrong;

    for (int i = 0; i < round->slot_count; i++) {
        if (round->slots[i].family == family) {
            coarsest = MAX(coarsest, round->slots[i].granularity);
        }
    }
    for (int i = 0; i < round->slot_count; i++) {
        if (round->slots[i].family == family) {
            add_written(&written, round, i, coarsest);
            log_add_bitmap(&raw, round->slots[i].bitmap);
            log_add_rounded(&raw, &round->slots[i].saved, SECTOR);
        }
    }
    log_add_rounded(&found, &raw, coarsest);
    wrong = log_first_beyond(&found, &written);
    if (wrong >= 0) {
        g_error("family %d: %" PRId64 " is dirty, and nobody wrote it", family, wrong);
    }
    wrong = log_first_beyond(&written, &found);
    if (wrong >= 0) {
        g_error("family %d: what was written at %" PRId64 " is lost", family, wrong);
    }
    log_free(&written);
    log_free(&found);
    log_free(&raw);
}

static void round_free(Round *round)
{
    for (int i = 0; i < round->worker_count; i++) {
        for (int j = 0; j < round->slot_count; j++) {
            log_free(&round->workers[i].to_slot[j]);
        }
        for (int j = 0; j < NODES; j++) {
            log_free(&round->workers[i].to_node[j]);
        }
    }
    for (int i = 0; i < round->slot_count; i++) {
        log_free(&round->slots[i].saved);
    }
    for (int i = 0; i < NODES; i++) {
        node_discard(round->nodes[i]);
    }
    g_free(round);
}

static void stress(gconstpointer data)
{
    int bitmaps = GPOINTER_TO_INT(data);
    gint64 end =
        g_get_monotonic_time() + (gint64)(setting("QDB_STRESS_SECONDS", 2) * G_USEC_PER_SEC);
    GHashTable *times;
    guint rounds = 0, refused = 0;
    GHashTableIter iter;
    gpointer role, count;

    if (skipped_on_qemu(DIFF_LOCK_ORDER)) {
        return;
    }
    times = g_hash_table_new(g_str_hash, g_str_equal);
    do {
        Round *round = round_new(bitmaps);

        run_threads(round);
        check_nothing_lost(round);
        check_nothing_else(round, 0);
        if (bitmaps > NODES) {
            check_nothing_else(round, 1);
        }
        for (int i = 0; i < round->worker_count; i++) {
            const Worker *w = &round->workers[i];
            guint before = GPOINTER_TO_UINT(g_hash_table_lookup(times, w->role));

            g_hash_table_insert(times, (gpointer)w->role, GUINT_TO_POINTER(before + w->progress));
            refused += w->refused;
        }
        round_free(round);
        rounds++;
    } while (g_get_monotonic_time() < end);

    g_test_message("%d bitmaps: %u rounds, %u merges refused", bitmaps, rounds, refused);
    g_hash_table_iter_init(&iter, times);
    while (g_hash_table_iter_next(&iter, &role, &count)) {
        g_test_message("%s: %u times", (const char *)role, GPOINTER_TO_UINT(count));
    }
    g_hash_table_destroy(times);
}

static void backups(void)
{
    if (!skipped_on_qemu(DIFF_UNDEFINED_IN_C)) {
        stress_backups(setting("QDB_STRESS_SECONDS", 2));
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/stress/2-bitmaps", GINT_TO_POINTER(2), stress);
    g_test_add_data_func("/stress/8-bitmaps", GINT_TO_POINTER(8), stress);
    g_test_add_data_func("/stress/16-bitmaps", GINT_TO_POINTER(16), stress);
    g_test_add_func("/stress/50-bitmaps", backups);
    return g_test_run();
}
