// SPDX-License-Identifier: GPL-2.0-or-later
//! Setting and clearing ranges of items.
//!
//! A guest write is mostly one bit, and mostly one that is set already: that is a table entry, one word, and a compare. Longer
//! ranges take whole chunks 64 at a time from the levels and touch leaf words only at the two ends.

use super::chunk::{self, CHUNK_BITS, CHUNK_SHIFT, CHUNK_WORDS, DENSE_LEN, HEADER};
use super::levels::word_masks;
use super::words::mask;
use super::{HBitmap, State};
use crate::assertion::abi_assert;

/// A range of bits, cut at chunk bounds. Pieces are a chunk, and the first and last bit in it.
struct Cut {
    /// A first chunk covered in part.
    head: Option<(usize, u64, u64)>,
    /// The first and the last of the chunks covered whole.
    whole: Option<(usize, usize)>,
    /// A last chunk covered in part.
    tail: Option<(usize, u64, u64)>,
}

impl HBitmap {
    /// Makes the items `start..start + count` dirty, and with them the rest of the bits that they lie in. Returns whether any bit
    /// changed. `count` 0 does nothing.
    ///
    /// # Panics
    /// If an item lies in no bit of the bitmap.
    #[inline]
    pub fn set(&mut self, start: u64, count: u64) -> bool {
        if count == 0 {
            return false;
        }
        let end = start.checked_add(count - 1);
        let (first, last) = (start >> self.granularity, end.unwrap_or(u64::MAX) >> self.granularity);
        abi_assert!(end.is_some() && last < self.bits, "hbitmap_set", "last < hb->size");
        if first / 64 == last / 64 {
            self.set_in_word(first / 64, mask(first, last))
        } else {
            self.set_bits(first, last)
        }
    }

    /// Makes the items `start..start + count` clean. Returns whether any bit changed. `count` 0 does nothing.
    ///
    /// # Panics
    /// If `start` is not a multiple of `2^granularity`; if `count` is not either, unless the range ends at
    /// [`size`](Self::size); if an item lies in no bit of the bitmap.
    pub fn reset(&mut self, start: u64, count: u64) -> bool {
        if count == 0 {
            return false;
        }
        let unaligned = (1 << self.granularity) - 1;
        abi_assert!(start & unaligned == 0, "hbitmap_reset", "QEMU_IS_ALIGNED(start, gran)");
        abi_assert!(
            count & unaligned == 0 || start.checked_add(count) == Some(self.size),
            "hbitmap_reset",
            "QEMU_IS_ALIGNED(count, gran) || (start + count == hb->orig_size)"
        );
        let end = start.checked_add(count - 1);
        let (first, last) = (start >> self.granularity, end.unwrap_or(u64::MAX) >> self.granularity);
        abi_assert!(end.is_some() && last < self.bits, "hbitmap_reset", "last < hb->size");
        if first / 64 == last / 64 {
            self.reset_in_word(first / 64, mask(first, last))
        } else {
            self.reset_bits(first, last)
        }
    }

    /// Makes all items clean, and gives the memory back. Touches no memory but what says where the content is.
    pub fn reset_all(&mut self) {
        self.free_all();
        self.count = 0;
        self.generation += 1;
    }

    /// Frees each chunk, and empties the levels; the count is the caller's.
    pub(super) fn free_all(&mut self) {
        let mut from = 0;
        while let Some(c) = self.any.next(from) {
            let k = c / 64;
            let mut mixed = self.any.word(k) & !self.full[k];
            while mixed != 0 {
                self.table.free(k * 64 + mixed.trailing_zeros() as usize);
                mixed &= mixed - 1;
            }
            self.full[k] = 0;
            from = (k + 1) * 64;
            self.any.remove_range(k * 64, (from - 1).min(self.chunks() - 1));
        }
    }

    /// Sets the bits `bits` (not none, all valid) of leaf word `word`.
    #[inline]
    pub(super) fn set_in_word(&mut self, word: u64, bits: u64) -> bool {
        let c = (word >> (CHUNK_SHIFT - 6)) as usize;
        let at = word as usize % CHUNK_WORDS;
        match self.table.get_mut(c) {
            Some(chunk) => {
                if let Ok(dense) = <&mut [u64; DENSE_LEN]>::try_from(&mut **chunk) {
                    let old = dense[HEADER + at];
                    if old & bits == bits {
                        return false;
                    }
                    dense[HEADER + at] = old | bits;
                    if old == 0 {
                        dense[at / 64] |= 1 << (at % 64);
                    }
                    self.gained_in_word(c, old, bits);
                    return true;
                }
            }
            None => {
                if self.is_full(c) {
                    return false;
                }
            }
        }
        self.set_in_sparse_word(c, at, bits)
    }

    /// The rest of [`Self::set_in_word`]: a chunk that is zero, packed, or the short last one.
    #[inline(never)]
    fn set_in_sparse_word(&mut self, c: usize, at: usize, bits: u64) -> bool {
        let leaves = self.leaves(c);
        if let Some(chunk) = self.table.get_mut(c) {
            let old = chunk::set_in_word(chunk, leaves, at, bits);
            if old & bits == bits {
                return false;
            }
            self.gained_in_word(c, old, bits);
        } else {
            let mut chunk = chunk::new_for(leaves, 1);
            chunk::set_in_word(&mut chunk, leaves, at, bits);
            self.mark_mixed(c, chunk);
            self.gained_in_word(c, 0, bits);
        }
        true
    }

    /// Counts what a word of chunk `c` gained.
    #[inline]
    fn gained_in_word(&mut self, c: usize, old: u64, bits: u64) {
        let gained = bits & !old;
        self.count += if gained & (gained - 1) == 0 { 1 } else { u64::from(gained.count_ones()) };
        self.generation += 1;
        // The last chunk may end within a word, which is then never all ones.
        if old | bits == u64::MAX || c + 1 == self.chunks() {
            self.settle_if_full(c);
        }
    }

    /// Clears the bits `bits` (not none, all valid) of leaf word `word`.
    fn reset_in_word(&mut self, word: u64, bits: u64) -> bool {
        let c = (word >> (CHUNK_SHIFT - 6)) as usize;
        let at = word as usize % CHUNK_WORDS;
        let leaves = self.leaves(c);
        if !self.open(c) {
            return false;
        }
        let Some(chunk) = self.table.get_mut(c) else { return false };
        let lost = chunk::reset_in_word(chunk, leaves, at, bits) & bits;
        if lost == 0 {
            return false;
        }
        self.count -= u64::from(lost.count_ones());
        self.generation += 1;
        self.settle_if_empty(c);
        true
    }

    /// Gives chunk `c` memory if it is full, so that bits of it can be cleared. Returns whether it has any bit set.
    fn open(&mut self, c: usize) -> bool {
        if self.is_full(c) {
            let leaves = self.leaves(c);
            let mut chunk = chunk::new_dense(leaves);
            let last = self.bits_in(c) - 1;
            chunk::set_range(&mut chunk, leaves, 0, last);
            self.mark_mixed(c, chunk);
        }
        self.any.contains(c)
    }

    /// Sets the bits `first..=last`.
    #[inline(never)]
    pub(super) fn set_bits(&mut self, first: u64, last: u64) -> bool {
        let before = self.count;
        let Cut { head, whole, tail } = self.cut(first, last);
        for (c, from, to) in head.into_iter().chain(tail) {
            self.set_in_chunk(c, from, to);
        }
        if let Some((from, to)) = whole {
            self.fill_chunks(from, to);
        }
        self.generation += u64::from(self.count != before);
        self.count != before
    }

    /// Clears the bits `first..=last`.
    pub(super) fn reset_bits(&mut self, first: u64, last: u64) -> bool {
        let before = self.count;
        let Cut { head, whole, tail } = self.cut(first, last);
        for (c, from, to) in head.into_iter().chain(tail) {
            self.reset_in_chunk(c, from, to);
        }
        if let Some((from, to)) = whole {
            self.clear_chunks(from, to);
        }
        self.generation += u64::from(self.count != before);
        self.count != before
    }

    /// Cuts the bits `first..=last`.
    fn cut(&self, first: u64, last: u64) -> Cut {
        let (mut low, mut high) = ((first >> CHUNK_SHIFT) as usize, (last >> CHUNK_SHIFT) as usize);
        let (from, to) = (first % CHUNK_BITS, last % CHUNK_BITS);
        let ends = to + 1 == self.bits_in(high);
        if low == high && (from != 0 || !ends) {
            return Cut { head: Some((low, from, to)), whole: None, tail: None };
        }
        let head = (from != 0).then_some((low, from, CHUNK_BITS - 1));
        let tail = (!ends).then_some((high, 0, to));
        low += usize::from(head.is_some());
        // Where there is a tail, its chunk is behind that of `first`: `high` is not zero.
        high -= usize::from(tail.is_some());
        Cut { head, whole: (low <= high).then_some((low, high)), tail }
    }

    /// Sets bits `first..=last` of chunk `c`, which are not all of it.
    fn set_in_chunk(&mut self, c: usize, first: u64, last: u64) {
        if self.is_full(c) {
            return;
        }
        let leaves = self.leaves(c);
        if let Some(chunk) = self.table.get_mut(c) {
            self.count += chunk::set_range(chunk, leaves, first, last);
        } else {
            let touched = (last / 64 - first / 64 + 1) as usize;
            let mut chunk = chunk::new_for(leaves, touched);
            self.count += chunk::set_range(&mut chunk, leaves, first, last);
            self.mark_mixed(c, chunk);
        }
        self.settle_if_full(c);
    }

    /// Clears bits `first..=last` of chunk `c`, which are not all of it.
    fn reset_in_chunk(&mut self, c: usize, first: u64, last: u64) {
        if !self.open(c) {
            return;
        }
        let leaves = self.leaves(c);
        if let Some(chunk) = self.table.get_mut(c) {
            self.count -= chunk::reset_range(chunk, leaves, first, last);
            self.settle_if_empty(c);
        }
    }

    /// Sets all bits of chunks `first..=last`.
    pub(super) fn fill_chunks(&mut self, first: usize, last: usize) {
        for (k, chunks) in word_masks(first, last) {
            let held = self.free_mixed(k, chunks);
            self.count += self.bits_of(k, chunks & !self.full[k]) - held;
            self.full[k] |= chunks;
        }
        self.any.insert_range(first, last);
    }

    /// Clears all bits of chunks `first..=last`.
    fn clear_chunks(&mut self, first: usize, last: usize) {
        for (k, chunks) in word_masks(first, last) {
            let held = self.free_mixed(k, chunks);
            self.count -= self.bits_of(k, self.full[k] & chunks) + held;
            self.full[k] &= !chunks;
        }
        self.any.remove_range(first, last);
    }

    /// How many bits those of chunks `64 * k ..` have that `chunks` names.
    fn bits_of(&self, k: usize, chunks: u64) -> u64 {
        let bits = CHUNK_BITS * u64::from(chunks.count_ones());
        // The last chunk may be short.
        let end = self.chunks() - 1;
        if end / 64 == k && chunks & 1 << (end % 64) != 0 {
            bits - CHUNK_BITS + self.bits_in(end)
        } else {
            bits
        }
    }

    /// Frees the memory of those of chunks `64 * k ..` that `chunks` names; returns how many bits were set in it. The levels
    /// still name them.
    fn free_mixed(&mut self, k: usize, chunks: u64) -> u64 {
        let mut mixed = self.any.word(k) & !self.full[k] & chunks;
        let mut ones = 0;
        while mixed != 0 {
            let c = k * 64 + mixed.trailing_zeros() as usize;
            mixed &= mixed - 1;
            if let State::Mixed(chunk) = self.state(c) {
                ones += chunk::ones(chunk, self.leaves(c));
            }
            self.table.free(c);
        }
        ones
    }
}
