/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "complain.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool complain(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    fputs("nbd-track: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    return false;
}

bool complain_errno(const char *path, const char *what)
{
    return complain("%s: cannot %s: %s", path, what, strerror(errno));
}
