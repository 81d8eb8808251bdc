/* SPDX-License-Identifier: GPL-2.0-or-later */
/* In the place of QEMU's: what qemu/glue/host.h needs of it is in qemu_dirty_bitmap.h. */
#include "qemu_dirty_bitmap.h"
