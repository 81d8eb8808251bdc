// SPDX-License-Identifier: GPL-2.0-or-later
//! Union with a bitmap of another granularity.
//!
//! Both directions go along the source: a long run is one range here; what is scattered within a
//! word or a span is converted by a kernel at once.

use super::geometry::{CHUNK_BITS, CHUNK_SHIFT, CHUNK_WORDS, SPAN_BITS, SPAN_SHIFT, SPAN_WORDS};
use super::{HBitmap, words};

/// A run of so many bits is one range, wherever it is.
const LONG_RUN: u64 = 512;
/// A span of so few words that have bits is converted run by run.
const FEW_WORDS: u32 = 3;

impl HBitmap {
    /// Merges a bitmap whose bits stand for more items: each becomes a run here.
    pub(super) fn merge_coarser(&mut self, src: &HBitmap) {
        let shift = src.granularity - self.granularity;
        let last = src.bits() - 1;
        let mut next = src.next_set_bit(0);
        while let Some(first) = next {
            let w = first / 64;
            let bits = src.word(w) & (u64::MAX << (first % 64));
            let runs = (bits & !(bits << 1)).count_ones();
            // A word becomes at most a span; each bit of it may be a run of words.
            let end = if runs == 1 || shift > SPAN_SHIFT.min(5) {
                let end = src.next_clear_bit(first, last).unwrap_or(src.bits());
                self.set_bits(first << shift, (end << shift).min(self.bits()) - 1);
                end
            } else {
                self.or_expanded(w << shift, bits, shift);
                (w + 1) * 64
            };
            next = src.next_set_bit(end);
        }
    }

    /// Ors each bit of `bits`, not zero, `2^shift` times in a row into the words from `w` on.
    fn or_expanded(&mut self, w: u64, bits: u64, shift: u32) {
        let mut buffer = [0; 32];
        let words = &mut buffer[..1 << shift];
        words::expand(words, bits, shift);
        let len = words.len().min((self.bits().div_ceil(64) - w) as usize);
        let words = &mut words[..len];
        let end = (w + len as u64) * 64;
        if end > self.bits() {
            words[len - 1] &= u64::MAX >> (end - self.bits());
        }
        let w = w as usize;
        self.change(w / CHUNK_WORDS, |chunks| chunks.or_words(w, words));
    }

    /// Merges a bitmap whose bits stand for fewer items: any of them sets the one here.
    pub(super) fn merge_finer(&mut self, src: &HBitmap) {
        let shift = self.granularity - src.granularity;
        let last = src.bits() - 1;
        let mut next = src.next_set_bit(0);
        while let Some(first) = next {
            let run_end = src.next_clear_bit(first, last).unwrap_or(src.bits());
            let span_end = (first / SPAN_BITS + 1) * SPAN_BITS;
            let is_short = run_end < span_end && run_end - first < LONG_RUN;
            let end = if is_short && self.or_compressed(src, first, shift) {
                span_end
            } else {
                let bit = (run_end - 1) >> shift;
                self.set_bits(first >> shift, bit);
                // What else lies in that bit is done.
                (bit + 1) << shift
            };
            next = src.next_set_bit(end);
        }
    }

    /// Ors the span of the source that bit `first` is in, if it has enough words to be converted at
    /// once, and returns whether it did.
    fn or_compressed(&mut self, src: &HBitmap, first: u64, shift: u32) -> bool {
        let (c, s) = ((first >> CHUNK_SHIFT) as usize, (first % CHUNK_BITS / SPAN_BITS) as usize);
        let Some((fine, summary)) = src.chunks.stored_span(c, s) else { return false };
        if summary.count_ones() <= FEW_WORDS || SPAN_BITS >> shift < 2 {
            return false;
        }
        let mut buffer = [0; SPAN_WORDS];
        let coarse = &mut buffer[..(fine.len() * 64).div_ceil(64 << shift)];
        words::compress(coarse, fine, shift);
        let bit = (first & !(SPAN_BITS - 1)) >> shift;
        for (w, &word) in (bit / 64..).zip(coarse.iter()).filter(|&(_, &word)| word != 0) {
            self.set_in_word(w, word << (bit % 64));
        }
        true
    }
}
