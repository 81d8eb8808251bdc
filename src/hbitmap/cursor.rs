// SPDX-License-Identifier: GPL-2.0-or-later
//! Iteration over dirty bits, safe while the bitmap changes.

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
    /// The generation of the bitmap that `pending` was read in.
    pub generation: u64,
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
        Cursor { word, pending: hb.word(word) & (u64::MAX << (bit % 64)), generation: hb.generation }
    }

    /// The first item of the next dirty bit, or `None` at the end. Asked again at the end, it goes on looking.
    #[inline]
    pub fn next(&mut self, hb: &HBitmap) -> Option<u64> {
        // Mostly the word at hand has more bits and nothing has changed. The rest is kept out of line, so that this much costs
        // no saved registers.
        if (self.generation != hb.generation || self.pending == 0) && !self.advance(hb) {
            return None;
        }
        let bit = self.word * 64 + u64::from(self.pending.trailing_zeros());
        self.pending &= self.pending - 1;
        Some(bit << hb.granularity)
    }

    /// Makes `pending` what is still to be returned of the current word, or of the next word with a bit. Returns whether there is
    /// one.
    #[inline(never)]
    fn advance(&mut self, hb: &HBitmap) -> bool {
        if self.generation != hb.generation {
            self.pending &= hb.word(self.word);
            self.generation = hb.generation;
            if self.pending != 0 {
                return true;
            }
        }
        let Some((word, value)) = hb.next_set_word(self.word + 1) else { return false };
        self.word = word;
        self.pending = value;
        true
    }
}
