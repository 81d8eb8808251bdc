// SPDX-License-Identifier: GPL-2.0-or-later
//! How a bitmap is cut into chunks, what form each has, and the memory of those that have some.
//!
//! Every chunk has a form, which says whether it is dense, coarse or sparse; one that is none of them is zero or full
//! ([`super::HBitmap`] knows which). Beside that it has an entry of 16 bytes, for a sparse chunk's bits, or for where those or a coarse
//! chunk's groups are. Both start as zero pages that nobody has touched.
//!
//! A guest's write or a look at one bit is a form, a word and a compare. The processor has dozens of such calls under way at a
//! time, waiting for memory, and how many is decided by how many instructions they are: hence the lookups here that check an index
//! once, and not at each array.

mod coarse;
mod dense;
mod form;
mod pages;
mod slab;
mod sparse;

pub(super) use coarse::{Groups, GROUP_SHIFT, GROUP_WORDS};
pub(super) use dense::{Leaf, LeafMut};
pub(super) use sparse::LIMIT;

use super::place::Place;
use super::queue::Queue;
use super::words::{mask_if, select};
use dense::Leaves;
use form::Form;
use sparse::{Entry, Lists};
use std::alloc::{alloc_zeroed, handle_alloc_error, Layout};
use std::ptr;

/// log2 of the bits in a chunk.
pub(super) const CHUNK_SHIFT: u32 = 15;
/// Bits in a chunk (the last chunk of a bitmap may have fewer).
pub(super) const CHUNK_BITS: u64 = 1 << CHUNK_SHIFT;
/// Leaf words in a chunk.
pub(super) const CHUNK_WORDS: usize = (CHUNK_BITS / 64) as usize;

/// `len` values of zero bytes, in pages that nobody has touched if they are many: `vec!` would write each of them.
///
/// # Safety
/// Zero bytes are a value of `T`.
unsafe fn zeroed<T: Copy>(len: usize) -> Box<[T]> {
    let Ok(layout) = Layout::array::<T>(len) else { unreachable!("at most 2^26 of 16 bytes") };
    if layout.size() == 0 {
        return Box::default();
    }
    // SAFETY: the layout is not of size 0.
    let values: *mut T = unsafe { alloc_zeroed(layout) }.cast();
    if values.is_null() {
        handle_alloc_error(layout);
    }
    // SAFETY: the global allocator made this memory for an array of `len` values; that zeroes are some is the caller's promise.
    unsafe { Box::from_raw(ptr::slice_from_raw_parts_mut(values, len)) }
}

/// All chunks of a bitmap.
#[derive(Debug)]
#[repr(C)] // What single bits are found by comes first: see `HBitmap`.
pub(super) struct Chunks {
    /// The bitmap's bits. There are as many forms and entries as they need chunks, and while one is dense, as many leaf words as they
    /// need words, and as many summary words as those need.
    bits: u64,
    /// The number of bits before the first chunk that is not dense. Below it nothing has to be asked but a word: on a busy disk, mostly
    /// all.
    dense_bits: u64,
    forms: Box<[Form]>,
    /// Of chunks that are neither sparse nor coarse: empty ones.
    entries: Box<[Entry]>,
    leaves: Leaves,
    lists: Lists,
}

/// Where a single bit is.
pub(super) enum Bit<T> {
    /// At or past the bitmap's end.
    Past,
    /// In a chunk that is not dense, and whether it is set there and the entry says so.
    Elsewhere(bool),
    /// In a leaf word.
    Dense(T),
}

/// Where this is called the way is not the straight one.
#[cold]
#[inline]
fn cold() {}

impl<T> Bit<T> {
    #[inline(always)]
    fn map<U>(self, dense: impl FnOnce(T) -> U) -> Bit<U> {
        match self {
            Bit::Past => Bit::Past,
            Bit::Elsewhere(set) => Bit::Elsewhere(set),
            Bit::Dense(what) => Bit::Dense(dense(what)),
        }
    }
}

impl Chunks {
    /// The chunks of a bitmap of `bits` bits (at most 2^41), none of which has memory.
    pub(super) fn new(bits: u64) -> Self {
        let len = bits.div_ceil(CHUNK_BITS) as usize;
        Chunks {
            bits,
            dense_bits: 0,
            // SAFETY: zero is a form.
            forms: unsafe { zeroed(len) },
            // SAFETY: lanes of zeroes are no places.
            entries: unsafe { zeroed(len) },
            lists: Lists::new(),
            leaves: Leaves::new(bits.div_ceil(64) as usize),
        }
    }

    /// The bitmap's bits.
    #[inline(always)]
    pub(super) fn bits(&self) -> u64 {
        self.bits
    }

    /// Where bit `bit` is. In a dense chunk there are a leaf word and a summary word for it.
    #[inline(always)]
    fn locate(&self, bit: u64) -> Bit<()> {
        if bit >= self.bits {
            return Bit::Past;
        }
        // SAFETY: `bit` is below `bits`, for which there are forms.
        let form = unsafe { self.forms.get_unchecked((bit >> CHUNK_SHIFT) as usize) };
        if !form.is_dense() {
            // SAFETY: `bit` is below `bits`.
            return Bit::Elsewhere(unsafe { self.entry_has_unchecked(bit) });
        }
        Bit::Dense(())
    }

    /// Leaf word `bit / 64`, if the chunk of bit `bit` is dense.
    #[inline(always)]
    fn dense_word(&self, bit: u64) -> Bit<u64> {
        let dense = if bit < self.dense_bits { Bit::Dense(()) } else { self.locate(bit) };
        // SAFETY: `bit` is in a dense chunk, so there are leaf words for all bits.
        dense.map(|()| unsafe { self.leaves.word_unchecked((bit / 64) as usize) })
    }

    /// Bit `bit`, if its chunk is dense.
    #[inline(always)]
    pub(super) fn bit(&self, bit: u64) -> Bit<bool> {
        self.dense_word(bit).map(|word| word >> (bit % 64) & 1 != 0)
    }

    /// The first set bit from `bit` on, if that is in a dense chunk and has a word with set bits behind its own, of the 64 that it is one
    /// of.
    ///
    /// Where bits are scattered, no branch could foresee whether the bit's own word has the answer. One that asks would wait for that
    /// word, mostly a cache miss, and be wrong: then no other call could be under way meanwhile. So the other word is loaded as well.
    #[inline(always)]
    pub(super) fn next_bit(&self, bit: u64) -> Option<u64> {
        let Bit::Dense(here) = self.dense_word(bit) else { return None };
        // SAFETY: `bit` is in a dense chunk, so there are summary words for all bits.
        let later = unsafe { self.leaves.later_unchecked((bit / 64) as usize) };
        if later == 0 {
            return None;
        }
        let here = here & (u64::MAX << (bit % 64));
        let next = bit / 4096 * 64 + u64::from(later.trailing_zeros());
        let is_here = mask_if(here != 0);
        // SAFETY: a summary has no bit of a word that the bitmap does not have, and there are leaf words for all bits.
        let bits = select(is_here, here, unsafe { self.leaves.word_unchecked(next as usize) });
        Some(select(is_here, bit / 64, next) * 64 + u64::from(bits.trailing_zeros()))
    }

    /// The leaf word of bit `bit` and the summary word that has the word's bit, if the chunk is dense. Keeping the summary right is
    /// the caller's.
    #[inline(always)]
    pub(super) fn word_of_bit(&mut self, bit: u64) -> Bit<(&mut u64, &mut u64)> {
        // As `locate`, written out: the compiler heeds `cold` only beside the very branch.
        if bit >= self.bits {
            return Bit::Past;
        }
        // SAFETY: `bit` is below `bits`, for which there are forms.
        let form = unsafe { self.forms.get_unchecked((bit >> CHUNK_SHIFT) as usize) };
        if !form.is_dense() {
            // SAFETY: `bit` is below `bits`.
            return Bit::Elsewhere(unsafe { self.entry_has_unchecked(bit) });
        }
        // Not that it is rare: but a dense word is mostly waited for, and then a jump costs nothing. An entry is at hand.
        cold();
        // SAFETY: `bit` is below `bits`, and a chunk is dense, so there are leaf and summary words for all bits.
        Bit::Dense(unsafe { self.leaves.word_unchecked_mut((bit / 64) as usize) })
    }

    /// Whether bit `bit` is set in a sparse chunk that has its places in the entry. This is what a guest's write to a block that is dirty
    /// already asks of a sparse bitmap.
    ///
    /// # Safety
    /// The bitmap has a bit `bit`.
    #[inline(always)]
    unsafe fn entry_has_unchecked(&self, bit: u64) -> bool {
        // SAFETY: there are entries for all bits, and `bit` is one by the caller's promise.
        unsafe { self.entries.get_unchecked((bit >> CHUNK_SHIFT) as usize) }.has(Place::of(bit))
    }

    /// If chunk `c` is a sparse one that has its places in the entry, the first of them from `from` on.
    #[inline(always)]
    pub(super) fn place_in_entry(&self, c: usize, from: Place) -> Option<Option<Place>> {
        let entry = &self.entries[c];
        entry.has_places().then(|| entry.place_from(from))
    }

    /// If chunk `c` is such a one, the first bit from `from` on that is clear. In the last chunk it may lie past the end.
    #[inline(always)]
    pub(super) fn no_place_in_entry(&self, c: usize, from: u64) -> Option<u64> {
        let entry = &self.entries[c];
        if !entry.has_places() {
            return None;
        }
        // At most nine steps, mostly one or two.
        (from..CHUNK_BITS).find(|&bit| !entry.has(Place::of(bit)))
    }

    /// The first clear bit from `from` on, if that is in the same word of a dense chunk, or is `from` in a sparse chunk that has its places in
    /// its entry. In the last chunk it may lie past the end. This is where most areas end.
    #[inline(always)]
    pub(super) fn clear_bit_near(&self, from: u64) -> Option<u64> {
        match self.dense_word(from) {
            Bit::Dense(word) => {
                let clear = !word & (u64::MAX << (from % 64));
                (clear != 0).then(|| from / 64 * 64 + u64::from(clear.trailing_zeros()))
            }
            Bit::Elsewhere(false) => self.entries[(from >> CHUNK_SHIFT) as usize].has_places().then_some(from),
            Bit::Elsewhere(true) | Bit::Past => None,
        }
    }

    /// Leaf word `word` of the bitmap, if its chunk is dense; `None` also past the end.
    #[inline]
    pub(super) fn word(&self, word: u64) -> Option<u64> {
        let form = self.forms.get(word as usize / CHUNK_WORDS)?;
        form.is_dense().then(|| self.leaves.word(word as usize)).flatten()
    }

    /// Leaf word `word` of the bitmap, if there is memory for it; else 0. It says something only where the chunk is dense.
    #[inline(always)]
    pub(super) fn word_in_memory(&self, word: u64) -> u64 {
        self.leaves.word(word as usize).unwrap_or(0)
    }

    /// The places of the bits of chunk `c` if it has all of them in its entry; else an empty queue, also where there is no such chunk.
    #[inline(always)]
    pub(super) fn queue(&self, c: usize) -> Queue {
        self.entries.get(c).map_or(Queue::EMPTY, Entry::queue)
    }

    /// The same as [`Self::word`], to change, with the word of the summary that has its bit.
    #[inline]
    pub(super) fn word_mut(&mut self, word: u64) -> Option<(&mut u64, &mut u64)> {
        let form = self.forms.get(word as usize / CHUNK_WORDS)?;
        if !form.is_dense() {
            return None;
        }
        self.leaves.word_mut(word as usize)
    }

    /// Whether chunk `c` is dense.
    #[inline]
    pub(super) fn is_dense(&self, c: usize) -> bool {
        self.forms[c].is_dense()
    }

    /// Chunk `c`, if it is dense.
    #[inline]
    pub(super) fn leaf(&self, c: usize) -> Option<Leaf<'_>> {
        self.is_dense(c).then(|| self.leaves.leaf(c))
    }

    /// The same, to change. Keeping the summary right is the caller's.
    #[inline]
    pub(super) fn leaf_mut(&mut self, c: usize) -> Option<LeafMut<'_>> {
        if self.is_dense(c) {
            Some(self.leaves.leaf_mut(c))
        } else {
            None
        }
    }

    /// The places of the bits of chunk `c`, ascending; none if it is not sparse.
    #[inline]
    pub(super) fn places(&self, c: usize) -> &[Place] {
        self.lists.places(self.forms[c], &self.entries[c])
    }

    /// How many bits chunk `c` has; 0 if it is not sparse.
    #[inline]
    pub(super) fn places_len(&self, c: usize) -> usize {
        self.forms[c].len()
    }

    /// Whether chunk `c` is coarse.
    #[inline]
    pub(super) fn is_coarse(&self, c: usize) -> bool {
        self.forms[c].is_coarse()
    }

    /// Chunk `c`, if it is coarse.
    #[inline]
    pub(super) fn groups(&self, c: usize) -> Option<Groups<'_>> {
        self.lists.groups(self.forms[c], &self.entries[c])
    }

    /// The same, to change: one bit for each of its groups.
    #[inline]
    pub(super) fn groups_mut(&mut self, c: usize) -> Option<&mut [u64; GROUP_WORDS]> {
        self.lists.groups_mut(self.forms[c], &self.entries[c])
    }

    /// Makes chunk `c`, which has full size, coarse, whatever it was, with one bit for each of its groups.
    pub(super) fn make_coarse(&mut self, c: usize, groups: [u64; GROUP_WORDS]) {
        self.free_leaf(c);
        self.lists.assign_groups(&mut self.forms[c], &mut self.entries[c], groups);
    }

    /// Whether chunk `c` is sparse and its bit at `place` is set.
    pub(super) fn has_place(&self, c: usize, place: Place) -> bool {
        self.lists.has(self.forms[c], &self.entries[c], place)
    }

    /// Makes chunk `c`, which is not, dense, and frees what it had. Its words and summary have no meaning yet: the caller writes
    /// all of them.
    pub(super) fn make_dense(&mut self, c: usize) -> LeafMut<'_> {
        self.lists.clear(&mut self.forms[c], &mut self.entries[c]);
        // The memory first: a form that says dense promises it.
        self.leaves.occupy(c, |c| self.forms[c].is_dense());
        self.forms[c] = Form::DENSE;
        if c as u64 == self.dense_bits >> CHUNK_SHIFT {
            self.extend_dense_bits();
        }
        self.leaves.leaf_mut(c)
    }

    /// Says that from now on (or not any more) chunks become dense one after the other, so that memory should be had by the region.
    pub(super) fn set_filling(&mut self, filling: bool) {
        self.leaves.set_filling(filling);
    }

    /// Says that what is dense in `other` is likely to become so here. Regions where that is much are had as large pages from the start,
    /// instead of by small pages that are moved into a large one when there are many.
    pub(super) fn expect(&mut self, other: &Chunks) {
        self.leaves.expect(&other.leaves);
    }

    /// Makes chunk `c`, whatever it was, have its bits at `places`: ascending, at most [`LIMIT`].
    pub(super) fn make_sparse(&mut self, c: usize, places: &[Place]) {
        self.free_leaf(c);
        self.lists.assign(&mut self.forms[c], &mut self.entries[c], places);
    }

    /// Adds the bit at `place` to chunk `c`, which is not dense and has less than [`LIMIT`]. Returns whether it was clear.
    pub(super) fn insert_place(&mut self, c: usize, place: Place) -> bool {
        self.lists.insert(&mut self.forms[c], &mut self.entries[c], place)
    }

    /// Takes the bit at `place` from chunk `c`, which is zero or sparse. Returns whether it was set.
    pub(super) fn remove_place(&mut self, c: usize, place: Place) -> bool {
        self.lists.remove(&mut self.forms[c], &mut self.entries[c], place)
    }

    /// Adds the bits of chunk `c` of `other`, if they are few, to chunk `c`, which is not full, if it has few, and has all or none of those
    /// already. Returns how many were clear; `None` if that is not so: then nothing changes.
    #[inline]
    pub(super) fn unite_entries(&mut self, c: usize, other: &Chunks) -> Option<usize> {
        let form = &mut self.forms[c];
        if form.is_dense() || form.is_coarse() {
            return None;
        }
        self.lists.unite(form, &mut self.entries[c], other.forms[c], &other.entries[c])
    }

    /// Keeps those bits of chunk `c`, which is not dense, whose places `keep` approves of. Returns how many went.
    pub(super) fn retain_places(&mut self, c: usize, keep: impl Fn(Place) -> bool) -> usize {
        self.lists.retain(&mut self.forms[c], &mut self.entries[c], keep)
    }

    /// Frees the memory of chunk `c`, if it has any. A form that says there is none is only read, so that its page stays untouched.
    pub(super) fn free(&mut self, c: usize) {
        self.free_leaf(c);
        self.lists.clear(&mut self.forms[c], &mut self.entries[c]);
    }

    /// Makes `dense_bits` right, if the chunks before it are dense.
    fn extend_dense_bits(&mut self) {
        let from = (self.dense_bits >> CHUNK_SHIFT) as usize;
        let more = self.forms[from..].iter().take_while(|form| form.is_dense()).count();
        self.dense_bits = (((from + more) as u64) << CHUNK_SHIFT).min(self.bits);
    }

    fn free_leaf(&mut self, c: usize) {
        if self.is_dense(c) {
            self.dense_bits = self.dense_bits.min((c as u64) << CHUNK_SHIFT);
            self.forms[c] = Form::NO_MEMORY;
            self.leaves.vacate(c);
        }
    }

    /// The chunks of a bitmap of `bits` bits, with the memory of all those of `kept`; the other chunks must have none. A chunk that is
    /// short in one of the two bitmaps must not be kept.
    pub(super) fn resized(mut self, bits: u64, kept: impl Iterator<Item = usize>) -> Self {
        let mut resized = Chunks::new(bits);
        for c in kept {
            resized.forms[c] = self.forms[c];
            resized.entries[c] = self.entries[c];
        }
        // No chunk of this bitmap is looked at again.
        (self.forms, self.entries) = (Box::default(), Box::default());
        resized.lists = self.lists;
        resized.leaves = self.leaves.resized(resized.bits.div_ceil(64) as usize);
        resized.extend_dense_bits();
        resized
    }

    /// Panics unless memory is just what the entries say, and is well formed. `tail` is the mask of the valid bits of the last word.
    pub(super) fn check_invariants(&self, tail: u64) {
        let chunks = self.bits.div_ceil(CHUNK_BITS) as usize;
        assert_eq!((self.forms.len(), self.entries.len()), (chunks, chunks), "the number of forms and entries");
        let dense = self.forms.iter().take_while(|form| form.is_dense()).count() as u64;
        assert_eq!(
            self.dense_bits,
            (dense << CHUNK_SHIFT).min(self.bits),
            "the number of bits in dense chunks at the start"
        );
        self.lists.check_invariants(&self.forms, &self.entries);
        self.leaves.check_invariants((0..chunks).filter(|&c| self.forms[c].is_dense()), tail);
    }
}
