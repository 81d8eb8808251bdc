// SPDX-License-Identifier: GPL-2.0-or-later
//! The levels above the leaves: which chunks have a bit set, and over them, which words of that level are not zero. And which
//! chunks are full.
//!
//! Bit `i` of a level says that word `i` of the level below is not zero; bit `i` of the lowest level, that chunk `i` has a set
//! bit. There are as many levels as it takes for the topmost to be one word (none for a bitmap without bits), where QEMU's C
//! always has seven.

use super::words::mask;

/// A set of chunk numbers, of those with a set bit, that finds the next member in a few steps, however sparse it is.
#[derive(Debug)]
pub(super) struct Levels {
    /// The words of `full`, and then one level after the other, the lowest first: one array, because bitmaps of small disks shall be small.
    words: Box<[u64]>,
    len: usize,
}

/// The most levels: 2^26 chunks have five.
const HEIGHT: usize = 5;
const _: () = assert!(super::MAX_BITS / super::chunks::CHUNK_BITS <= 64u64.pow(HEIGHT as u32));

/// Where the levels over members below `len` lie: for each, from the lowest on, its first word and how many it has.
#[inline]
fn shape(len: usize) -> impl Iterator<Item = (usize, usize)> {
    let (mut start, mut bits) = (len.div_ceil(64), len);
    std::iter::from_fn(move || {
        if bits == 0 {
            return None;
        }
        let level = (start, bits.div_ceil(64));
        start += level.1;
        bits = if level.1 == 1 { 0 } else { level.1 };
        Some(level)
    })
}

impl Levels {
    /// An empty set of numbers below `len`. The memory is the allocator's zeroed memory: untouched until something is set.
    pub(super) fn new(len: usize) -> Self {
        let words = shape(len).last().map_or(0, |(start, words)| start + words);
        Levels { words: vec![0; words].into(), len }
    }

    /// Which chunks have all their bits set: bit `c % 64` of word `c / 64`. There are no levels over that, and it is the caller's.
    #[inline]
    pub(super) fn full(&self) -> &[u64] {
        &self.words[..self.len.div_ceil(64)]
    }

    /// The same, to change.
    #[inline]
    pub(super) fn full_mut(&mut self) -> &mut [u64] {
        &mut self.words[..self.len.div_ceil(64)]
    }

    /// Says whether chunk `c` is full.
    #[inline]
    pub(super) fn set_full(&mut self, c: usize, full: bool) {
        let word = &mut self.words[c / 64];
        *word = *word & !(1 << (c % 64)) | u64::from(full) << (c % 64);
    }

    /// Members are below this.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Whether `i` is a member; `false` for numbers out of range.
    #[inline]
    pub(super) fn contains(&self, i: usize) -> bool {
        self.word(i / 64) >> (i % 64) & 1 != 0
    }

    /// Members `64 * k ..` as a word; zero out of range.
    #[inline]
    pub(super) fn word(&self, k: usize) -> u64 {
        let words = self.len.div_ceil(64);
        if k < words {
            self.words[words + k]
        } else {
            0
        }
    }

    /// Adds `i`. Climbs only while a word was zero before.
    pub(super) fn insert(&mut self, i: usize) {
        let mut i = i;
        for (start, _) in shape(self.len) {
            let word = &mut self.words[start + i / 64];
            let old = *word;
            *word |= 1 << (i % 64);
            if old != 0 {
                break;
            }
            i /= 64;
        }
    }

    /// Adds those of `64 * k ..` that `bits` (not none) names.
    pub(super) fn insert_word(&mut self, k: usize, bits: u64) {
        self.words[self.len.div_ceil(64) + k] |= bits;
        let mut i = k;
        for (start, _) in shape(self.len).skip(1) {
            self.words[start + i / 64] |= 1 << (i % 64);
            i /= 64;
        }
    }

    /// Removes `i`. Climbs only while a word becomes zero.
    pub(super) fn remove(&mut self, i: usize) {
        let mut i = i;
        for (start, _) in shape(self.len) {
            let word = &mut self.words[start + i / 64];
            *word &= !(1 << (i % 64));
            if *word != 0 {
                break;
            }
            i /= 64;
        }
    }

    /// Adds all of `first..=last`.
    pub(super) fn insert_range(&mut self, first: usize, last: usize) {
        let (mut first, mut last) = (first, last);
        for (start, _) in shape(self.len) {
            for (k, bits) in word_masks(first, last) {
                self.words[start + k] |= bits;
            }
            first /= 64;
            last /= 64;
        }
    }

    /// Removes all of `first..=last`.
    pub(super) fn remove_range(&mut self, first: usize, last: usize) {
        let (mut first, mut last) = (first, last);
        for (start, words) in shape(self.len) {
            let level = &mut self.words[start..start + words];
            for (k, bits) in word_masks(first, last) {
                level[k] &= !bits;
            }
            // The words in between are zero now; those at the ends, perhaps not.
            let (low, high) = (first / 64, last / 64);
            first = low + usize::from(level[low] != 0);
            if level[high] != 0 {
                if high == 0 {
                    break;
                }
                last = high - 1;
            } else {
                last = high;
            }
            if first > last {
                break;
            }
        }
    }

    /// The least member that is at least `from`.
    #[inline]
    pub(super) fn next(&self, from: usize) -> Option<usize> {
        // Mostly it is in the same word.
        match self.word(from / 64) >> (from % 64) {
            0 => self.next_in_later_word(from),
            word => Some(from + word.trailing_zeros() as usize),
        }
    }

    #[inline(never)]
    fn next_in_later_word(&self, from: usize) -> Option<usize> {
        // Climb until a word has a member behind the place...
        let mut at = from / 64 + 1;
        for (height, (start, words)) in (1..).zip(shape(self.len).skip(1)) {
            let level = &self.words[start..start + words];
            let word = level.get(at / 64).copied().unwrap_or(0) >> (at % 64);
            if word != 0 {
                at += word.trailing_zeros() as usize;
                // ... and go down along the lowest members.
                return Some(self.lowest_under(height, at));
            }
            at = at / 64 + 1;
        }
        None
    }

    /// The least member under bit `at`, which is set, of the level with `height` levels below it.
    fn lowest_under(&self, height: usize, at: usize) -> usize {
        let mut starts = [0; HEIGHT];
        for (below, (start, _)) in starts.iter_mut().zip(shape(self.len)).take(height) {
            *below = start;
        }
        starts[..height].iter().rev().fold(at, |at, start| at * 64 + self.words[start + at].trailing_zeros() as usize)
    }

    /// Panics unless each level is what the one below makes it, and the lowest has no member out of range.
    pub(super) fn check_invariants(&self) {
        let levels: Vec<&[u64]> = shape(self.len).map(|(start, words)| &self.words[start..start + words]).collect();
        assert_eq!(
            levels.iter().map(|level| level.len()).sum::<usize>() + self.full().len(),
            self.words.len(),
            "words"
        );
        let mut bits = self.len;
        for (height, level) in levels.iter().enumerate() {
            assert_eq!(level.len(), bits.div_ceil(64), "level {height} has the wrong length");
            if bits % 64 != 0 {
                assert_eq!(level[bits / 64] >> (bits % 64), 0, "level {height} has bits past its end");
            }
            if let Some(above) = levels.get(height + 1) {
                for (i, &word) in level.iter().enumerate() {
                    assert_eq!(
                        above[i / 64] >> (i % 64) & 1 != 0,
                        word != 0,
                        "level {} lies about word {i}",
                        height + 1
                    );
                }
            } else {
                assert_eq!(level.len(), 1, "the topmost level is one word");
            }
            bits = level.len();
        }
    }
}

/// The words that the bits `first..=last` touch, each with the mask of those bits in it.
pub(super) fn word_masks(first: usize, last: usize) -> impl Iterator<Item = (usize, u64)> {
    let (low, high) = (first / 64, last / 64);
    (low..=high).map(move |k| {
        let from = if k == low { first % 64 } else { 0 };
        let to = if k == high { last % 64 } else { 63 };
        (k, mask(from as u64, to as u64))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// A small deterministic generator: the test replays exactly.
    struct Sequence(u64);
    impl Sequence {
        fn below(&mut self, n: usize) -> usize {
            self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            ((self.0 >> 33) as usize) % n
        }
    }

    #[test]
    fn behaves_as_a_set() {
        for len in [1, 63, 64, 65, 4096, 4097, 300_000] {
            let mut levels = Levels::new(len);
            let mut model = BTreeSet::new();
            let mut sequence = Sequence(len as u64);
            for _ in 0..400 {
                let (a, b) = (sequence.below(len), sequence.below(len));
                let (first, last) = (a.min(b), a.max(b).min(a.min(b) + 9000));
                match sequence.below(4) {
                    0 => {
                        levels.insert(a);
                        model.insert(a);
                    }
                    1 => {
                        levels.remove(a);
                        model.remove(&a);
                    }
                    2 => {
                        levels.insert_range(first, last);
                        model.extend(first..=last);
                    }
                    _ => {
                        levels.remove_range(first, last);
                        model.retain(|i| !(first..=last).contains(i));
                    }
                }
                levels.check_invariants();
                let from = sequence.below(len + 2);
                assert_eq!(levels.next(from), model.range(from..).next().copied());
                assert_eq!(levels.contains(a), model.contains(&a));
            }
        }
    }

    #[test]
    fn of_nothing_is_empty() {
        let levels = Levels::new(0);
        levels.check_invariants();
        assert_eq!(levels.next(0), None);
        assert!(!levels.contains(0));
        assert_eq!(levels.word(0), 0);
    }
}
