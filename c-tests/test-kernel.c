/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Other kernels and other machines: mremap as before Linux 6.17, madvise with 64 KiB pages, and
 * each call about mappings refused in each way that its manual page names. Bitmaps are right with
 * all of them. They are because the library makes no such call by itself, which is checked as well.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common.h"
#include "kernel-calls.h"
#include "kernel-scenes.h"

typedef struct Run {
    const Kernel *kernel; /* NULL: the present one */
    const KernelScene *scene;
} Run;

static void play(void *opaque)
{
    const Run *run = opaque;

    kernel_arm(run->kernel);
    run->scene->play();
    kernel_disarm();
}

static void expect_right_results(const Run *run)
{
    char *text;
    int status = run_in_child(play, (void *)run, &text);

    if (status != 0) {
        g_error("%s, %s: wait status 0x%x, stderr '%s'", run->kernel->name, run->scene->name,
                (unsigned)status, text);
    }
    g_free(text);
}

static void results(gconstpointer data)
{
    Run run = { .kernel = data };

    for (unsigned i = 0; i < kernel_scene_count; i++) {
        run.scene = &kernel_scenes[i];
        expect_right_results(&run);
    }
}

static void no_calls(gconstpointer data)
{
    const KernelScene *scene = data;
    uint64_t calls;

    kernel_arm(NULL);
    scene->play();
    calls = kernel_disarm();
    g_assert_cmpuint(calls, ==, 0);
}

static char *new_mapping(size_t length)
{
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS;
    char *start = mmap(NULL, length, PROT_READ | PROT_WRITE, flags, -1, 0);

    g_assert_true(start != MAP_FAILED);
    return start;
}

/* Two mappings side by side, the second one of which nobody may read. */
static char *two_mappings(size_t length)
{
    char *start = new_mapping(2 * length);

    g_assert_cmpint(mprotect(start + length, length, PROT_NONE), ==, 0);
    return start;
}

static bool is_mapped(void *address, size_t length)
{
    unsigned char pages[64];

    return mincore(address, length, pages) == 0;
}

static void try_remap(const Kernel *kernel, size_t length)
{
    char *from = two_mappings(length), *to = two_mappings(length);
    void *moved;
    int error;

    kernel_arm(kernel);
    moved = mremap(from, 2 * length, 2 * length, MREMAP_MAYMOVE | MREMAP_FIXED, to);
    error = errno;
    g_assert_cmpuint(kernel_disarm(), ==, 1);
    g_assert_true(moved == MAP_FAILED);
    g_assert_cmpint(error, ==, kernel->error);
    g_assert_true(is_mapped(from, 2 * length));
    g_assert_true(is_mapped(to, 2 * length) == (kernel->manner != MANNER_BEFORE_6_17));
    munmap(from, 2 * length);
    munmap(to, 2 * length);
}

static void try_advice(const Kernel *kernel)
{
    const size_t large = 65536;
    char *memory = new_mapping(3 * large);
    char *aligned = (char *)(((uintptr_t)memory + large - 1) / large * large);

    memset(memory, 1, 3 * large);
    kernel_arm(kernel);
    g_assert_cmpint(madvise(aligned, 4096, MADV_DONTNEED), ==, 0);
    g_assert_cmpint(aligned[large - 1], ==, 0);
    g_assert_cmpint(aligned[large], ==, 1);
    g_assert_cmpint(madvise(aligned + 4096, 4096, MADV_DONTNEED), ==, -1);
    g_assert_cmpuint(kernel_disarm(), ==, 2);
    munmap(memory, 3 * large);
}

/* A call that the kernel refuses whatever its arguments are; returns the error, 0 for none. */
static int try_call(KernelCall call, char *page)
{
    switch (call) {
    case KERNEL_MMAP:
        page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        return page == MAP_FAILED ? errno : 0;
    case KERNEL_MUNMAP:
        return munmap(page, 4096) == -1 ? errno : 0;
    case KERNEL_MPROTECT:
        return mprotect(page, 4096, PROT_READ | PROT_WRITE) == -1 ? errno : 0;
    case KERNEL_MADVISE:
        return madvise(page, 4096, MADV_NORMAL) == -1 ? errno : 0;
    default:
        return mremap(page, 4096, 4096, 0) == MAP_FAILED ? errno : 0;
    }
}

/*
 * That the stand-ins are called, and are what their names say: without that, nothing here could
 * fail.
 */
static void stand_ins(void)
{
    size_t length = (size_t)sysconf(_SC_PAGESIZE);

    for (unsigned i = 0; i < kernel_count; i++) {
        const Kernel *kernel = &kernels[i];

        if (kernel->manner == MANNER_64K_PAGES) {
            if (length == 4096) {
                try_advice(kernel);
            }
        } else if (kernel->manner == MANNER_REFUSES) {
            char *page = two_mappings(length);
            int error;

            kernel_arm(kernel);
            error = try_call(kernel->call, page);
            g_assert_cmpuint(kernel_disarm(), ==, 1);
            g_assert_cmpint(error, ==, kernel->error);
            munmap(page, 2 * length);
        } else {
            try_remap(kernel, length);
        }
    }
}

int main(int argc, char **argv)
{
    g_setenv("RUST_BACKTRACE", "0", TRUE);
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/kernel/stand-ins", stand_ins);
    for (unsigned i = 0; i < kernel_count; i++) {
        char *path = g_strdup_printf("/kernel/results/%s", kernels[i].name);

        g_test_add_data_func(path, &kernels[i], results);
        g_free(path);
    }
    for (unsigned i = 0; i < kernel_scene_count; i++) {
        char *path = g_strdup_printf("/kernel/no-calls/%s", kernel_scenes[i].name);

        g_test_add_data_func(path, &kernel_scenes[i], no_calls);
        g_free(path);
    }
    return g_test_run();
}
