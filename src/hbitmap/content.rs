// SPDX-License-Identifier: GPL-2.0-or-later
//! What a chunk is to hold, as words or as the bytes of a serialised part: so that those need not be copied first.

use super::chunks::LIMIT;
use super::place::Place;
use super::{ones_of, words};

/// The words of a chunk, wherever they are.
pub(super) trait Content {
    /// Word `i`.
    fn word(&self, i: usize) -> u64;
    /// Writes all words to `words`, which has as many.
    fn copy_to(&self, words: &mut [u64]);
}

impl Content for [u64] {
    #[inline]
    fn word(&self, i: usize) -> u64 {
        self[i]
    }

    fn copy_to(&self, words: &mut [u64]) {
        words.copy_from_slice(self);
    }
}

/// Little-endian words.
impl Content for [u8] {
    #[inline]
    fn word(&self, i: usize) -> u64 {
        let mut word = [0];
        words::portable::from_little_endian(&mut word, &self[i * 8..]);
        word[0]
    }

    fn copy_to(&self, words: &mut [u64]) {
        words::from_little_endian(words, self);
    }
}

/// Writes the places of the bits of `content`, of which there are at most [`LIMIT`], to `places`; returns how many there are.
pub(super) fn places_of<W: Content + ?Sized>(content: &W, summary: &[u64; 8], places: &mut [Place; LIMIT]) -> usize {
    let mut len = 0;
    for (group, &bits) in summary.iter().enumerate() {
        for word in ones_of(bits).map(|i| group * 64 + i) {
            for bit in ones_of(content.word(word)) {
                places[len] = Place::of((word * 64 + bit) as u64);
                len += 1;
            }
        }
    }
    len
}
