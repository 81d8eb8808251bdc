/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Stand-in: block/dirty-bitmap.c includes QEMU's header and uses nothing of it. */
