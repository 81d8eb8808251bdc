/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Names that rustc's code for ThreadSanitizer wants and gcc's run-time library has under others.
 * The functions of C's own names are watched there in the same way.
 */
#include <stddef.h>
#include <string.h>

void *__tsan_memcpy(void *to, const void *from, size_t count);
void *__tsan_memmove(void *to, const void *from, size_t count);
void *__tsan_memset(void *to, int byte, size_t count);

void *__tsan_memcpy(void *to, const void *from, size_t count)
{
    return memcpy(to, from, count);
}

void *__tsan_memmove(void *to, const void *from, size_t count)
{
    return memmove(to, from, count);
}

void *__tsan_memset(void *to, int byte, size_t count)
{
    return memset(to, byte, count);
}
