/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hbitmap_sha256: the digest of the words, at least one, in little-endian order (QEMU's C: in the
 * host's).
 */
#include "hbitmap-tests.h"
#include "shadow.h"

#include <stdlib.h>

static void check_digest(HBitmap *hb, const char *expected)
{
    Error *err = NULL;
    char *digest = hbitmap_sha256(hb, &err);

    g_assert_null(err);
    g_assert_cmpstr(digest, ==, expected);
    free(digest);
    digest = hbitmap_sha256(hb, NULL);
    g_assert_cmpstr(digest, ==, expected);
    free(digest);
}

/* Values that Python's hashlib gave for the words. */
static void known_values(void)
{
    static const char zero_word[] =
        "af5570f5a1810b7af78caf4bc70a660f0df51e42baf91d4de5b2328de0e83dfc";
    HBitmap *hb = hbitmap_alloc(0, 0);

    check_digest(hb, zero_word);
    hbitmap_truncate(hb, 1);
    check_digest(hb, zero_word);
    hbitmap_truncate(hb, 64);
    check_digest(hb, zero_word);
    hbitmap_set(hb, 0, 1);
    check_digest(hb, "7c9fa136d4413fa6173637e883b6998d32e1d675f88cddff9dcbcf331820f4b8");
    hbitmap_set(hb, 0, 64);
    check_digest(hb, "12a3ae445661ce5dee78d0650d33362dec29c4f82af05e7e57fb595bbbacf0ca");
    hbitmap_reset_all(hb);
    hbitmap_truncate(hb, 67);
    hbitmap_set(hb, 64, 3);
    check_digest(hb, "8a3d6da75668c0ceb5f754d095efaaba015252b8bb62b79b7398497510ad14f1");
    hbitmap_free(hb);

    hb = hbitmap_alloc(1000 << 4, 4);
    hbitmap_set(hb, 63 << 4, 32);
    hbitmap_set(hb, (999 << 4) + 1, 1);
    check_digest(hb, "8ac478652fd6e659fbbe10eaa8f2f7962d650f9bbafe8e9002c687f836d718bf");
    hbitmap_free(hb);

    hb = hbitmap_alloc(CHUNK, 0);
    hbitmap_set(hb, 0, CHUNK);
    check_digest(hb, "f47a8ec3e9aff2318d896942282ad4fe37d6391c82914f54a5da8a37de1300c6");
    hbitmap_free(hb);

    hb = hbitmap_alloc(CHUNKS_64, 0);
    check_digest(hb, "8a39d2abd3999ab73c34db2476849cddf303ce389b35826850f9a700589b4a90");
    hbitmap_free(hb);
}

/* Against GLib's SHA-256 over the shadow's words. */
static void random_values(void)
{
    for (int round = 0; round < 30; round++) {
        uint64_t size = 1 + random_below(4 * CHUNK);
        char *expected;
        uint64_t *words;
        Shadow s;

        shadow_init(&s, size, 0);
        for (int n = 0; n < 50; n++) {
            uint64_t at = random_below(size);
            uint64_t length = 1 + random_below(MIN(size - at, WIDTH_2));

            hbitmap_set(s.hb, at, length);
            shadow_note_set(&s, at, length);
        }
        words = g_new(uint64_t, shadow_words(&s));
        for (uint64_t i = 0; i < shadow_words(&s); i++) {
            words[i] = GUINT64_TO_LE(s.words[i]);
        }
        expected = g_compute_checksum_for_data(G_CHECKSUM_SHA256, (const guchar *)words,
                                               shadow_words(&s) * 8);
        g_free(words);
        check_digest(s.hb, expected);
        g_free(expected);
        shadow_clear(&s);
    }
}

void add_hbitmap_sha256_tests(void)
{
    g_test_add_func("/hbitmap/sha256/known", known_values);
    g_test_add_func("/hbitmap/sha256/random", random_values);
}
