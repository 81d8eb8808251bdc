/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Work in which a library with memory management of its own would ask the kernel for something,
 * each with its results checked. They run in a child, whose wrong result is an abort.
 */
#ifndef C_TESTS_KERNEL_SCENES_H
#define C_TESTS_KERNEL_SCENES_H

typedef struct KernelScene {
    const char *name;
    void (*play)(void);
} KernelScene;

extern const KernelScene kernel_scenes[];
extern const unsigned kernel_scene_count;

#endif
