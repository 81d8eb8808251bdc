/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "memory-use.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common.h"

/* A whole file of /proc, without the C library's buffers. Returns its length. */
static size_t read_file(const char *path, char *text, size_t space)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t length = 0;
    ssize_t n;

    g_assert_cmpint(fd, >=, 0);
    while (length < space - 1 && (n = read(fd, text + length, space - 1 - length)) > 0) {
        length += (size_t)n;
    }
    close(fd);
    text[length] = '\0';
    return length;
}

/* The number after @key, in KiB there. */
static int64_t number_of(const char *path, const char *key)
{
    char text[8192];
    const char *found;

    read_file(path, text, sizeof(text));
    found = strstr(text, key);
    g_assert_nonnull(found);
    return strtoll(found + strlen(key), NULL, 10) * KIB;
}

int64_t memory_resident(void)
{
    /* The sum over all mappings is exact; the counters of /proc/self/statm lag behind. */
    return number_of("/proc/self/smaps_rollup", "Anonymous:");
}

int64_t memory_addresses(void)
{
    return number_of("/proc/self/status", "VmSize:");
}

int64_t memory_mappings(void)
{
    char text[8192];
    int64_t lines = 0;
    ssize_t n;
    int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);

    g_assert_cmpint(fd, >=, 0);
    while ((n = read(fd, text, sizeof(text))) > 0) {
        for (ssize_t i = 0; i < n; i++) {
            lines += text[i] == '\n';
        }
    }
    close(fd);
    return lines;
}

void memory_limit(int64_t more)
{
    struct rlimit limit = { 0, 0 };

    limit.rlim_cur = limit.rlim_max = (rlim_t)(memory_addresses() + more);
    g_assert_cmpint(setrlimit(RLIMIT_AS, &limit), ==, 0);
}

void memory_in_child(void (*body)(void *), void *opaque)
{
    char *text;
    int status = run_in_child(body, opaque, &text);

    if (status != 0) {
        g_error("wait status 0x%x, stderr '%s'", (unsigned)status, text);
    }
    g_free(text);
}
