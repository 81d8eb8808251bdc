// SPDX-License-Identifier: GPL-2.0-or-later
//! Which chunks have a set bit, with levels over that as in QEMU, and which have all.

use super::chunks::resize_list;
use super::words;

/// The set of chunks that have a set bit, and the set of those that are full.
#[derive(Debug)]
pub(super) struct Levels {
    /// Level 0 has a bit for each chunk, each further one a bit for each word of the level below.
    /// The last one is a single word.
    levels: Vec<Vec<u64>>,
    /// A bit for each chunk that is full, however it is stored.
    full: Vec<u64>,
}

impl Levels {
    /// No chunk of `chunks` has a bit.
    pub(super) fn new(chunks: usize) -> Self {
        let mut levels = vec![vec![0; chunks.div_ceil(64)]];
        while let Some(len) = levels.last().map(Vec::len).filter(|&len| len > 1) {
            levels.push(vec![0; len.div_ceil(64)]);
        }
        Levels { levels, full: vec![0; chunks.div_ceil(64)] }
    }

    /// Makes it `chunks` chunks. Those that go are empty; those that come are as well.
    pub(super) fn resize(&mut self, chunks: usize) {
        let resized = Levels::new(chunks);
        let depth = resized.levels.len();
        for (i, new) in resized.levels.into_iter().enumerate() {
            match self.levels.get_mut(i) {
                Some(level) => resize_list(level, new.len()),
                None => {
                    // The level below was the last one, a single word.
                    let any = self.levels[i - 1].first().is_some_and(|&word| word != 0);
                    self.levels.push(new);
                    self.levels[i][0] = any.into();
                }
            }
        }
        self.levels.truncate(depth);
        resize_list(&mut self.full, chunks.div_ceil(64));
    }

    /// The masks of chunks `64 * k ..`: which have a set bit, and which of those are full.
    #[inline]
    pub(super) fn masks(&self, k: usize) -> (u64, u64) {
        (self.levels[0][k], self.full[k])
    }

    /// The first chunk from `from` on that has a set bit.
    #[inline]
    pub(super) fn next(&self, from: usize) -> Option<usize> {
        let (mut at, mut level) = (from, 0);
        // Up to a word with a bit at or after `at`, and then down by the lowest bits.
        loop {
            let word = self.levels.get(level)?.get(at / 64)? & (u64::MAX << (at % 64));
            if word != 0 {
                at = at / 64 * 64 + word.trailing_zeros() as usize;
                break;
            }
            (at, level) = (at / 64 + 1, level + 1);
        }
        for level in self.levels[..level].iter().rev() {
            at = at * 64 + level[at].trailing_zeros() as usize;
        }
        Some(at)
    }

    /// The first chunk of `from..=last` that is not full.
    #[inline(never)]
    pub(super) fn next_not_full(&self, from: usize, last: usize) -> Option<usize> {
        if from > last {
            return None;
        }
        let (first, rest) = self.full[from / 64..=last / 64].split_first()?;
        let mut clear = !first & (u64::MAX << (from % 64));
        let mut k = from / 64;
        if clear == 0 {
            let i = words::first_clear(rest)?;
            (k, clear) = (k + 1 + i, !rest[i]);
        }
        let c = k * 64 + clear.trailing_zeros() as usize;
        (c <= last).then_some(c)
    }

    /// Notes whether chunk `c` has a set bit.
    #[inline]
    pub(super) fn put(&mut self, c: usize, any: bool) {
        let mut at = c;
        for level in &mut self.levels {
            let word = &mut level[at / 64];
            let old = *word;
            write_bits(word, 1 << (at % 64), any);
            // The level above tells whether the word is zero.
            if (old == 0) == (*word == 0) {
                return;
            }
            at /= 64;
        }
    }

    /// Notes whether chunk `c` is full.
    #[inline]
    pub(super) fn put_full(&mut self, c: usize, full: bool) {
        write_bits(&mut self.full[c / 64], 1 << (c % 64), full);
    }

    /// Notes that all of the chunks `first..=last` are full, or that all are empty.
    pub(super) fn put_range(&mut self, first: usize, last: usize, full: bool) {
        write_range(&mut self.full, first, last, full);
        let (mut first, mut last) = (first, last);
        for level in &mut self.levels {
            write_range(level, first, last, full);
            let (mut low, mut high) = (first / 64, last / 64 + 1);
            if !full {
                // A word at either end may still have bits: it stays in the level above.
                low += usize::from(level[low] != 0);
                high -= usize::from(low < high && level[high - 1] != 0);
            }
            if low >= high {
                return;
            }
            (first, last) = (low, high - 1);
        }
    }

    /// Panics unless each level is what the one below makes it.
    #[cfg(any(test, qdb_internals))]
    pub(super) fn check_invariants(&self, chunks: usize) {
        assert_eq!(self.levels[0].len(), chunks.div_ceil(64), "the length of level 0");
        assert_eq!(self.full.len(), chunks.div_ceil(64), "the length of the full chunks' bits");
        for pair in self.levels.windows(2) {
            assert_eq!(pair[1].len(), pair[0].len().div_ceil(64), "the length of a level");
            for at in 0..pair[1].len() * 64 {
                let any = pair[0].get(at).is_some_and(|&word| word != 0);
                assert_eq!(pair[1][at / 64] >> (at % 64) & 1 != 0, any, "a level is wrong");
            }
        }
    }
}

fn write_bits(word: &mut u64, mask: u64, set: bool) {
    *word = *word & !mask | if set { mask } else { 0 };
}

/// Sets or clears the bits `first..=last`.
fn write_range(words: &mut [u64], first: usize, last: usize, set: bool) {
    for (k, mask) in word_masks(first, last) {
        write_bits(&mut words[k], mask, set);
    }
}

/// The words that bits `first..=last` lie in, each with the mask of these bits.
pub(super) fn word_masks(first: usize, last: usize) -> impl Iterator<Item = (usize, u64)> {
    (first / 64..=last / 64).map(move |k| {
        let from = if k == first / 64 { first % 64 } else { 0 };
        let to = if k == last / 64 { last % 64 } else { 63 };
        (k, super::geometry::mask(from as u64, to as u64))
    })
}
