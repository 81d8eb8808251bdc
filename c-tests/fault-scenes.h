/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Work that allocates in every way the library does, each with its results checked.
 * They run in a child whose allocator refuses, so they use nothing of GLib; a wrong result ends the
 * child with SCENE_WRONG.
 */
#ifndef C_TESTS_FAULT_SCENES_H
#define C_TESTS_FAULT_SCENES_H

#define SCENE_WRONG 3

typedef struct Scene {
    const char *name;
    void (*play)(void);
} Scene;

extern const Scene fault_scenes[];
extern const unsigned fault_scene_count;

#endif
