// SPDX-License-Identifier: GPL-2.0-or-later
//! The levels over more chunks than a test has memory for, beside a list of them.

use crate::hbitmap::levels::Levels;

/// A chunk, as the levels see it.
#[derive(Clone, Copy, PartialEq)]
enum Chunk {
    Empty,
    Some,
    Full,
}

struct Pair {
    levels: Levels,
    chunks: Vec<Chunk>,
}

impl Pair {
    fn new(chunks: usize) -> Self {
        Pair { levels: Levels::new(chunks), chunks: vec![Chunk::Empty; chunks] }
    }

    fn put(&mut self, c: usize, chunk: Chunk) {
        self.chunks[c] = chunk;
        self.levels.put(c, chunk != Chunk::Empty);
        self.levels.put_full(c, chunk == Chunk::Full);
    }

    fn put_range(&mut self, first: usize, last: usize, full: bool) {
        self.chunks[first..=last].fill(if full { Chunk::Full } else { Chunk::Empty });
        self.levels.put_range(first, last, full);
        self.check(&[first, last]);
    }

    fn resize(&mut self, chunks: usize) {
        for c in chunks..self.chunks.len() {
            if self.chunks[c] != Chunk::Empty {
                self.put(c, Chunk::Empty);
            }
        }
        self.chunks.resize(chunks, Chunk::Empty);
        self.levels.resize(chunks);
        self.check(&[chunks - 1]);
    }

    /// Compares all words, and searches around some chunks.
    fn check(&self, near: &[usize]) {
        self.levels.check_invariants(self.chunks.len());
        for (k, chunks) in self.chunks.chunks(64).enumerate() {
            let mask = |is: fn(Chunk) -> bool| {
                (0..).zip(chunks).fold(0, |mask, (i, &chunk)| mask | u64::from(is(chunk)) << i)
            };
            let masks = (mask(|chunk| chunk != Chunk::Empty), mask(|chunk| chunk == Chunk::Full));
            assert_eq!(self.levels.masks(k), masks, "word {k}");
        }
        let len = self.chunks.len();
        let find = |from: usize, is: fn(Chunk) -> bool| (from..len).find(|&c| is(self.chunks[c]));
        for &at in near {
            for from in [at.saturating_sub(65), at.saturating_sub(1), at, (at + 1).min(len - 1)] {
                let next = find(from, |chunk| chunk != Chunk::Empty);
                assert_eq!(self.levels.next(from), next, "from {from}");
                let next = find(from, |chunk| chunk != Chunk::Full);
                assert_eq!(self.levels.next_not_full(from, len - 1), next, "from {from}");
                if let Some(next) = next {
                    assert_eq!(self.levels.next_not_full(from, next), Some(next));
                    let before = next.checked_sub(1).filter(|&last| last >= from);
                    let none = before.and_then(|last| self.levels.next_not_full(from, last));
                    assert_eq!(none, None, "from {from} before {next}");
                }
            }
        }
        assert_eq!(self.levels.next(len), None);
        assert_eq!(self.levels.next_not_full(len, len - 1), None);
    }
}

/// Numbers of chunks with one to three levels, and words that are whole or not.
const SIZES: [usize; 7] = [1, 63, 64, 65, 4096, 4097, 9000];

#[test]
fn chunks_one_by_one() {
    for len in SIZES {
        let mut pair = Pair::new(len);
        let some = [0, 1, 62, 63, 64, 127, 128, 4095, 4096, 4160, len - 1];
        for chunk in [Chunk::Some, Chunk::Full, Chunk::Some, Chunk::Full, Chunk::Empty] {
            for c in some.into_iter().filter(|&c| c < len) {
                pair.put(c, chunk);
                pair.check(&[c]);
            }
        }
    }
}

#[test]
fn ranges_of_chunks() {
    for len in SIZES {
        let bounds = [0, 1, 63, 64, 65, 128, 4095, 4096, 4097, 8191, 8192, len - 1];
        let mut pair = Pair::new(len);
        for first in bounds.into_iter().filter(|&c| c < len) {
            for last in bounds.into_iter().filter(|&c| first <= c && c < len) {
                pair.put_range(0, len - 1, false);
                pair.put_range(first, last, true);
                pair.put_range(0, len - 1, true);
                pair.put_range(first, last, false);
                // In the middle of some.
                (0..len).step_by(50).for_each(|c| pair.put(c, Chunk::Some));
                pair.put_range(first, last, true);
                (0..len).step_by(31).for_each(|c| pair.put(c, Chunk::Some));
                pair.put_range(first, last, false);
            }
        }
    }
}

#[test]
fn more_and_fewer_chunks() {
    for from in SIZES {
        for to in SIZES {
            for last in [Chunk::Empty, Chunk::Some, Chunk::Full] {
                let mut pair = Pair::new(from);
                pair.put(0, Chunk::Some);
                pair.put(from - 1, last);
                pair.resize(to);
                pair.put(to - 1, Chunk::Some);
                pair.check(&[to - 1]);
                pair.resize(from);
                pair.put_range(0, from - 1, false);
                pair.resize(to);
            }
        }
    }
}
