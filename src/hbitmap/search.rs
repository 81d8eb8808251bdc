// SPDX-License-Identifier: GPL-2.0-or-later
//! Finding the next dirty or clean item, dirty areas, and runs of one state.

use super::chunks::{CHUNK_BITS, CHUNK_SHIFT};
use super::place::Place;
use super::{HBitmap, State};
use crate::assertion::abi_assert;

impl HBitmap {
    /// The first dirty item of `start..start + count`, or `None`. The range may reach past the end.
    #[inline(always)]
    pub fn next_dirty(&self, start: u64, count: u64) -> Option<u64> {
        let end = self.end_of(start, count)?;
        let bit = match self.chunks.next_bit(start >> self.granularity) {
            Some(bit) => bit,
            None => return self.next_dirty_elsewhere(start, end),
        };
        self.item_within(bit, start, end)
    }

    /// The same for `start..end`, wherever the bit is. Out of the way, so that the usual one saves no register.
    #[inline(never)]
    fn next_dirty_elsewhere(&self, start: u64, end: u64) -> Option<u64> {
        self.item_within(self.next_set_bit(start >> self.granularity)?, start, end)
    }

    /// The first item of `start..end` that lies in bit `bit`, if any does; the bit does not end before `start`.
    #[inline(always)]
    fn item_within(&self, bit: u64, start: u64, end: u64) -> Option<u64> {
        let item = bit << self.granularity;
        (item < end).then_some(item.max(start))
    }

    /// The first clean item of `start..start + count`, or `None`. The range may reach past the end.
    pub fn next_zero(&self, start: u64, count: u64) -> Option<u64> {
        let end = self.end_of(start, count)?;
        let last = (end - 1) >> self.granularity;
        let bit = self.next_clear_bit(start >> self.granularity, last)?;
        Some((bit << self.granularity).max(start))
    }

    /// The first dirty area of `start..end`: its first item and its length in items, which is at most `max` (not 0) and does not
    /// reach past `end`.
    #[inline(always)]
    pub fn next_dirty_area(&self, start: u64, end: u64, max: u64) -> Option<(u64, u64)> {
        let end = end.min(self.size);
        if start >= end {
            return None;
        }
        let start = self.next_dirty(start, end - start)?;
        let end = start + (end - start).min(max);
        // The bit of `start` is set; there may be none behind it.
        let (bit, last) = (start >> self.granularity, (end - 1) >> self.granularity);
        let clear = if bit < last { self.next_clear_bit(bit + 1, last) } else { None };
        let end = clear.map_or(end, |bit| bit << self.granularity);
        Some((start, end - start))
    }

    /// Whether the item `start` is dirty, and how many items of `start..start + count` from `start` on are the same.
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

    /// Where the range `start..start + count` ends within the bitmap; `None` if it is empty or starts behind it.
    #[inline(always)]
    fn end_of(&self, start: u64, count: u64) -> Option<u64> {
        if start >= self.size || count == 0 {
            return None;
        }
        Some(if count > self.size - start { self.size } else { start + count })
    }

    /// The first set bit from `from` on.
    pub(super) fn next_set_bit(&self, from: u64) -> Option<u64> {
        // Also a full last chunk ends at the last bit.
        if from >= self.bits() {
            return None;
        }
        let c = (from >> CHUNK_SHIFT) as usize;
        if let Some(place) = self.first_set_in(c, (from % CHUNK_BITS) as u16) {
            return Some((c as u64) << CHUNK_SHIFT | u64::from(place));
        }
        let c = self.levels.next(c + 1)?;
        let place = self.first_set_in(c, 0)?;
        Some((c as u64) << CHUNK_SHIFT | u64::from(place))
    }

    /// The first set bit of chunk `c` from `from` on.
    #[inline(always)]
    fn first_set_in(&self, c: usize, from: u16) -> Option<u16> {
        match self.chunks.place_in_entry(c, Place::of(from.into())) {
            Some(place) => place.map(|place| place.bit() as u16),
            None => self.first_set_outside_entry(c, from),
        }
    }

    /// The same for a chunk that has no places in its entry.
    #[inline(never)]
    fn first_set_outside_entry(&self, c: usize, from: u16) -> Option<u16> {
        match self.state(c) {
            State::Zero => None,
            State::Full => Some(from),
            State::Sparse(places) => {
                let first = places.partition_point(|&place| place < Place::of(from.into()));
                Some(places.get(first)?.bit() as u16)
            }
            State::Coarse(groups) => groups.next_set(from),
            State::Dense(leaf) => leaf.next_set(from),
        }
    }

    /// The first clear bit of `from..=last`, which the bitmap has.
    #[inline(always)]
    pub(super) fn next_clear_bit(&self, from: u64, last: u64) -> Option<u64> {
        match self.chunks.clear_bit_near(from) {
            Some(bit) => (bit <= last).then_some(bit),
            None => self.next_clear_bit_elsewhere(from, last),
        }
    }

    /// The same, wherever the bit is.
    #[inline(never)]
    fn next_clear_bit_elsewhere(&self, from: u64, last: u64) -> Option<u64> {
        let mut c = (from >> CHUNK_SHIFT) as usize;
        let mut at = (from % CHUNK_BITS) as u16;
        let end = (last >> CHUNK_SHIFT) as usize;
        while c <= end {
            if let Some(place) = self.first_clear_in(c, at) {
                let bit = (c as u64) << CHUNK_SHIFT | u64::from(place);
                return (bit <= last).then_some(bit);
            }
            // A long run: full chunks 64 at a time.
            c = self.next_not_full(c + 1, end)?;
            at = 0;
        }
        None
    }

    /// The first clear bit of chunk `c` from `from` on. In the last chunk it may lie past the end.
    #[inline]
    fn first_clear_in(&self, c: usize, from: u16) -> Option<u16> {
        if let Some(bit) = self.chunks.no_place_in_entry(c, from.into()) {
            return Some(bit as u16);
        }
        match self.state(c) {
            State::Zero => Some(from),
            State::Full => None,
            State::Sparse(places) => {
                let from = u64::from(from);
                let first = places.partition_point(|&place| place < Place::of(from));
                let run =
                    (from..).zip(&places[first..]).take_while(|&(expected, place)| expected == place.bit()).count();
                let clear = from + run as u64;
                (clear < CHUNK_BITS).then_some(clear as u16)
            }
            State::Coarse(groups) => groups.next_clear(from),
            State::Dense(leaf) => {
                let at = usize::from(from / 64);
                let here = !leaf.words[at] & (u64::MAX << (from % 64));
                let (word, bits) = if here != 0 {
                    (at, here)
                } else {
                    let (word, value) = leaf.next_word_with_zero(at + 1)?;
                    (word, !value)
                };
                Some((word * 64) as u16 | bits.trailing_zeros() as u16)
            }
        }
    }

    /// The first chunk of `from..=last` that is not full.
    fn next_not_full(&self, from: usize, last: usize) -> Option<usize> {
        let mut k = from / 64;
        let mut open = !self.levels.full().get(k)? & (u64::MAX << (from % 64));
        while open == 0 {
            k += 1;
            if k > last / 64 {
                return None;
            }
            open = !self.levels.full()[k];
        }
        let c = k * 64 + open.trailing_zeros() as usize;
        (c <= last).then_some(c)
    }
}
