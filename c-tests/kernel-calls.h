/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mmap, munmap, mprotect, madvise and mremap as other kernels and other machines have them. Linked
 * into a program, they stand before those of the C library for the whole process, the shared
 * library under test included. The C library's own malloc calls the kernel directly, and not these.
 */
#ifndef C_TESTS_KERNEL_CALLS_H
#define C_TESTS_KERNEL_CALLS_H

#include <stdint.h>

typedef enum KernelCall {
    KERNEL_MMAP,
    KERNEL_MUNMAP,
    KERNEL_MPROTECT,
    KERNEL_MADVISE,
    KERNEL_MREMAP,
} KernelCall;

typedef enum KernelManner {
    MANNER_REFUSES,     /* fails with the error, each time */
    MANNER_BEFORE_6_17, /* mremap of several mappings to a fixed place: unmaps that, then EFAULT */
    MANNER_SEVERAL,     /* the same, with the error, and nothing is unmapped */
    MANNER_64K_PAGES,   /* a start within a page is EINVAL; a length is rounded up to whole pages */
} KernelManner;

typedef struct Kernel {
    const char *name;
    KernelCall call;
    KernelManner manner;
    int error;
} Kernel;

extern const Kernel kernels[];
extern const unsigned kernel_count;

/*
 * From now on calls are counted, and the one that @kernel is about behaves as it says (NULL: none).
 */
void kernel_arm(const Kernel *kernel);

/* All is as usual again. Returns how many calls there were. */
uint64_t kernel_disarm(void);

#endif
