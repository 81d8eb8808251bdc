/* SPDX-License-Identifier: GPL-2.0-or-later */
/* meson wants a source file for the shared library; everything comes from the static archive. */
typedef int qemu_dirty_bitmap_is_in_the_archive;
