/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "crc32.h"

static uint32_t table[256];

static void fill_table(void)
{
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t rest = byte;

        for (int bit = 0; bit < 8; bit++) {
            rest = rest & 1 ? rest >> 1 ^ 0xedb88320u : rest >> 1;
        }
        table[byte] = rest;
    }
}

uint32_t crc32_add(uint32_t crc, const uint8_t *data, size_t size)
{
    if (table[1] == 0) {
        fill_table();
    }
    crc = ~crc;
    for (size_t i = 0; i < size; i++) {
        crc = table[(crc ^ data[i]) & 0xff] ^ crc >> 8;
    }
    return ~crc;
}
