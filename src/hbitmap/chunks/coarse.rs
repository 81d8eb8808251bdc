// SPDX-License-Identifier: GPL-2.0-or-later
//! Chunks whose bits come in groups: of each sixteen in a row, from the first on, all are set or none is.
//!
//! A merge from a bitmap whose bits stand for sixteen times as much (64 KiB blocks into 4 KiB blocks), or for more, makes just such
//! chunks. One bit for each group is a sixteenth of the words; what such a merge mostly costs is memory that nobody has touched. The first
//! change that does not leave the groups alike makes the chunk dense.

use super::{CHUNK_BITS, CHUNK_WORDS};
use crate::hbitmap::words;

/// log2 of the bits in a group.
pub(in crate::hbitmap) const GROUP_SHIFT: u32 = 4;
/// Words of one bit for each group of a chunk of full size. Shorter chunks are not coarse.
pub(in crate::hbitmap) const GROUP_WORDS: usize = CHUNK_WORDS >> GROUP_SHIFT;

/// Bits in a group.
const GROUP_BITS: u64 = 1 << GROUP_SHIFT;
/// Groups in a leaf word.
const IN_WORD: u64 = 64 / GROUP_BITS;
const GROUPS: u64 = CHUNK_BITS / GROUP_BITS;

/// A coarse chunk, to read.
#[derive(Clone, Copy)]
pub(in crate::hbitmap) struct Groups<'a>(pub(in crate::hbitmap) &'a [u64; GROUP_WORDS]);

impl Groups<'_> {
    /// Whether bit `bit` of the chunk is set.
    pub(in crate::hbitmap) fn has(self, bit: u64) -> bool {
        let group = bit / GROUP_BITS;
        self.0[group as usize / 64] >> (group % 64) & 1 != 0
    }

    /// Leaf word `word` of the chunk.
    pub(in crate::hbitmap) fn word(self, word: usize) -> u64 {
        let first = word as u64 * IN_WORD;
        let bits = self.0[first as usize / 64] >> (first % 64) & ((1 << IN_WORD) - 1);
        // Bit `i` of the four to where group `i` starts, and from there through the group.
        let starts = (bits | bits << 15 | bits << 30 | bits << 45) & 0x0001_0001_0001_0001;
        starts * 0xffff
    }

    /// Writes leaf words `from..from + out.len()` of the chunk to `out`.
    pub(in crate::hbitmap) fn copy_words(self, from: usize, out: &mut [u64]) {
        if from == 0 && out.len() == CHUNK_WORDS {
            words::expand(out, self.0, GROUP_SHIFT);
        } else {
            (from..).zip(out).for_each(|(i, word)| *word = self.word(i));
        }
    }

    /// How many bits of the chunk are set.
    pub(in crate::hbitmap) fn ones(self) -> u64 {
        words::count_ones(self.0) * GROUP_BITS
    }

    /// The first bit of the chunk from `from` on that is set.
    pub(in crate::hbitmap) fn next_set(self, from: u16) -> Option<u16> {
        self.next(from, 0)
    }

    /// The first bit of the chunk from `from` on that is clear.
    pub(in crate::hbitmap) fn next_clear(self, from: u16) -> Option<u16> {
        self.next(from, u64::MAX)
    }

    /// The first bit from `from` on whose group has another bit here than in `unlike`.
    fn next(self, from: u16, unlike: u64) -> Option<u16> {
        let group = u64::from(from) / GROUP_BITS;
        let mut at = group as usize / 64;
        let mut found = (self.0[at] ^ unlike) & (u64::MAX << (group % 64));
        while found == 0 {
            at += 1;
            found = self.0.get(at)? ^ unlike;
        }
        let first = (at as u64 * 64 + u64::from(found.trailing_zeros())) * GROUP_BITS;
        Some(from.max(first as u16))
    }

    /// Which of the leaf words `64 * k ..` of the chunk are not zero.
    pub(in crate::hbitmap) fn summary(self, k: usize) -> u64 {
        let mut summary = [0];
        let words = IN_WORD as usize;
        words::compress(&mut summary, &self.0[k * words..(k + 1) * words], IN_WORD.trailing_zeros());
        summary[0]
    }
}

const _: () = assert!(GROUP_BITS == 16 && IN_WORD == 4 && GROUPS == GROUP_WORDS as u64 * 64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_what_its_groups_are() {
        let mut groups = [0; GROUP_WORDS];
        for (i, word) in groups.iter_mut().enumerate() {
            *word = [0, u64::MAX, 1, 1 << 63, 0xf00f_0100_0000_8421][i * 7 % 5];
        }
        let groups = Groups(&groups);
        let bits: Vec<bool> =
            (0..CHUNK_BITS).map(|bit| groups.0[bit as usize / 1024] >> (bit / 16 % 64) & 1 != 0).collect();
        let mut words = [0; CHUNK_WORDS];
        groups.copy_words(0, &mut words);
        for (bit, &set) in bits.iter().enumerate() {
            assert_eq!(groups.has(bit as u64), set);
            assert_eq!(words[bit / 64] >> (bit % 64) & 1 != 0, set);
            let next = |sought: bool| (bit..bits.len()).find(|&bit| bits[bit] == sought).map(|bit| bit as u16);
            assert_eq!(groups.next_set(bit as u16), next(true));
            assert_eq!(groups.next_clear(bit as u16), next(false));
        }
        for (i, &word) in words.iter().enumerate() {
            assert_eq!(groups.word(i), word);
            assert_eq!(groups.summary(i / 64) >> (i % 64) & 1 != 0, word != 0);
        }
        let mut some = [7; 100];
        groups.copy_words(31, &mut some);
        assert_eq!(some, words[31..131]);
        assert_eq!(groups.ones(), bits.iter().filter(|&&set| set).count() as u64);
    }
}
