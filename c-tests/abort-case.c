/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "abort-case.h"

#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#define LAST_WORDS "[died of SIGABRT]"

/*
 * GLib tells that a subprocess failed, not how: so that a crash is no abort, the signal says its
 * name.
 */
static void say_last_words(int signal_number)
{
    static const char text[] = LAST_WORDS "\n";

    (void)signal_number;
    if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0) {
        _exit(0);
    }
}

static void prepare_to_die(void)
{
    struct rlimit no_core = { 0, 0 };
    struct sigaction action = { .sa_handler = say_last_words, .sa_flags = (int)SA_RESETHAND };

    setrlimit(RLIMIT_CORE, &no_core);
    sigaction(SIGABRT, &action, NULL);
}

static void run_case(const AbortCase *c, const char *pattern)
{
    if (g_test_subprocess()) {
        prepare_to_die();
        c->body();
        return;
    }
    if (c->skipped_on_qemu != ALWAYS_RUN && skipped_on_qemu((Difference)c->skipped_on_qemu)) {
        return;
    }
    g_test_trap_subprocess(NULL, 60 * G_USEC_PER_SEC, G_TEST_SUBPROCESS_DEFAULT);
    g_test_trap_assert_failed();
    g_test_trap_assert_stderr(pattern);
}

static void run_abort_case(gconstpointer data)
{
    const AbortCase *c = data;
    char *pattern = g_strdup_printf("*%s: Assertion `%s' failed.*" LAST_WORDS "*", c->function,
                                    c->condition);

    run_case(c, pattern);
    g_free(pattern);
}

static void run_null_case(gconstpointer data)
{
    const AbortCase *c = data;
    char *pattern = g_strdup_printf("*%s: argument `%s' must not be NULL*" LAST_WORDS "*",
                                    c->function, c->condition);

    run_case(c, pattern);
    g_free(pattern);
}

static void add_cases(const char *table, const AbortCase *cases, size_t count, GTestDataFunc run)
{
    for (size_t i = 0; i < count; i++) {
        char *path = g_strdup_printf("/abort/%s/%s", table, cases[i].name);

        g_test_add_data_func(path, &cases[i], run);
        g_free(path);
    }
}

void add_abort_cases(const char *table, const AbortCase *cases, size_t count)
{
    add_cases(table, cases, count, run_abort_case);
}

void add_null_cases(const char *table, const AbortCase *cases, size_t count)
{
    add_cases(table, cases, count, run_null_case);
}
