// SPDX-License-Identifier: GPL-2.0-or-later
//! Setting and clearing ranges of items.
//!
//! A guest write is mostly one bit, and mostly one that is set already: that is a form, one word, and a compare. Each of the other
//! cases ends in a call out of line, so that this one needs no register saved. Longer ranges take whole chunks 64 at a time from the
//! levels and touch leaf words only at the two ends.

use super::chunks::{Bit, CHUNK_BITS, CHUNK_SHIFT, CHUNK_WORDS, LIMIT};
use super::levels::word_masks;
use super::place::Place;
use super::words::mask;
use super::{ones_of, HBitmap};
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
    #[inline(always)]
    pub fn set(&mut self, start: u64, count: u64) -> bool {
        // Mostly a guest writes within one bit, from `start` to its end at most. An empty range is no such.
        if count.wrapping_sub(1) > !start & self.within {
            return self.set_range(start, count);
        }
        let first = start >> self.granularity;
        match self.chunks.word_of_bit(first) {
            Bit::Dense((word, summary)) => {
                let (old, new) = (*word, *word | 1 << (first % 64));
                if old == new {
                    return false;
                }
                *word = new;
                if old == 0 {
                    *summary |= 1 << (first / 64 % 64);
                }
                self.count += 1;
                self.generation += 1;
                if new == u64::MAX || first / 64 == self.short_word {
                    return self.settled_if_full(first / 64);
                }
                return true;
            }
            Bit::Elsewhere(true) => return false,
            Bit::Elsewhere(false) | Bit::Past => {}
        }
        self.set_without_memory(first / 64, 1 << (first % 64))
    }

    /// The same, for any range.
    #[inline(never)]
    fn set_range(&mut self, start: u64, count: u64) -> bool {
        if count == 0 {
            return false;
        }
        let end = start.checked_add(count - 1);
        let (first, last) = (start >> self.granularity, end.unwrap_or(u64::MAX) >> self.granularity);
        abi_assert!(end.is_some() && last < self.bits(), "hbitmap_set", "last < hb->size");
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
    #[inline(always)]
    pub fn reset(&mut self, start: u64, count: u64) -> bool {
        if count.wrapping_sub(1) != self.within || start & self.within != 0 {
            return self.reset_range(start, count);
        }
        let bit = start >> self.granularity;
        match self.chunks.word_of_bit(bit) {
            Bit::Dense((word, summary)) => {
                let (old, new) = (*word, *word & !(1 << (bit % 64)));
                if old == new {
                    return false;
                }
                *word = new;
                self.count -= 1;
                self.generation += 1;
                if new == 0 {
                    *summary &= !(1 << (bit / 64 % 64));
                    if *summary == 0 {
                        return self.settled_if_empty(bit / 64);
                    }
                }
                true
            }
            Bit::Elsewhere(_) => self.reset_in_word(bit / 64, 1 << (bit % 64)),
            Bit::Past => self.reset_range(start, count),
        }
    }

    /// The same, for any range.
    #[inline(never)]
    fn reset_range(&mut self, start: u64, count: u64) -> bool {
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
        abi_assert!(end.is_some() && last < self.bits(), "hbitmap_reset", "last < hb->size");
        if first / 64 == last / 64 {
            self.reset_in_word(first / 64, mask(first, last))
        } else {
            self.reset_bits(first, last)
        }
    }

    /// Makes all items clean, and gives the memory back, but for a bitmap of less than 2^24 bits, which keeps it for the next writes. Touches
    /// no memory but what says where the content is.
    pub fn reset_all(&mut self) {
        let mut from = 0;
        while let Some(first) = self.levels.next(from) {
            let k = first / 64;
            from = (k + 1) * 64;
            for c in ones_of(self.levels.word(k) & !self.levels.full()[k]).map(|i| k * 64 + i) {
                self.chunks.free(c);
            }
            self.levels.full_mut()[k] = 0;
            self.levels.remove_range(k * 64, (from - 1).min(self.chunk_count() - 1));
        }
        self.count = 0;
        self.generation += 1;
    }

    /// Sets the bits `bits` (not none, all valid) of leaf word `word`. Returns whether any was clear.
    pub(super) fn set_in_word(&mut self, word: u64, bits: u64) -> bool {
        let Some((own, summary)) = self.chunks.word_mut(word) else { return self.set_without_memory(word, bits) };
        let gained = bits & !*own;
        if gained == 0 {
            return false;
        }
        *own |= bits;
        *summary |= 1 << (word % 64);
        self.count += u64::from(gained.count_ones());
        self.generation += 1;
        if *own == u64::MAX || word == self.short_word {
            return self.settled_if_full(word);
        }
        true
    }

    /// Stores the chunk of leaf word `word`, which has just changed, as full if it is; `true`.
    #[inline(never)]
    fn settled_if_full(&mut self, word: u64) -> bool {
        self.settle_if_full(word as usize / CHUNK_WORDS);
        true
    }

    /// The same for a chunk that may be empty now.
    #[inline(never)]
    fn settled_if_empty(&mut self, word: u64) -> bool {
        self.settle_if_empty(word as usize / CHUNK_WORDS);
        true
    }

    /// The same as [`Self::set_in_word`], where the word's chunk is not dense. Refuses a word past the end.
    #[inline(never)]
    fn set_without_memory(&mut self, word: u64, bits: u64) -> bool {
        abi_assert!(bits & !self.valid(word) == 0, "hbitmap_set", "last < hb->size");
        let c = word as usize / CHUNK_WORDS;
        if self.is_full(c) {
            return false;
        }
        if let Some(groups) = self.chunks.groups(c) {
            if bits & !groups.word(word as usize % CHUNK_WORDS) == 0 {
                return false;
            }
            self.make_dense(c);
            return self.set_in_word(word, bits);
        }
        let len = self.chunks.places_len(c);
        if len + bits.count_ones() as usize > LIMIT {
            // It may be that some of the bits are set already; then the chunk is dense a little early.
            self.make_dense(c);
            return self.set_in_word(word, bits);
        }
        let mut gained = 0;
        for bit in ones_of(bits) {
            gained += u64::from(self.chunks.insert_place(c, Place::of(word * 64 + bit as u64)));
        }
        if len == 0 {
            self.levels.insert(c);
        }
        if gained != 0 {
            self.count += gained;
            self.generation += 1;
            self.settle_if_tiny(c);
        }
        gained != 0
    }

    /// Clears the bits `bits` (not none, all valid) of leaf word `word`.
    fn reset_in_word(&mut self, word: u64, bits: u64) -> bool {
        let c = word as usize / CHUNK_WORDS;
        if self.chunks.groups(c).is_some_and(|groups| bits & groups.word(word as usize % CHUNK_WORDS) == 0) {
            return false;
        }
        self.open(c);
        let lost = match self.chunks.word_mut(word) {
            Some((own, summary)) => {
                let lost = *own & bits;
                *own &= !bits;
                if *own == 0 {
                    *summary &= !(1 << (word % 64));
                }
                lost.count_ones() as usize
            }
            None if bits.is_power_of_two() => {
                usize::from(self.chunks.remove_place(c, Place::of(word * 64 + u64::from(bits.trailing_zeros()))))
            }
            None => {
                let first = word as usize % CHUNK_WORDS;
                self.chunks.retain_places(c, |place| place.word() != first || bits & place.in_word() == 0)
            }
        };
        if lost == 0 {
            return false;
        }
        self.count -= lost as u64;
        self.generation += 1;
        self.settle_if_empty(c);
        true
    }

    /// Gives chunk `c` words if it is full or coarse, so that single bits of it can be cleared.
    fn open(&mut self, c: usize) {
        if self.chunks.is_coarse(c) {
            self.make_dense(c);
        }
        if !self.is_full(c) {
            return;
        }
        let last = self.bits_in(c) as usize - 1;
        self.levels.set_full(c, false);
        let mut leaf = self.chunks.make_dense(c);
        leaf.clear();
        leaf.set_range(0, last);
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
        if let Some(groups) = self.chunks.groups(c) {
            if groups.next_clear(first as u16).is_none_or(|clear| u64::from(clear) > last) {
                return;
            }
            self.make_dense(c);
        }
        if !self.chunks.is_dense(c) {
            if self.chunks.places_len(c) as u64 + (last - first + 1) <= LIMIT as u64 {
                let gained = (first..=last).filter(|&place| self.chunks.insert_place(c, Place::of(place))).count();
                self.count += gained as u64;
                self.levels.insert(c);
                self.settle_if_full(c);
                return;
            }
            self.make_dense(c);
        }
        if let Some(mut leaf) = self.chunks.leaf_mut(c) {
            self.count += leaf.set_range(first as usize, last as usize);
            self.settle_if_full(c);
        }
    }

    /// Clears bits `first..=last` of chunk `c`, which are not all of it.
    fn reset_in_chunk(&mut self, c: usize, first: u64, last: u64) {
        self.open(c);
        let lost = match self.chunks.leaf_mut(c) {
            Some(mut leaf) => leaf.reset_range(first as usize, last as usize),
            None => self.chunks.retain_places(c, |place| !(first..=last).contains(&place.bit())) as u64,
        };
        if lost != 0 {
            self.count -= lost;
            self.settle_if_empty(c);
        }
    }

    /// Sets all bits of chunks `first..=last`.
    pub(super) fn fill_chunks(&mut self, first: usize, last: usize) {
        for (k, chunks) in word_masks(first, last) {
            let held = self.free_mixed(k, chunks);
            self.count += self.bits_of(k, chunks & !self.levels.full()[k]) - held;
            self.levels.full_mut()[k] |= chunks;
        }
        self.levels.insert_range(first, last);
    }

    /// Clears all bits of chunks `first..=last`.
    fn clear_chunks(&mut self, first: usize, last: usize) {
        for (k, chunks) in word_masks(first, last) {
            let held = self.free_mixed(k, chunks);
            self.count -= self.bits_of(k, self.levels.full()[k] & chunks) + held;
            self.levels.full_mut()[k] &= !chunks;
        }
        self.levels.remove_range(first, last);
    }

    /// How many bits those of chunks `64 * k ..` have that `chunks` names.
    fn bits_of(&self, k: usize, chunks: u64) -> u64 {
        let bits = CHUNK_BITS * u64::from(chunks.count_ones());
        // The last chunk may be short.
        let end = self.chunk_count() - 1;
        if end / 64 == k && chunks & 1 << (end % 64) != 0 {
            bits - CHUNK_BITS + self.bits_in(end)
        } else {
            bits
        }
    }

    /// Frees the memory of those of chunks `64 * k ..` that `chunks` names; returns how many bits were set in it. The levels
    /// still name them.
    fn free_mixed(&mut self, k: usize, chunks: u64) -> u64 {
        let mut ones = 0;
        for c in ones_of(self.levels.word(k) & !self.levels.full()[k] & chunks).map(|i| k * 64 + i) {
            ones += self.ones_in(c);
            self.chunks.free(c);
        }
        ones
    }
}
