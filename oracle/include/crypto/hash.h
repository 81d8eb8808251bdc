/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Stand-in for QEMU's digests: SHA-256 alone, by GLib. */
#ifndef ORACLE_CRYPTO_HASH_H
#define ORACLE_CRYPTO_HASH_H

#include "qemu/osdep.h"

/* 10.x and 7.2 spell the same algorithm differently. */
typedef enum {
    QCRYPTO_HASH_ALGO_SHA256,
    QCRYPTO_HASH_ALG_SHA256 = QCRYPTO_HASH_ALGO_SHA256
} QCryptoHashAlgo;

static inline int qcrypto_hash_digest(QCryptoHashAlgo algorithm, const char *data, size_t size,
                                      char **digest, Error **errp)
{
    (void)algorithm;
    (void)errp; /* GLib's digest cannot fail */
    *digest = g_compute_checksum_for_data(G_CHECKSUM_SHA256, (const guchar *)data, size);
    return 0;
}

#endif
