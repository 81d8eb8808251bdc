// SPDX-License-Identifier: GPL-2.0-or-later
//! Count, union and copy. No early exits and no branches on data, so that the compiler uses
//! vectors.

use crate::hbitmap::geometry::{CHUNK_SPANS, SPAN_WORDS};

/// What [`super::summarize`] finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::hbitmap) struct Summary {
    /// For each span, a bit for each word: set if the word is not zero.
    pub(in crate::hbitmap) words: [u64; CHUNK_SPANS],
    /// Bits that are set in all words.
    pub(in crate::hbitmap) ones: u64,
}

/// See [`super::count_ones`].
#[inline(always)]
pub(super) fn count_ones(words: &[u64]) -> u64 {
    words.iter().map(|word| u64::from(word.count_ones())).sum()
}

/// Which of up to 64 words are not zero: bit `i` for word `i`.
#[inline(always)]
pub(in crate::hbitmap) fn nonzero(words: &[u64]) -> u64 {
    words.iter().enumerate().fold(0, |mask, (i, &word)| mask | u64::from(word != 0) << i)
}

/// See [`super::summarize`].
#[inline(always)]
pub(super) fn summarize(words: &[u64]) -> Summary {
    let mut summary = Summary { words: [0; CHUNK_SPANS], ones: 0 };
    for (span, mask) in words.chunks(SPAN_WORDS).zip(&mut summary.words) {
        *mask = nonzero(span);
        summary.ones += count_ones(span);
    }
    summary
}

/// See [`super::or_into`].
#[inline(always)]
pub(super) fn or_into(dst: &mut [u64], src: &[u64]) -> u64 {
    let mut gained = 0;
    for (to, &from) in dst.iter_mut().zip(src) {
        gained += u64::from((from & !*to).count_ones());
        *to |= from;
    }
    gained
}

/// The first of `words` that has a clear bit. Four at a time, with one branch.
#[inline]
pub(in crate::hbitmap) fn first_clear(words: &[u64]) -> Option<usize> {
    let fours = words.chunks_exact(4);
    let rest = fours.remainder();
    for (k, four) in fours.enumerate() {
        let (two, three) = (four[0] & four[1], four[0] & four[1] & four[2]);
        if three & four[3] != u64::MAX {
            let full = [four[0], two, three].map(|all| usize::from(all == u64::MAX));
            return Some(k * 4 + full[0] + full[1] + full[2]);
        }
    }
    let i = rest.iter().position(|&word| word != u64::MAX)?;
    Some(words.len() - rest.len() + i)
}

/// Reads little-endian words from `bytes`, which is eight times as long as `words`.
#[inline]
pub(in crate::hbitmap) fn from_little_endian(words: &mut [u64], bytes: &[u8]) {
    bytemuck::must_cast_slice_mut(words).copy_from_slice(bytes);
    for word in words {
        *word = u64::from_le(*word);
    }
}

/// Writes `words` to `bytes`, which is eight times as long, as little-endian words.
#[inline]
pub(in crate::hbitmap) fn to_little_endian(bytes: &mut [u8], words: &[u64]) {
    bytes.copy_from_slice(bytemuck::must_cast_slice(words));
    if cfg!(target_endian = "big") {
        bytes.chunks_exact_mut(8).for_each(<[u8]>::reverse);
    }
}
