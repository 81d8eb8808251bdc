/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Out of memory at every request in turn: the process aborts with a message that names the size of
 * the request. It never crashes, and never goes on with an incomplete bitmap.
 */
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common.h"
#include "fault-alloc.h"
#include "fault-scenes.h"
#include "fault-tests.h"

/* The allocator of a test's child, and what comes of it. */
typedef struct Attempt {
    const Scene *scene;
    uint64_t nth;
    bool onwards;
    FaultReport *report;
} Attempt;

static void play(void *opaque)
{
    const Attempt *attempt = opaque;

    fault_report_to(attempt->report);
    fault_arm(attempt->nth, attempt->onwards);
    attempt->scene->play();
    fault_disarm();
}

static char *describe(const Attempt *attempt, int status, const char *text)
{
    return g_strdup_printf("request %" PRIu64 "%s, %s of %zu bytes: wait status 0x%x, stderr '%s'",
                           attempt->nth, attempt->onwards ? " and all after it" : "",
                           attempt->report->call, attempt->report->bytes, (unsigned)status, text);
}

/* Rust's words, or those of the parts that use malloc themselves. */
static bool says_out_of_memory(const Attempt *attempt, const char *text)
{
    const FaultReport *report = attempt->report;
    char *rust = g_strdup_printf("*memory allocation of %zu bytes failed*", report->bytes);
    char *c = g_strdup_printf("*out of memory: failed to allocate %zu bytes*", report->bytes);
    /* After a refused write filter the next request is the one that ends the process. */
    bool any = attempt->onwards && strcmp(report->call, "calloc") == 0;
    bool said =
        g_pattern_match_simple(any ? "*memory allocation of * bytes failed*" : rust, text) ||
        g_pattern_match_simple(c, text) ||
        /* The C library's own, for a thread that reads without the lock for the first time. */
        g_pattern_match_simple("*failed to register TLS destructor: out of memory*", text);

    g_free(rust);
    g_free(c);
    return said;
}

/* Plays the scene in a child. Returns whether a request was refused. */
static bool attempt_once(Attempt *attempt)
{
    char *text;
    int status;
    bool good, refused;

    memset(attempt->report, 0, sizeof(*attempt->report));
    status = run_in_child(play, attempt, &text);
    refused = attempt->report->refused > 0;
    if (refused) {
        good =
            WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT && says_out_of_memory(attempt, text);
        if (!good && status == 0 && strcmp(attempt->report->call, "calloc") == 0) {
            /* A write filter is a convenience: a node does without, and the results were right. */
            good = true;
        }
    } else {
        good = status == 0;
    }
    if (!good) {
        char *what = describe(attempt, status, text);

        g_error("%s", what);
    }
    g_free(text);
    return refused;
}

static FaultReport *shared_report(void)
{
    FaultReport *report =
        mmap(NULL, sizeof(*report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    g_assert_true(report != MAP_FAILED);
    return report;
}

static void every_request(gconstpointer data)
{
    Attempt attempt = { .scene = data, .report = shared_report() };
    uint64_t requests;

    /* None refused: how many there are. */
    g_assert_false(attempt_once(&attempt));
    requests = attempt.report->requests;
    g_assert_cmpuint(requests, >, 0);
    for (attempt.nth = 1; attempt.nth <= requests; attempt.nth++) {
        for (int onwards = 0; onwards < 2; onwards++) {
            attempt.onwards = onwards;
            g_assert_true(attempt_once(&attempt));
        }
    }
    g_assert_false(attempt_once(&attempt));
    g_test_message("%" PRIu64 " requests, each refused alone and with all after it", requests);
    munmap(attempt.report, sizeof(*attempt.report));
}

void add_memory_fault_tests(void)
{
    for (unsigned i = 0; i < fault_scene_count; i++) {
        char *path = g_strdup_printf("/fault/out-of-memory/%s", fault_scenes[i].name);

        g_test_add_data_func(path, &fault_scenes[i], every_request);
        g_free(path);
    }
}
