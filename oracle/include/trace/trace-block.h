/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Stand-in for the generated trace points of block/: block/dirty-bitmap.c uses none. */
