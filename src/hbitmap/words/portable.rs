// SPDX-License-Identifier: GPL-2.0-or-later
//! The kernels' one source: loops without early exits or branches on data, in blocks of a fixed length, so that the compiler
//! vectorises them for whatever instruction set they are compiled for.

use super::ahead::ask_behind;

/// What [`summarize`] finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Summary {
    /// One bit for each word: set if the word is not zero.
    pub(crate) words: [u64; 8],
    /// Bits set in all words.
    pub(crate) ones: u64,
}

/// See [`super::count_ones`].
#[inline(always)]
pub(crate) fn count_ones(words: &[u64]) -> u64 {
    words.iter().map(|word| u64::from(word.count_ones())).sum()
}

/// See [`super::summarize`].
#[inline(always)]
pub(crate) fn summarize(words: &[u64]) -> Summary {
    let mut summary = Summary { words: [0; 8], ones: 0 };
    for (group, bits) in words.chunks(64).zip(&mut summary.words) {
        let mut ones = 0;
        let mut nonzero = 0;
        if let Ok(group) = <&[u64; 64]>::try_from(group) {
            for (place, &word) in group.iter().enumerate() {
                nonzero |= u64::from(word != 0) << place;
                ones += u64::from(word.count_ones());
            }
        } else {
            for (place, &word) in group.iter().enumerate() {
                nonzero |= u64::from(word != 0) << place;
                ones += u64::from(word.count_ones());
            }
        }
        *bits = nonzero;
        summary.ones += ones;
    }
    summary
}

/// See [`super::summarize_bytes`].
#[inline(always)]
pub(crate) fn summarize_bytes(bytes: &[u8]) -> Summary {
    let mut summary = Summary { words: [0; 8], ones: 0 };
    for (bytes, bits) in bytes.chunks_exact(64 * 8).zip(&mut summary.words) {
        ask_behind(bytes);
        let mut group = [0; 64];
        from_little_endian(&mut group, bytes);
        let group = summarize(&group);
        *bits = group.words[0];
        summary.ones += group.ones;
    }
    summary
}

/// See [`super::or_into`].
#[inline(always)]
pub(crate) fn or_into(dst: &mut [u64], src: &[u64]) -> u64 {
    let mut gained = 0;
    for (to, &from) in dst.iter_mut().zip(src) {
        gained += u64::from((from & !*to).count_ones());
        *to |= from;
    }
    gained
}

/// See [`super::all_ones`].
#[inline(always)]
pub(crate) fn all_ones(words: &[u64]) -> bool {
    words.chunks(16).all(|block| block.iter().fold(u64::MAX, |all, &word| all & word) == u64::MAX)
}

/// See [`super::from_little_endian`].
#[inline(always)]
pub(crate) fn from_little_endian(words: &mut [u64], bytes: &[u8]) {
    for (word, byte) in words.iter_mut().zip(bytes.chunks_exact(8)) {
        let mut little = [0; 8];
        little.copy_from_slice(byte);
        *word = u64::from_le_bytes(little);
    }
}

/// See [`super::replace`].
#[inline(always)]
pub(crate) fn replace(words: &mut [u64], bytes: &[u8]) -> (Summary, u64) {
    let mut summary = Summary { words: [0; 8], ones: 0 };
    let mut lost = 0;
    for ((words, bytes), bits) in words.chunks_mut(64).zip(bytes.chunks(64 * 8)).zip(&mut summary.words) {
        ask_behind(words);
        ask_behind(bytes);
        lost += count_ones(words);
        from_little_endian(words, bytes);
        let group = summarize(words);
        *bits = group.words[0];
        summary.ones += group.ones;
    }
    (summary, lost)
}

/// See [`super::to_little_endian`].
#[inline(always)]
pub(crate) fn to_little_endian(bytes: &mut [u8], words: &[u64]) {
    for (byte, word) in bytes.chunks_exact_mut(8).zip(words) {
        byte.copy_from_slice(&word.to_le_bytes());
    }
}
