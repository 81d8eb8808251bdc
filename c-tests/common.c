/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

bool on_qemu(void)
{
    return strcmp(qdb_version(), "qemu") == 0;
}

bool skipped_on_qemu(Difference difference)
{
    static const char *const reasons[] = {
        [DIFF_BITS_PAST_END] = "QEMU's C keeps deserialised bits past the end",
        [DIFF_NEXT_ZERO_PAST_END] = "QEMU's C reads out of bounds in hbitmap_next_zero",
        [DIFF_LOCK_ORDER] = "QEMU's C deadlocks when two merges run in opposite directions",
        [DIFF_NULL_ENABLE] = "QEMU's C dies when NULL is enabled or disabled",
        [DIFF_NULL_ARGUMENT] = "QEMU's C dereferences NULL",
        [DIFF_MERGE_RESULT] = "QEMU's C has no return value for a merge of different sizes",
        [DIFF_UNDEFINED_IN_C] = "undefined in QEMU's C",
        [DIFF_EMPTY_FINISH] = "QEMU's C asserts when a bitmap of no bits is finished",
        [DIFF_HOST] = "a rule of the stand-alone host",
    };

    if (!on_qemu()) {
        return false;
    }
    g_test_skip(reasons[difference]);
    return true;
}

/* In the child: stderr goes to the pipe, and a death leaves no core file. */
static G_NORETURN void die_or_survive(int pipe_end, void (*body)(void *), void *opaque)
{
    struct rlimit no_core = { 0, 0 };

    setrlimit(RLIMIT_CORE, &no_core);
    signal(SIGABRT, SIG_DFL);
    dup2(pipe_end, STDERR_FILENO);
    close(pipe_end);
    body(opaque);
    _exit(0);
}

static char *read_all(int fd)
{
    GString *text = g_string_new(NULL);
    char buffer[512];
    ssize_t n;

    while ((n = read(fd, buffer, sizeof(buffer))) > 0) {
        g_string_append_len(text, buffer, n);
    }
    return g_string_free(text, FALSE);
}

int run_in_child(void (*body)(void *), void *opaque, char **text)
{
    int ends[2];
    int status;
    pid_t child;

    g_assert_cmpint(pipe(ends), ==, 0);
    child = fork();
    g_assert_cmpint(child, >=, 0);
    if (child == 0) {
        close(ends[0]);
        die_or_survive(ends[1], body, opaque);
    }
    close(ends[1]);
    *text = read_all(ends[0]);
    close(ends[0]);
    g_assert_cmpint(waitpid(child, &status, 0), ==, child);
    return status;
}

void expect_abort(void (*body)(void *), void *opaque, const char *pattern)
{
    char *text;
    int status = run_in_child(body, opaque, &text);

    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT ||
        !g_pattern_match_simple(pattern, text)) {
        g_error("wait status 0x%x, stderr '%s'; expected SIGABRT and '%s'", (unsigned)status, text,
                pattern);
    }
    g_free(text);
}

void expect_error(Error **err, const char *message, const char *hint)
{
    g_assert_nonnull(*err);
    g_assert_cmpstr(qdb_error_message(*err), ==, message);
    g_assert_cmpstr(qdb_error_hint(*err), ==, hint);
    qdb_error_free(*err);
    *err = NULL;
}

uint64_t random_below(uint64_t limit)
{
    uint64_t high = (uint32_t)g_test_rand_int();
    uint64_t low = (uint32_t)g_test_rand_int();

    return (high << 32 | low) % limit;
}
