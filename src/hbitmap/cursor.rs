// SPDX-License-Identifier: GPL-2.0-or-later
//! Iteration over dirty bits, safe while the bitmap changes.

use super::chunk::CHUNK_WORDS;
use super::HBitmap;
use crate::assertion::abi_assert;

/// A place in a bitmap's sequence of dirty bits. It borrows nothing: the bitmap is given to each [`next`](Self::next), and may
/// have changed in between in any way.
///
/// What it guarantees then: items come in ascending order; a bit that is clear when `next` is called is not returned; a bit
/// that was set before the iteration began, lies ahead and stays set, is. A bit that is set ahead of the cursor meanwhile is
/// returned unless it lies in the 64-bit word that the cursor is in (QEMU's may miss more of those).
///
/// It is plain data and fits into QEMU's `HBitmapIter`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// The leaf word that `pending` belongs to.
    pub word: u64,
    /// The bits of that word which have not been returned.
    pub pending: u64,
    /// The generation of the bitmap that `pending` and `group` were read in.
    pub generation: u64,
    /// Which words behind `word`, of the 64 that it is one of, are known to have a bit.
    pub group: u64,
    /// How many bits of the chunk have been passed, if it is sparse; else 0.
    pub passed: u64,
}

impl Cursor {
    /// A cursor that returns the dirty bits of `hb` from the one of item `first` on.
    ///
    /// # Panics
    /// If `first` lies in no bit of the bitmap (so always for a bitmap of size 0).
    pub fn new(hb: &HBitmap, first: u64) -> Self {
        let bit = first >> hb.granularity;
        abi_assert!(bit < hb.bits, "hbitmap_iter_init", "pos < hb->size");
        let word = bit / 64;
        let pending = hb.word(word) & (u64::MAX << (bit % 64));
        Cursor { word, pending, generation: hb.generation, group: 0, passed: 0 }
    }

    /// The first item of the next dirty bit, or `None` at the end. Asked again at the end, it goes on looking.
    #[inline]
    pub fn next(&mut self, hb: &HBitmap) -> Option<u64> {
        u64::try_from(self.next_or_minus_one(hb)).ok()
    }

    /// The same, with -1 at the end: what C wants, and the shortest way there.
    #[inline]
    pub(crate) fn next_or_minus_one(&mut self, hb: &HBitmap) -> i64 {
        // Mostly the word at hand has more bits and nothing has changed. The rest is kept out of line, so that this much costs
        // no saved registers.
        if self.pending != 0 && self.generation == hb.generation {
            self.take(hb)
        } else {
            self.next_elsewhere(hb)
        }
    }

    /// The first item of the next bit of `pending`, of which there is one. Items are below 2^63.
    #[inline]
    fn take(&mut self, hb: &HBitmap) -> i64 {
        let bit = self.word * 64 + u64::from(self.pending.trailing_zeros());
        self.pending &= self.pending.wrapping_sub(1);
        (bit << hb.granularity) as i64
    }

    #[inline(never)]
    fn next_elsewhere(&mut self, hb: &HBitmap) -> i64 {
        if self.generation != hb.generation {
            self.pending &= hb.word(self.word);
            self.group = 0;
            self.passed = 0;
            self.generation = hb.generation;
        }
        if self.pending == 0 && !self.advance(hb) {
            return -1;
        }
        self.take(hb)
    }

    /// Goes to the next word that has a bit; returns whether there is one.
    #[inline]
    fn advance(&mut self, hb: &HBitmap) -> bool {
        if self.group != 0 {
            self.word = self.word - self.word % 64 + u64::from(self.group.trailing_zeros());
            self.group &= self.group - 1;
            // Its chunk is dense, or full and of full size.
            self.pending = hb.dense.word(self.word).unwrap_or(u64::MAX);
            return true;
        }
        if self.passed != 0 && self.next_place(hb, self.word as usize / CHUNK_WORDS) {
            return true;
        }
        // A sparse chunk that has been passed has nothing more.
        let from = if self.passed != 0 { (self.word | (CHUNK_WORDS as u64 - 1)) + 1 } else { self.word + 1 };
        self.passed = 0;
        if from % CHUNK_WORDS as u64 == 0 {
            // Into another chunk: most of those of a sparse bitmap are sparse.
            let Some(c) = hb.any.next(from as usize / CHUNK_WORDS) else { return false };
            if self.next_place(hb, c) {
                return true;
            }
        }
        let Some((word, value)) = hb.next_set_word(from) else { return false };
        self.word = word;
        self.pending = value;
        self.group = hb.set_words_behind(word);
        true
    }

    /// Goes to the next word of chunk `c` with a bit, if the chunk is sparse and has one.
    #[inline]
    fn next_place(&mut self, hb: &HBitmap, c: usize) -> bool {
        let places = hb.sparse.places(c);
        let Some(&place) = places.get(self.passed as usize) else { return false };
        self.word = (c * CHUNK_WORDS) as u64 + u64::from(place / 64);
        self.pending = 0;
        while let Some(&next) = places.get(self.passed as usize).filter(|&&next| next / 64 == place / 64) {
            self.pending |= 1 << (next % 64);
            self.passed += 1;
        }
        true
    }
}
