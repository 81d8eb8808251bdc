/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Stand-in: which thread may call what is not checked here. */
#ifndef ORACLE_QEMU_MAIN_LOOP_H
#define ORACLE_QEMU_MAIN_LOOP_H

#define GLOBAL_STATE_CODE() ((void)0)
#define IO_CODE() ((void)0)
#define IO_OR_GS_CODE() ((void)0)

#endif
