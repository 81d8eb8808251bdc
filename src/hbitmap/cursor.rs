// SPDX-License-Identifier: GPL-2.0-or-later
//! Iteration over dirty bits, safe while the bitmap changes.

use super::geometry::SPAN_WORDS;
use super::HBitmap;
use crate::assertion::abi_assert;

/// A position in a bitmap's sequence of dirty bits. It borrows nothing: the bitmap is given to each
/// [`next`](Self::next), and may have changed in between in any way.
///
/// Then items come in ascending order; a bit that is clear when `next` is called is not returned; a
/// bit that was set before the iteration began, is ahead and stays set, is. A bit that is set ahead
/// of the cursor meanwhile is returned unless it lies in the 64-bit word that the cursor is in.
/// (QEMU's iterator may miss more of those.)
///
/// It is plain data and fits into QEMU's `HBitmapIter`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Bits of word `word` that are still to be returned.
    pending: u64,
    /// The word that the cursor is in: all before it has been returned.
    word: u64,
    /// The generation of the bitmap that `pending` and `after` were read in.
    generation: u64,
    /// Words after `word`, of the span that it is in, that are not zero: bit `i` for word `i`. None
    /// where the bits are found one by one.
    after: u64,
}

impl Cursor {
    /// A cursor that returns the dirty bits of `hb` from the one of item `first` on.
    ///
    /// # Panics
    /// If `first` lies in no bit of the bitmap (so always for a bitmap of size 0).
    pub fn new(hb: &HBitmap, first: u64) -> Self {
        let bit = first >> hb.granularity;
        abi_assert!(bit < hb.bits(), "hbitmap_iter_init", "pos < hb->size");
        Cursor::at(hb, bit)
    }

    /// A cursor in the word of bit `bit`, which is to return that bit and those after it.
    #[inline]
    fn at(hb: &HBitmap, bit: u64) -> Self {
        let word = bit / 64;
        Cursor {
            pending: hb.word(word) & (u64::MAX << (bit % 64)),
            word,
            generation: hb.generation,
            after: hb.chunks.words_after(word as usize),
        }
    }

    /// The first item of the next dirty bit, or `None` at the end. Asked again at the end, it looks
    /// again.
    #[inline]
    pub fn next(&mut self, hb: &HBitmap) -> Option<u64> {
        if self.generation != hb.generation {
            self.revalidate(hb);
        }
        if self.pending == 0 && !self.advance(hb) {
            return None;
        }
        let bit = self.word * 64 + u64::from(self.pending.trailing_zeros());
        self.pending &= self.pending - 1;
        Some(bit << hb.granularity)
    }

    /// The word that the cursor is in: that of the last item, or at first that of the first one.
    pub(crate) fn word(&self) -> u64 {
        self.word
    }

    /// Goes to the next word that has a bit. Returns whether there is one; else nothing changes.
    #[inline]
    fn advance(&mut self, hb: &HBitmap) -> bool {
        if self.after != 0 {
            let first = self.word & !(SPAN_WORDS as u64 - 1);
            self.word = first + u64::from(self.after.trailing_zeros());
            self.after &= self.after - 1;
            self.pending = hb.chunks.word(self.word as usize);
            return true;
        }
        let next = hb.next_set_bit((self.word + 1) * 64);
        if let Some(bit) = next {
            *self = Cursor::at(hb, bit);
        }
        next.is_some()
    }

    /// Forgets what has changed since it was read.
    #[inline(never)]
    fn revalidate(&mut self, hb: &HBitmap) {
        self.pending &= hb.word(self.word);
        let inside = self.word < hb.bits().div_ceil(64);
        self.after = if inside { hb.chunks.words_after(self.word as usize) } else { 0 };
        self.generation = hb.generation;
    }
}
