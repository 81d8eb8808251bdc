/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What differs between the QEMU versions that the drop-in supports. The rest of
 * the glue asks for a feature by name; this is the only file that looks at a
 * version. That a version is not older or newer than what fits is for
 * qemu/dropin to find out, and for layout.c.
 *
 * QEMU_VERSION_MAJOR comes from config-host.h, which qemu/osdep.h includes.
 */
#ifndef QDB_GLUE_VERSION_H
#define QDB_GLUE_VERSION_H

#ifndef QEMU_VERSION_MAJOR
#error "config-host.h does not tell QEMU's version: not a tree we know"
#endif

#if QEMU_VERSION_MAJOR < 7
#error "before 7.1 hbitmap_merge() was another function"
#endif

#if QEMU_VERSION_MAJOR < 8
/* An optional QAPI string has a has_ member beside it (gone since 8.0). */
#define QDB_QAPI_STRINGS_HAVE_FLAGS 1
/*
 * The coroutine wrappers of "can this node store a bitmap" and "remove a stored
 * bitmap" are written by hand and live with the bitmap code; the functions they
 * wrap are private. Since 8.0 block-coroutine-wrapper.py makes the wrappers,
 * and calls the bodies by their bdrv_co_ names.
 */
#define QDB_WRAPPERS_ARE_OURS 1
/* There is no graph lock to hold yet. */
#define QDB_HAVE_GRAPH_LOCK 0
#else
#define QDB_QAPI_STRINGS_HAVE_FLAGS 0
#define QDB_WRAPPERS_ARE_OURS 0
#define QDB_HAVE_GRAPH_LOCK 1
#endif

#endif
