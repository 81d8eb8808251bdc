// SPDX-License-Identifier: GPL-2.0-or-later
//! The next dirty or clean item, dirty areas, and runs of one state.

use super::HBitmap;
use super::geometry::{CHUNK_BITS, CHUNK_SHIFT};
use crate::assertion::abi_assert;

impl HBitmap {
    /// The first dirty item of `start..start + count`, or `None`. The range may end past the end.
    #[inline]
    pub fn next_dirty(&self, start: u64, count: u64) -> Option<u64> {
        let end = self.end_of(start, count)?;
        let item = self.next_set_bit(start >> self.granularity)? << self.granularity;
        (item < end).then_some(item.max(start))
    }

    /// The first clean item of `start..start + count`, or `None`. The range may end past the end.
    #[inline]
    pub fn next_zero(&self, start: u64, count: u64) -> Option<u64> {
        match self.next_zero_in_chunk(start, count) {
            Some(item) => (item - start < count && item < self.size).then_some(item),
            None => self.next_zero_after(start, count),
        }
    }

    /// The first clean item of `start..start + count`, if it is in the same chunk, or one past that
    /// range or past the end.
    #[inline(always)]
    pub(crate) fn next_zero_in_chunk(&self, start: u64, count: u64) -> Option<u64> {
        if start >= self.size {
            return None;
        }
        let last = || start.saturating_add(count) >> self.granularity;
        let bit = self.chunks.next_clear(start >> self.granularity, last)?;
        Some((bit << self.granularity).max(start))
    }

    /// [`next_zero`](Self::next_zero), if [`next_zero_in_chunk`](Self::next_zero_in_chunk) found
    /// none.
    #[inline]
    pub(crate) fn next_zero_after(&self, start: u64, count: u64) -> Option<u64> {
        let end = self.end_of(start, count)?;
        let last = (end - 1) >> self.granularity;
        // All up to the end of the chunk is dirty.
        let c = (start >> self.granularity >> CHUNK_SHIFT) as usize;
        let bit = self.next_clear_from_chunk(c + 1, last)?;
        Some(bit << self.granularity)
    }

    /// The first dirty area of `start..end`: its first item and its length in items, which is at
    /// most `max` (not 0) and does not reach past `end`.
    #[inline]
    pub fn next_dirty_area(&self, start: u64, end: u64, max: u64) -> Option<(u64, u64)> {
        let end = end.min(self.size);
        if start >= end {
            return None;
        }
        let start = self.next_dirty(start, end - start)?;
        let end = start + (end - start).min(max);
        let zero = self.next_zero(start, end - start);
        Some((start, zero.unwrap_or(end) - start))
    }

    /// Whether the item `start` is dirty, and how many items of `start..start + count` from `start`
    /// on are in the same state.
    ///
    /// # Panics
    /// If `count` is 0 or the range reaches past [`size`](Self::size).
    pub fn status(&self, start: u64, count: u64) -> (bool, u64) {
        abi_assert!(count > 0, "hbitmap_status", "count > 0");
        let inside = start.checked_add(count).is_some_and(|end| end <= self.size);
        abi_assert!(inside, "hbitmap_status", "start + count <= hb->orig_size");
        match self.next_dirty(start, count) {
            None => (false, count),
            Some(dirty) if dirty > start => (false, dirty - start),
            Some(_) => (true, self.next_zero(start, count).map_or(count, |zero| zero - start)),
        }
    }

    /// The end of the range `start..start + count`, cut at the end of the bitmap; `None` if it is
    /// empty or starts past the end.
    #[inline(always)]
    fn end_of(&self, start: u64, count: u64) -> Option<u64> {
        if start >= self.size || count == 0 {
            return None;
        }
        Some(if count > self.size - start { self.size } else { start + count })
    }

    /// The first set bit from `from` on.
    #[inline]
    pub(super) fn next_set_bit(&self, from: u64) -> Option<u64> {
        if from >= self.bits() {
            return None;
        }
        let mut c = (from >> CHUNK_SHIFT) as usize;
        let mut bit = self.chunks.next_set(c, from % CHUNK_BITS);
        if bit.is_none() {
            c = self.levels.next(c + 1)?;
            bit = self.chunks.next_set(c, 0);
        }
        Some((c as u64) << CHUNK_SHIFT | bit?)
    }

    /// The first clear bit of `from..=last`, which the bitmap has.
    #[inline]
    pub(super) fn next_clear_bit(&self, from: u64, last: u64) -> Option<u64> {
        match self.chunks.next_clear(from, || last) {
            Some(bit) => (bit <= last).then_some(bit),
            None => self.next_clear_from_chunk((from >> CHUNK_SHIFT) as usize + 1, last),
        }
    }

    /// The first clear bit from chunk `c` on, up to bit `last`, which the bitmap has.
    #[inline(never)]
    fn next_clear_from_chunk(&self, c: usize, last: u64) -> Option<u64> {
        // A long run passes full chunks 64 at a time. In one that is not full is a clear bit.
        let c = self.levels.next_not_full(c, (last >> CHUNK_SHIFT) as usize)?;
        self.chunks.next_clear((c as u64) << CHUNK_SHIFT, || last).filter(|&bit| bit <= last)
    }
}
