/* SPDX-License-Identifier: GPL-2.0-or-later */
#define _GNU_SOURCE
/* Meson sets it; mmap would be but another name of mmap64 here. */
#undef _FILE_OFFSET_BITS

#include "kernel-calls.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LARGE_PAGE UINT64_C(65536)

/* The errors that the manual pages give for what is not a mistake of the caller's alone. */
const Kernel kernels[] = {
    { "mremap-before-6.17", KERNEL_MREMAP, MANNER_BEFORE_6_17, EFAULT },
    { "mremap-several-EFAULT", KERNEL_MREMAP, MANNER_SEVERAL, EFAULT },
    { "mremap-several-ENOMEM", KERNEL_MREMAP, MANNER_SEVERAL, ENOMEM },
    { "mremap-EAGAIN", KERNEL_MREMAP, MANNER_REFUSES, EAGAIN },
    { "mremap-EFAULT", KERNEL_MREMAP, MANNER_REFUSES, EFAULT },
    { "mremap-EINVAL", KERNEL_MREMAP, MANNER_REFUSES, EINVAL },
    { "mremap-ENOMEM", KERNEL_MREMAP, MANNER_REFUSES, ENOMEM },
    { "madvise-64-KiB-pages", KERNEL_MADVISE, MANNER_64K_PAGES, 0 },
    { "madvise-EACCES", KERNEL_MADVISE, MANNER_REFUSES, EACCES },
    { "madvise-EAGAIN", KERNEL_MADVISE, MANNER_REFUSES, EAGAIN },
    { "madvise-EBADF", KERNEL_MADVISE, MANNER_REFUSES, EBADF },
    { "madvise-EINVAL", KERNEL_MADVISE, MANNER_REFUSES, EINVAL },
    { "madvise-EIO", KERNEL_MADVISE, MANNER_REFUSES, EIO },
    { "madvise-ENOMEM", KERNEL_MADVISE, MANNER_REFUSES, ENOMEM },
    { "madvise-EPERM", KERNEL_MADVISE, MANNER_REFUSES, EPERM },
    { "mmap-EAGAIN", KERNEL_MMAP, MANNER_REFUSES, EAGAIN },
    { "mmap-EINVAL", KERNEL_MMAP, MANNER_REFUSES, EINVAL },
    { "mmap-ENOMEM", KERNEL_MMAP, MANNER_REFUSES, ENOMEM },
    { "mmap-EPERM", KERNEL_MMAP, MANNER_REFUSES, EPERM },
    { "munmap-EINVAL", KERNEL_MUNMAP, MANNER_REFUSES, EINVAL },
    { "munmap-ENOMEM", KERNEL_MUNMAP, MANNER_REFUSES, ENOMEM },
    { "mprotect-EACCES", KERNEL_MPROTECT, MANNER_REFUSES, EACCES },
    { "mprotect-EINVAL", KERNEL_MPROTECT, MANNER_REFUSES, EINVAL },
    { "mprotect-ENOMEM", KERNEL_MPROTECT, MANNER_REFUSES, ENOMEM },
};
const unsigned kernel_count = G_N_ELEMENTS(kernels);

static bool armed;
static const Kernel *present;
static uint64_t calls;

void kernel_arm(const Kernel *kernel)
{
    present = kernel;
    calls = 0;
    armed = true;
}

uint64_t kernel_disarm(void)
{
    armed = false;
    return calls;
}

/* Nothing from here on may allocate. */
static bool is(KernelCall call, KernelManner manner)
{
    return armed && present && present->call == call && present->manner == manner;
}

static bool refuses(KernelCall call)
{
    calls += armed;
    if (!is(call, MANNER_REFUSES)) {
        return false;
    }
    errno = present->error;
    return true;
}

void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
    if (refuses(KERNEL_MMAP)) {
        return MAP_FAILED;
    }
    return (void *)syscall(SYS_mmap, address, length, protection, flags, fd, offset);
}

void *mmap64(void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
    return mmap(address, length, protection, flags, fd, offset);
}

int munmap(void *address, size_t length)
{
    return refuses(KERNEL_MUNMAP) ? -1 : (int)syscall(SYS_munmap, address, length);
}

int mprotect(void *address, size_t length, int protection)
{
    return refuses(KERNEL_MPROTECT) ? -1 : (int)syscall(SYS_mprotect, address, length, protection);
}

/* mm/madvise.c: the start must be aligned, and the length is aligned upwards. */
int madvise(void *address, size_t length, int advice)
{
    if (refuses(KERNEL_MADVISE)) {
        return -1;
    }
    if (is(KERNEL_MADVISE, MANNER_64K_PAGES)) {
        if ((uintptr_t)address % LARGE_PAGE != 0) {
            errno = EINVAL;
            return -1;
        }
        length = (length + LARGE_PAGE - 1) / LARGE_PAGE * LARGE_PAGE;
    }
    return (int)syscall(SYS_madvise, address, length, advice);
}

static const char *next_line(const char *line)
{
    const char *end = strchr(line, '\n');

    return end ? end + 1 : NULL;
}

/* Whether a range lies in one mapping, by /proc/self/maps, read without the allocator. */
static bool one_mapping(uintptr_t start, size_t length)
{
    static char text[1 << 20];
    size_t used = 0;
    ssize_t n;
    int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);

    if (fd < 0) {
        abort();
    }
    while (used < sizeof(text) - 1 && (n = read(fd, text + used, sizeof(text) - 1 - used)) > 0) {
        used += (size_t)n;
    }
    close(fd);
    text[used] = '\0';
    for (const char *line = text; line && *line; line = next_line(line)) {
        char *rest;
        uintptr_t from = strtoull(line, &rest, 16);
        uintptr_t to = strtoull(rest + 1, NULL, 16);

        if (from <= start && start < to) {
            return start + length <= to;
        }
    }
    return false;
}

void *mremap(void *address, size_t length, size_t new_length, int flags, ...)
{
    void *target;
    va_list rest;

    va_start(rest, flags);
    target = flags & MREMAP_FIXED ? va_arg(rest, void *) : NULL;
    va_end(rest);
    if (refuses(KERNEL_MREMAP)) {
        return MAP_FAILED;
    }
    if (is(KERNEL_MREMAP, MANNER_BEFORE_6_17) || is(KERNEL_MREMAP, MANNER_SEVERAL)) {
        if (!one_mapping((uintptr_t)address, length)) {
            if (flags & MREMAP_FIXED && present->manner == MANNER_BEFORE_6_17) {
                syscall(SYS_munmap, target, new_length);
            }
            errno = present->error;
            return MAP_FAILED;
        }
    }
    return (void *)syscall(SYS_mremap, address, length, new_length, flags, target);
}
