// SPDX-License-Identifier: GPL-2.0-or-later
//! Finding the next dirty or clean item, dirty areas, and runs of one state.

use super::chunk::{CHUNK_BITS, CHUNK_SHIFT, CHUNK_WORDS};
use super::{sparse_word, HBitmap, State};
use crate::assertion::abi_assert;

impl HBitmap {
    /// The first dirty item of `start..start + count`, or `None`. The range may reach past the end.
    pub fn next_dirty(&self, start: u64, count: u64) -> Option<u64> {
        let end = self.end_of(start, count)?;
        let bit = self.next_set_bit(start >> self.granularity)?;
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
    pub fn next_dirty_area(&self, start: u64, end: u64, max: u64) -> Option<(u64, u64)> {
        let end = end.min(self.size);
        if start >= end {
            return None;
        }
        let start = self.next_dirty(start, end - start)?;
        let end = start + (end - start).min(max);
        let end = self.next_zero(start, end - start).unwrap_or(end);
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
    fn end_of(&self, start: u64, count: u64) -> Option<u64> {
        if start >= self.size || count == 0 {
            return None;
        }
        Some(if count > self.size - start { self.size } else { start + count })
    }

    /// The first leaf word from `from` on that is not zero: its number and value.
    #[inline]
    pub(super) fn next_set_word(&self, from: u64) -> Option<(u64, u64)> {
        let c = (from >> (CHUNK_SHIFT - 6)) as usize;
        if c >= self.chunks() {
            return None;
        }
        match self.next_set_word_in(c, from as usize % CHUNK_WORDS) {
            Some(found) => Some(found),
            None => self.next_set_word_behind(c),
        }
    }

    /// The same, in the chunks behind chunk `c`.
    #[inline(never)]
    fn next_set_word_behind(&self, c: usize) -> Option<(u64, u64)> {
        let c = self.any.next(c + 1)?;
        self.next_set_word_in(c, 0)
    }

    /// The same, in chunk `c` from its leaf word `at` on, which the chunk may not have.
    #[inline]
    fn next_set_word_in(&self, c: usize, at: usize) -> Option<(u64, u64)> {
        match self.state(c) {
            State::Zero => None,
            State::Sparse(places) => {
                let next = places.partition_point(|&place| usize::from(place / 64) < at);
                let word = usize::from(places.get(next)? / 64);
                Some(((c * CHUNK_WORDS + word) as u64, sparse_word(&places[next..], word)))
            }
            State::Dense(leaf) => {
                let (word, value) = leaf.next_set_word(at)?;
                Some(((c * CHUNK_WORDS + word) as u64, value))
            }
            State::Full if at < self.leaves(c) => {
                let word = (c * CHUNK_WORDS + at) as u64;
                Some((word, self.valid(word)))
            }
            State::Full => None,
        }
    }

    /// Which of the words behind `word`, in the 64 that it is one of, have a bit, as far as that can be told at once.
    pub(super) fn set_words_behind(&self, word: u64) -> u64 {
        let group = match self.dense.summary(word) {
            Some(summary) => summary,
            // The last chunk may end within 64 words.
            None if self.is_full(word as usize / CHUNK_WORDS) && (word | 63) < self.bits / 64 => u64::MAX,
            None => 0,
        };
        group & (u64::MAX << (word % 64) << 1)
    }

    /// The first set bit from `from` on.
    pub(super) fn next_set_bit(&self, from: u64) -> Option<u64> {
        // Also a full last chunk ends at the last bit.
        if from >= self.bits {
            return None;
        }
        let c = (from >> CHUNK_SHIFT) as usize;
        if let Some(place) = self.first_set_in(c, (from % CHUNK_BITS) as u16) {
            return Some((c as u64) << CHUNK_SHIFT | u64::from(place));
        }
        let c = self.any.next(c + 1)?;
        let place = self.first_set_in(c, 0)?;
        Some((c as u64) << CHUNK_SHIFT | u64::from(place))
    }

    /// The first set bit of chunk `c` from `from` on.
    #[inline]
    fn first_set_in(&self, c: usize, from: u16) -> Option<u16> {
        match self.state(c) {
            State::Zero => None,
            State::Full => Some(from),
            State::Sparse(places) => places.get(places.partition_point(|&place| place < from)).copied(),
            State::Dense(leaf) => {
                // By the summary, which is mostly in the cache where the words are not.
                let at = usize::from(from / 64);
                let (mut word, mut bits) = leaf.next_set_word(at)?;
                if word == at {
                    bits &= u64::MAX << (from % 64);
                    if bits == 0 {
                        (word, bits) = leaf.next_set_word(at + 1)?;
                    }
                }
                Some((word * 64) as u16 | bits.trailing_zeros() as u16)
            }
        }
    }

    /// The first clear bit of `from..=last`.
    pub(super) fn next_clear_bit(&self, from: u64, last: u64) -> Option<u64> {
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
        match self.state(c) {
            State::Zero => Some(from),
            State::Full => None,
            State::Sparse(places) => {
                let first = places.partition_point(|&place| place < from);
                let run = (from..).zip(&places[first..]).take_while(|&(expected, &place)| expected == place).count();
                let place = u64::from(from) + run as u64;
                (place < CHUNK_BITS).then_some(place as u16)
            }
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
        let mut open = !self.full.get(k)? & (u64::MAX << (from % 64));
        while open == 0 {
            k += 1;
            if k > last / 64 {
                return None;
            }
            open = !self.full[k];
        }
        let c = k * 64 + open.trailing_zeros() as usize;
        (c <= last).then_some(c)
    }
}
