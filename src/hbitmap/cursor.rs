// SPDX-License-Identifier: GPL-2.0-or-later
//! Iteration over dirty bits, safe while the bitmap changes.

use super::HBitmap;
use super::geometry::{CHUNK_WORDS, SPAN_WORDS, above};
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
    /// The generation of the bitmap that all else was read in.
    generation: u64,
    /// Words after `word`, of the span that it is in, that are not zero: bit `i` for word `i`.
    words: u64,
    /// Spans after that, of the chunk that it is in, that have bits: bit `i` for span `i`.
    spans: u32,
    /// The slot of the next bit, if the chunk is stored as an array and has one.
    slot: u32,
}

impl Cursor {
    /// A cursor that returns the dirty bits of `hb` from the one of item `first` on.
    ///
    /// # Panics
    /// If `first` lies in no bit of the bitmap (so always for a bitmap of size 0).
    pub fn new(hb: &HBitmap, first: u64) -> Self {
        let bit = first >> hb.granularity;
        abi_assert!(bit < hb.bits(), "hbitmap_iter_init", "pos < hb->size");
        let (pending, word) = (u64::MAX << (bit % 64), bit / 64);
        let mut cursor = Cursor { pending, word, generation: 0, words: 0, spans: 0, slot: 0 };
        cursor.revalidate(hb);
        cursor
    }

    /// The first item of the next dirty bit, or `None` at the end. Asked again at the end, it looks
    /// again.
    #[inline]
    pub fn next(&mut self, hb: &HBitmap) -> Option<u64> {
        self.next_in_word(hb).or_else(|| self.next_elsewhere(hb))
    }

    /// [`next`](Self::next), if it is in the same word and the bitmap has not changed.
    #[inline(always)]
    pub(crate) fn next_in_word(&mut self, hb: &HBitmap) -> Option<u64> {
        if self.pending == 0 || self.generation != hb.generation {
            return None;
        }
        let bit = self.word * 64 + u64::from(self.pending.trailing_zeros());
        self.pending &= self.pending - 1;
        Some(bit << hb.granularity)
    }

    /// [`next`](Self::next), wherever it is.
    #[inline(never)]
    pub(crate) fn next_elsewhere(&mut self, hb: &HBitmap) -> Option<u64> {
        if self.generation != hb.generation {
            self.revalidate(hb);
        }
        if self.pending == 0 {
            self.advance(hb)?;
        }
        self.next_in_word(hb)
    }

    /// The word that the cursor is in: that of the last item, or at first that of the first one.
    pub(crate) fn word(&self) -> u64 {
        self.word
    }

    /// Goes to the next word that has a bit. `None`, and no change, if there is none.
    #[inline]
    fn advance(&mut self, hb: &HBitmap) -> Option<()> {
        if self.words != 0 {
            let first = self.word & !(SPAN_WORDS as u64 - 1);
            self.word = first + u64::from(self.words.trailing_zeros());
            self.words &= self.words - 1;
            self.pending = hb.chunks.word(self.word as usize);
            return Some(());
        }
        let mut c = self.word as usize / CHUNK_WORDS;
        if self.spans == 0 && hb.chunks.array_slot(c, self.slot).is_none() {
            c = hb.levels.next(c + 1)?;
            (self.spans, self.slot) = (hb.chunks.spans(c), 0);
        }
        if self.spans != 0 {
            self.enter_span(hb, c);
        } else {
            self.take_from_array(hb, c);
        }
        Some(())
    }

    /// Goes to the first word of the next of `spans`, in chunk `c`.
    #[inline]
    fn enter_span(&mut self, hb: &HBitmap, c: usize) {
        let s = self.spans.trailing_zeros() as usize;
        let words = hb.chunks.nonzero_words(c, s);
        let word = c * CHUNK_WORDS + s * SPAN_WORDS + words.trailing_zeros() as usize;
        self.spans &= self.spans - 1;
        self.words = words & (words - 1);
        self.word = word as u64;
        self.pending = hb.chunks.word(word);
    }

    /// Goes to the word of the bit in slot `slot` of chunk `c`, and past the other bits in it.
    #[inline]
    fn take_from_array(&mut self, hb: &HBitmap, c: usize) {
        self.pending = 0;
        while let Some(bit) = hb.chunks.array_slot(c, self.slot) {
            let word = c as u64 * CHUNK_WORDS as u64 + bit / 64;
            if self.pending != 0 && word != self.word {
                return;
            }
            self.word = word;
            self.pending |= 1 << (bit % 64);
            self.slot += 1;
        }
    }

    /// Reads again what may have changed.
    fn revalidate(&mut self, hb: &HBitmap) {
        let (c, w) = (self.word as usize / CHUNK_WORDS, self.word as usize);
        self.pending &= hb.word(self.word);
        (self.words, self.spans, self.slot) = (0, 0, u32::MAX);
        if self.word < hb.bits().div_ceil(64) {
            let s = w % CHUNK_WORDS / SPAN_WORDS;
            self.words = above(hb.chunks.nonzero_words(c, s), (w % SPAN_WORDS) as u64);
            self.spans = hb.chunks.spans(c) & (u32::MAX << s << 1);
            self.slot = hb.chunks.slot_from(c, (w % CHUNK_WORDS + 1) as u64 * 64);
        }
        self.generation = hb.generation;
    }
}
