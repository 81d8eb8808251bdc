// SPDX-License-Identifier: GPL-2.0-or-later
//! The content of a bitmap, to blocks.

use super::{MAX_BLOCK, WORD};
use crate::hbitmap::HBitmap;

/// Bytes of what says how long a block is.
const PREFIX: usize = 4;
/// Words that are looked at in one go: first, so that little is in vain where single words differ
/// from their neighbours, and at most.
const PIECE: (usize, usize) = (8, 512);

/// How far a bitmap is written.
pub(super) struct Encoder {
    word: u64,
    words: u64,
}

impl Encoder {
    /// At the beginning of a bitmap of so many bits.
    pub(super) fn new(bits: u64) -> Self {
        Self { word: 0, words: bits.div_ceil(64) }
    }

    pub(super) fn is_done(&self) -> bool {
        self.word == self.words
    }

    /// Makes the next block, with its length before it.
    pub(super) fn next_block(&mut self, bitmap: &HBitmap, block: &mut Vec<u8>) {
        block.clear();
        block.resize(PREFIX, 0);
        // A marker and a word.
        while !self.is_done() && block.len() + 2 * WORD <= PREFIX + MAX_BLOCK {
            let (dirty, run) = self.run(bitmap);
            self.word += run;
            let marker = block.len();
            block.resize(marker + WORD, 0);
            let literals = self.literals(bitmap, block);
            let value = literals << 48 | run << 1 | u64::from(dirty);
            block[marker..marker + WORD].copy_from_slice(&value.to_le_bytes());
        }
        let length = (block.len() - PREFIX) as u32;
        block[..PREFIX].copy_from_slice(&length.to_le_bytes());
    }

    /// The words from here on that are all dirty or all clean, and which. A last word that is cut
    /// by the end is dirty if all that is left of it is.
    fn run(&self, bitmap: &HBitmap) -> (bool, u64) {
        let granularity = bitmap.granularity();
        let start = (self.word * 64) << granularity;
        let words_to = |item: Option<u64>| {
            item.map_or(self.words, |item| (item >> granularity) / 64) - self.word
        };
        match words_to(bitmap.next_dirty(start, u64::MAX)) {
            0 => match words_to(bitmap.next_zero(start, u64::MAX)) {
                0 => (false, 0),
                dirty => (true, dirty),
            },
            clean => (false, clean),
        }
    }

    /// Appends the words up to the next that is all dirty or all clean, as far as the block has
    /// room. Returns how many they are.
    fn literals(&mut self, bitmap: &HBitmap, block: &mut Vec<u8>) -> u64 {
        let first = self.word;
        let mut piece = PIECE.0;
        loop {
            let room = (PREFIX + MAX_BLOCK - block.len()) / WORD;
            let count = (piece.min(room) as u64).min(self.words - self.word);
            let start = block.len();
            block.resize(start + count as usize * WORD, 0);
            bitmap.serialize_words(&mut block[start..], self.word..self.word + count);
            let uniform = |word: &[u8]| word == [0; WORD] || word == [0xff; WORD];
            let used = block[start..].chunks_exact(WORD).take_while(|word| !uniform(word)).count();
            block.truncate(start + used * WORD);
            self.word += used as u64;
            if used < piece {
                return self.word - first;
            }
            piece = (2 * piece).min(PIECE.1);
        }
    }
}
