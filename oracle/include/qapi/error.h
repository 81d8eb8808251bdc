/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Stand-in for QEMU's error objects; host.c implements them. */
#ifndef ORACLE_QAPI_ERROR_H
#define ORACLE_QAPI_ERROR_H

#include "qemu/osdep.h"

#pragma GCC visibility push(hidden)
/*
 * A new error with the formatted text, ": " and strerror(os_error) added when os_error is not 0;
 * errp may be NULL.
 */
void oracle_error_set(Error **errp, const char *func, int os_error, const char *fmt, ...)
    G_GNUC_PRINTF(4, 5);
void error_append_hint(Error *const *errp, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
#pragma GCC visibility pop

#define error_setg(errp, ...) oracle_error_set((errp), __func__, 0, __VA_ARGS__)
#define error_setg_errno(errp, os_error, ...)                                                      \
    oracle_error_set((errp), __func__, (os_error), __VA_ARGS__)

#endif
