/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CRC32_H
#define CRC32_H

#include <stddef.h>
#include <stdint.h>

/* The CRC-32 of zlib and Ethernet, continued: `crc` is that of what came before, 0 at the start. */
uint32_t crc32_add(uint32_t crc, const uint8_t *data, size_t size);

#endif
