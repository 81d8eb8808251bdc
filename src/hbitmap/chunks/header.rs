// SPDX-License-Identifier: GPL-2.0-or-later
//! The header of a chunk: how many bits are set, where they are stored, and up to six of their
//! indices.

use crate::hbitmap::geometry::{ARRAY_LEN, CHUNK_BITS};

/// A header as it lies in memory. All zeroes is an empty chunk, so that calloc makes them.
///
/// Field 0 is the count. Field 1 has a bit for each span that is stored as words, and [`FULL`] and
/// [`HAS_ARRAY`]. The rest is the array: bit indices in ascending order, each with [`PRESENT`],
/// then zeroes.
pub(super) type Raw = [u16; 8];

const COUNT: usize = 0;
const STORE: usize = 1;
const ARRAY: usize = 2;
/// All bits are set, and nothing is stored.
const FULL: u16 = 1 << 8;
/// There is an index in the array.
const HAS_ARRAY: u16 = 1 << 9;
/// Tells index 0 from no index.
const PRESENT: u16 = 1 << 15;

const _: () = assert!(CHUNK_BITS <= PRESENT as u64);

/// A copy of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header(pub(super) Raw);

impl Header {
    /// No bit is set.
    pub(super) const EMPTY: Header = Header([0; 8]);
    /// All [`CHUNK_BITS`] bits are set.
    pub(super) const FULL: Header = Header([CHUNK_BITS as u16, FULL, 0, 0, 0, 0, 0, 0]);

    /// Bits that are set.
    #[inline(always)]
    pub(super) fn count(self) -> u64 {
        self.0[COUNT].into()
    }

    #[inline(always)]
    pub(super) fn set_count(&mut self, count: u64) {
        self.0[COUNT] = count as u16;
    }

    /// Whether the store is full: all bits are set, and nothing is stored.
    #[inline(always)]
    pub(super) fn is_full(self) -> bool {
        self.0[STORE] & FULL != 0
    }

    /// Whether the store is words, or the chunk is empty.
    #[inline(always)]
    pub(super) fn is_words_or_empty(self) -> bool {
        self.0[STORE] & (FULL | HAS_ARRAY) == 0
    }

    /// The spans that are stored as words; each has a bit that is set. All others are empty, unless
    /// the store is full.
    #[inline(always)]
    pub(super) fn spans(self) -> u8 {
        self.0[STORE] as u8
    }

    #[inline(always)]
    pub(super) fn set_spans(&mut self, spans: u8) {
        self.0[STORE] = spans.into();
    }

    /// Whether the store is an array with an index in it.
    #[inline(always)]
    pub(super) fn has_array(self) -> bool {
        self.0[STORE] & HAS_ARRAY != 0
    }

    /// The indices of the array, ascending.
    #[inline]
    pub(super) fn array(self) -> impl Iterator<Item = u64> {
        (ARRAY..ARRAY + ARRAY_LEN)
            .map_while(move |i| (self.0[i] != 0).then_some(u64::from(self.0[i] & !PRESENT)))
    }

    /// Whether `bit` is in the array. Free of branches: lookups at random would mispredict them.
    ///
    /// All fields are compared at once. The count is like an index, of bit 0, if all bits are set.
    #[inline(always)]
    pub(super) fn array_contains(self, bit: u64) -> bool {
        let key = bit as u16 | PRESENT;
        self.0.iter().fold(false, |found, &field| found | (field == key))
    }

    /// How many indices of the array are below `bit`, which may be the end of the chunk. Free of
    /// branches, as `array_contains`.
    #[inline(always)]
    pub(super) fn array_rank(self, bit: u64) -> usize {
        let key = u32::from(PRESENT) + bit as u32;
        // Zero, no index, wraps around and is never below.
        let is_below = |slot: usize| u32::from(self.0[slot]).wrapping_sub(1) < key - 1;
        (ARRAY..ARRAY + ARRAY_LEN).map(|slot| usize::from(is_below(slot))).sum()
    }

    /// The first index of the array at or after `from`.
    #[inline(always)]
    pub(super) fn next_in_array(self, from: u64) -> Option<u64> {
        let rank = self.array_rank(from);
        (rank < ARRAY_LEN && self.0[ARRAY + rank] != 0)
            .then(|| u64::from(self.0[ARRAY + rank] & !PRESENT))
    }

    /// The bits of word `word` of the chunk, if the store is an array. Free of branches.
    #[inline]
    pub(super) fn array_word(self, word: usize) -> u64 {
        let first = word as u64 * 64;
        (ARRAY..ARRAY + ARRAY_LEN).fold(0, |bits, i| {
            let bit = u64::from(self.0[i] ^ PRESENT).wrapping_sub(first);
            bits | u64::from(bit < 64) << (bit % 64)
        })
    }

    /// The index in slot `slot` of the array; `None` past the last one.
    #[inline(always)]
    pub(super) fn array_slot(self, slot: usize) -> Option<u64> {
        (slot < ARRAY_LEN && self.0[ARRAY + slot] != 0)
            .then(|| u64::from(self.0[ARRAY + slot] & !PRESENT))
    }

    /// The end of the run of indices that begins with `from`: `from` itself if it is not there.
    #[inline(always)]
    pub(super) fn array_run_end(self, from: u64) -> u64 {
        let first = from as u16 | PRESENT;
        // The array ascends: each index that continues the run moves its end on by one.
        let end = (ARRAY..ARRAY + ARRAY_LEN)
            .fold(first, |end, i| end.wrapping_add(u16::from(self.0[i] == end)));
        from + u64::from(end.wrapping_sub(first))
    }

    /// Adds `bit` to the array. `None`, and no change, if there is no room; else whether it is new.
    /// The count grows with it.
    #[inline(always)]
    pub(super) fn array_insert(&mut self, bit: u64) -> Option<bool> {
        if self.array_contains(bit) {
            return Some(false);
        }
        if self.0[ARRAY + ARRAY_LEN - 1] != 0 {
            return None;
        }
        let (old, key) = (self.0, bit as u16 | PRESENT);
        for slot in ARRAY..ARRAY + ARRAY_LEN {
            let follows = slot == ARRAY || is_below(old[slot - 1], key);
            let moved = if follows { key } else { old[slot - 1] };
            self.0[slot] = if is_below(old[slot], key) { old[slot] } else { moved };
        }
        self.0[STORE] = HAS_ARRAY;
        self.0[COUNT] += 1;
        Some(true)
    }

    /// Takes `bit` out of the array, if it is there, and from the count.
    #[inline]
    pub(super) fn array_remove(&mut self, bit: u64) {
        if !self.array_contains(bit) {
            return;
        }
        let (old, key) = (self.0, bit as u16 | PRESENT);
        for slot in ARRAY..ARRAY + ARRAY_LEN {
            let next = if slot + 1 < ARRAY + ARRAY_LEN { old[slot + 1] } else { 0 };
            self.0[slot] = if is_below(old[slot], key) { old[slot] } else { next };
        }
        self.0[COUNT] -= 1;
        self.0[STORE] = if self.0[COUNT] == 0 { 0 } else { HAS_ARRAY };
    }
}

/// Whether a slot has an index, and it is less than that of slot `key`. Free of branches.
#[inline(always)]
fn is_below(slot: u16, key: u16) -> bool {
    // Zero, no index, wraps around.
    slot.wrapping_sub(1) < key - 1
}
