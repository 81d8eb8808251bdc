// SPDX-License-Identifier: GPL-2.0-or-later
//! Set and reset: single bits by the shortest way, ranges by whole chunks where they can.

use super::HBitmap;
use super::geometry::{CHUNK_BITS, CHUNK_SHIFT, CHUNK_WORDS, mask};
use crate::assertion::abi_assert;

impl HBitmap {
    /// Makes the items `start..start + count` dirty, and with them the rest of the bits that they
    /// lie in. Returns whether any bit changed. `count` 0 does nothing.
    ///
    /// # Panics
    /// If an item lies in no bit of the bitmap.
    #[inline]
    pub fn set(&mut self, start: u64, count: u64) -> bool {
        let end = start.wrapping_add(count.wrapping_sub(1));
        let bit = start >> self.granularity;
        // A guest mostly writes within one bit, which is dirty. (`count` 0 ends before it starts.)
        if end >> self.granularity == bit && end >= start && bit < self.bits() {
            return !self.chunks.get(bit) && self.set_clear_bit(bit);
        }
        if count == 0 {
            return false;
        }
        let (first, last) = self.bits_of(start, count, "hbitmap_set");
        self.set_bits(first, last)
    }

    /// Sets bit `bit`, which is clear; `true`.
    #[inline(never)]
    fn set_clear_bit(&mut self, bit: u64) -> bool {
        let w = (bit / 64) as usize;
        if !self.chunks.set_stored(w, 1 << (bit % 64), 1) {
            return self.set_bits(bit, bit);
        }
        self.note_gain(w / CHUNK_WORDS);
        true
    }

    /// Makes the items `start..start + count` clean. Returns whether any bit changed. `count` 0
    /// does nothing.
    ///
    /// # Panics
    /// If `start` is not a multiple of `2^granularity`; if `count` is not either, unless the range
    /// ends at [`size`](Self::size); if an item lies in no bit of the bitmap.
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
        let (first, last) = self.bits_of(start, count, "hbitmap_reset");
        self.reset_bits(first, last)
    }

    /// Makes all items clean. Touches the headers of the chunks that are not, and no word.
    pub fn reset_all(&mut self) {
        if self.count != 0 {
            self.clear_chunks(0, self.chunks.len() - 1);
        }
    }

    /// The first and the last bit of `count` items, not 0, after the check of QEMU's `function`.
    #[inline]
    fn bits_of(&self, start: u64, count: u64, function: &str) -> (u64, u64) {
        let end = start.checked_add(count - 1);
        let last = end.unwrap_or(u64::MAX) >> self.granularity;
        abi_assert!(end.is_some() && last < self.bits(), function, "last < hb->size");
        (start >> self.granularity, last)
    }

    /// Sets the bits `first..=last`. Returns whether any was clear.
    #[inline(never)]
    pub(super) fn set_bits(&mut self, first: u64, last: u64) -> bool {
        let before = self.count;
        if first / 64 == last / 64 {
            self.set_in_word(first / 64, mask(first, last));
        } else {
            self.write_range(first, last, true);
        }
        self.count != before
    }

    /// Clears the bits `first..=last`. Returns whether any was set.
    #[inline]
    pub(super) fn reset_bits(&mut self, first: u64, last: u64) -> bool {
        let before = self.count;
        if first / 64 == last / 64 {
            let w = (first / 64) as usize;
            self.change(w / CHUNK_WORDS, |chunks| chunks.reset_in_word(w, mask(first, last)));
        } else {
            self.write_range(first, last, false);
        }
        self.count != before
    }

    /// Sets the bits `bits` (not none, all within the bitmap) of word `w`.
    #[inline]
    pub(super) fn set_in_word(&mut self, w: u64, bits: u64) {
        let w = w as usize;
        self.change(w / CHUNK_WORDS, |chunks| chunks.set_in_word(w, bits));
    }

    /// Sets or clears the bits `first..=last`: chunks that are covered whole at once, the others by
    /// their ranges.
    fn write_range(&mut self, first: u64, last: u64, set: bool) {
        let (mut low, high) = ((first >> CHUNK_SHIFT) as usize, (last >> CHUNK_SHIFT) as usize);
        let (mut from, to) = (first % CHUNK_BITS, last % CHUNK_BITS);
        if low < high && from != 0 {
            self.write_in_chunk(low, from, CHUNK_BITS - 1, set);
            (low, from) = (low + 1, 0);
        }
        // What is left begins with a chunk, or lies in one.
        if low < high {
            match set {
                true => self.fill_chunks(low, high - 1),
                false => self.clear_chunks(low, high - 1),
            }
        }
        self.write_in_chunk(high, from, to, set);
    }

    fn write_in_chunk(&mut self, c: usize, first: u64, last: u64, set: bool) {
        self.change(c, |chunks| match set {
            true => chunks.set_range(c, first, last),
            false => chunks.reset_range(c, first, last),
        });
    }

    /// Sets all bits of chunks `first..=last`, none of which is short.
    pub(super) fn fill_chunks(&mut self, first: usize, last: usize) {
        let old = self.count_in(first, last);
        self.chunks.fill_chunks(first, last);
        self.levels.put_range(first, last, true);
        self.count = self.count - old + (((last - first + 1) as u64) << CHUNK_SHIFT);
        self.generation += 1;
    }

    /// Clears all bits of chunks `first..=last`.
    pub(super) fn clear_chunks(&mut self, first: usize, last: usize) {
        self.count -= self.count_in(first, last);
        // Only headers that say something are written: an empty petabyte has 8 MiB of others.
        let mut next = self.levels.next(first);
        while let Some(c) = next.filter(|&c| c <= last) {
            let run = self.levels.masks(c / 64).0 >> (c % 64);
            let end = last.min(c + run.trailing_ones() as usize - 1);
            self.chunks.clear_chunks(c, end);
            next = self.levels.next(end + 1);
        }
        self.levels.put_range(first, last, false);
        self.generation += 1;
    }

    /// Bits that are set in chunks `first..=last`.
    fn count_in(&self, first: usize, last: usize) -> u64 {
        if first == 0 && last + 1 == self.chunks.len() {
            return self.count;
        }
        (first..=last).map(|c| self.chunks.count(c)).sum()
    }

    /// Lets `change` change chunk `c`, and keeps count, levels and generation right.
    #[inline(always)]
    pub(super) fn change(&mut self, c: usize, change: impl FnOnce(&mut super::Chunks)) {
        let old = self.chunks.count(c);
        change(&mut self.chunks);
        let new = self.chunks.count(c);
        self.generation += 1;
        if new != old {
            self.count = self.count - old + new;
            if (old == 0) != (new == 0) {
                self.levels.put(c, new != 0);
            }
            let size = self.chunks.size_of(c);
            if (old == size) != (new == size) {
                self.levels.put_full(c, new == size);
            }
        }
    }

    /// Notes that chunk `c`, which had a bit, has gained one.
    #[inline(always)]
    fn note_gain(&mut self, c: usize) {
        self.count += 1;
        self.generation += 1;
        if self.chunks.count(c) == self.chunks.size_of(c) {
            self.levels.put_full(c, true);
        }
    }
}
