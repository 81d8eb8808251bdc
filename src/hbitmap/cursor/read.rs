// SPDX-License-Identifier: GPL-2.0-or-later
//! Finding the next word or chunk that has a bit, and taking from it what the steps go through.

use super::Cursor;
use crate::hbitmap::chunks::{CHUNK_SHIFT, CHUNK_WORDS};
use crate::hbitmap::place::Place;
use crate::hbitmap::queue::{self, Queue};
use crate::hbitmap::{ones_of, sparse_word, HBitmap, State};

impl Cursor {
    /// The first item of the next bit, or -1, where the cursor holds no bit, or the bitmap has changed since it took them.
    #[inline(never)]
    pub(super) fn read(&mut self, hb: &HBitmap) -> i64 {
        if self.generation != hb.generation {
            self.look_again(hb);
            if self.pending != 0 {
                return self.take_pending(hb);
            }
        }
        self.read_on(hb)
    }

    /// Reads on behind the word at `base`.
    #[inline]
    fn read_on(&mut self, hb: &HBitmap) -> i64 {
        let mut c = self.chunk() as usize;
        let mut at = (self.base / 64) as usize % CHUNK_WORDS + 1;
        loop {
            // The bitmap may have been cut off before the chunk that the cursor is in.
            if c < hb.chunk_count() && at < hb.leaves(c) {
                if let Some(item) = self.read_chunk(hb, c, at) {
                    return item;
                }
            }
            match hb.levels.next(c + 1) {
                Some(next) => (c, at) = (next, 0),
                None => return -1,
            }
        }
    }

    /// Forgets all that was read but the bits of the word that the cursor is in, of which it keeps those that are still set.
    #[inline(never)]
    fn look_again(&mut self, hb: &HBitmap) {
        let here = self.here();
        let chunk = self.chunk();
        let queued = self.queue.places().map(|place| chunk << CHUNK_SHIFT | place.bit());
        let at_base = if self.base / 64 == here { self.pending | self.thin } else { 0 };
        let known = queued.filter(|bit| bit / 64 == here).fold(at_base, |bits, bit| bits | 1 << (bit % 64));
        *self = Cursor::in_word(hb, here, known & hb.word(here));
    }

    /// Reads on from leaf word `at` of chunk `c`, which has that word; returns the first item, if the rest of the chunk has one.
    #[inline]
    fn read_chunk(&mut self, hb: &HBitmap, c: usize, at: usize) -> Option<i64> {
        let base = c * CHUNK_WORDS;
        match hb.state(c) {
            State::Zero => None,
            State::Full => {
                let word = (base + at) as u64;
                let item = self.take_word(hb, word, hb.valid(word));
                // The last chunk may end within these 64 words.
                let inside = (word | 63) < hb.bits() / 64;
                self.group = if inside { u64::MAX << (word % 64) << 1 } else { 0 };
                Some(item)
            }
            State::Dense(leaf) => {
                let (word, bits) = leaf.next_set_word(at)?;
                self.group = leaf.summary[word / 64] & (u64::MAX << (word % 64) << 1);
                // The last word of the group speaks for those between.
                let last = leaf.words[word / 64 * 64 + 63 - self.group.leading_zeros().min(63) as usize];
                let word = (base + word) as u64;
                if !(is_thin(bits) && is_thin(last)) {
                    return Some(self.take_word(hb, word, bits));
                }
                self.base = word * 64;
                self.thin = bits;
                Some(self.take_thin(hb))
            }
            State::Coarse(groups) => {
                let bit = u64::from(groups.next_set((at * 64) as u16)?);
                let word = bit as usize / 64;
                self.group = groups.summary(word / 64) & (u64::MAX << (word % 64) << 1);
                Some(self.take_word(hb, (base + word) as u64, groups.word(word)))
            }
            State::Sparse(places) => {
                let first = if at == 0 { 0 } else { places.partition_point(|place| place.word() < at) };
                self.take_places(hb, c, &places[first..])
            }
        }
    }

    /// Takes the first of `places`, which are all that is left of chunk `c`, by whole words; returns the first item.
    #[inline]
    fn take_places(&mut self, hb: &HBitmap, c: usize, places: &[Place]) -> Option<i64> {
        if places.is_empty() {
            // The cursor stays where it is: bits may be set behind it yet.
            return None;
        }
        let mut taken = places;
        self.base = Self::end_of_chunk(c as u64);
        let behind = hb.levels.word(c / 64) & (u64::MAX << (c % 64) << 1);
        let other = ones_of(behind).find(|i| hb.chunks.queue(c / 64 * 64 + i).is_empty());
        self.chunks = behind & other.map_or(u64::MAX, |i| (1 << i) - 1);
        if places.len() > queue::ROOM {
            let cut = places[queue::ROOM].word();
            taken = &places[..places[..queue::ROOM].partition_point(|place| place.word() < cut)];
            self.chunks = 0;
            match taken.last() {
                Some(last) => self.base = (c * CHUNK_WORDS + last.word()) as u64 * 64,
                // All of them are in the first word.
                None => return Some(self.take_word(hb, (c * CHUNK_WORDS + cut) as u64, sparse_word(places, cut))),
            }
        }
        self.queue = Queue::of(taken);
        Some(self.take_queued(hb))
    }
}

/// Whether a word has at most three bits.
#[inline]
fn is_thin(word: u64) -> bool {
    let without_first = |word: u64| word & word.wrapping_sub(1);
    without_first(without_first(without_first(word))) == 0
}
