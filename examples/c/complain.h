/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef COMPLAIN_H
#define COMPLAIN_H

#include <stdbool.h>

/* Says on stderr what went wrong. Always false, for `return complain(...)`. */
bool complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The same, about a file, with the reason that errno gives. */
bool complain_errno(const char *path, const char *what);

#endif
