/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Stand-in: everything that is needed of it stands in block_int.h. */
#include "block/block_int.h"
