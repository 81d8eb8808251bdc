// SPDX-License-Identifier: GPL-2.0-or-later
//! How a bitmap is cut into chunks, what form each has, and the memory of those that have some.
//!
//! Every chunk has an entry of 16 bytes, which says whether the chunk is dense or sparse; one that is neither is zero or full
//! ([`super::HBitmap`] knows which). Entries start as zero pages that nobody has touched.
//!
//! A guest's write or a look at one bit is an entry, a word and a compare. The processor has dozens of such calls under way at a
//! time, waiting for memory, and how many is decided by how many instructions they are: hence the three lookups here that check an
//! index once, and not at each array.

mod dense;
mod pages;
mod sparse;

pub(super) use dense::{Leaf, LeafMut};
pub(super) use sparse::LIMIT;

use dense::Leaves;
use sparse::Lists;
use std::alloc::{alloc_zeroed, handle_alloc_error, Layout};

/// log2 of the bits in a chunk.
pub(super) const CHUNK_SHIFT: u32 = 15;
/// Bits in a chunk (the last chunk of a bitmap may have fewer).
pub(super) const CHUNK_BITS: u64 = 1 << CHUNK_SHIFT;
/// Leaf words in a chunk.
pub(super) const CHUNK_WORDS: usize = (CHUNK_BITS / 64) as usize;

/// The form of a chunk that is neither dense nor sparse.
const NO_MEMORY: u16 = 0;
/// The form of a dense chunk.
const DENSE: u16 = 1;
/// Added to the number of a sparse chunk's bits, so that its form is no place in a chunk.
const SPARSE: u16 = 1 << 15;

/// What is known of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(16))]
struct Entry {
    /// [`NO_MEMORY`], [`DENSE`], or [`SPARSE`] plus the number of bits.
    form: u16,
    /// Of a sparse chunk: see [`sparse`].
    lanes: [u16; 7],
}

const CLEAN: Entry = Entry { form: NO_MEMORY, lanes: [0; 7] };

/// `len` entries of chunks without memory, in pages that nobody has touched if they are many: `vec!` would write each of them.
fn clean_entries(len: usize) -> Vec<Entry> {
    let Ok(layout) = Layout::array::<Entry>(len) else { unreachable!("at most 2^26 entries of 16 bytes") };
    if layout.size() == 0 {
        return Vec::new();
    }
    // SAFETY: the layout is not of size 0.
    let entries: *mut Entry = unsafe { alloc_zeroed(layout) }.cast();
    if entries.is_null() {
        handle_alloc_error(layout);
    }
    // SAFETY: the global allocator made this memory for an array of `len` entries; its zero bytes are `CLEAN` ones.
    unsafe { Vec::from_raw_parts(entries, len, len) }
}

/// All chunks of a bitmap.
#[derive(Debug)]
#[repr(C)] // What single bits are found by comes first: see `HBitmap`.
pub(super) struct Chunks {
    /// The bitmap's bits. There are as many entries as they need chunks, and while one says `DENSE`, as many leaf words as they
    /// need words, and as many summary words as those need.
    bits: u64,
    entries: Vec<Entry>,
    leaves: Leaves,
    lists: Lists,
}

/// Where a single bit is.
pub(super) enum Bit<T> {
    /// At or past the bitmap's end.
    Past,
    /// In a chunk that is not dense.
    Elsewhere,
    /// In a leaf word.
    Dense(T),
}

impl Chunks {
    /// The chunks of a bitmap of `bits` bits (at most 2^41), none of which has memory.
    pub(super) fn new(bits: u64) -> Self {
        Chunks {
            bits,
            entries: clean_entries(bits.div_ceil(CHUNK_BITS) as usize),
            lists: Lists::new(),
            leaves: Leaves::new(bits.div_ceil(64) as usize),
        }
    }

    /// The bitmap's bits.
    #[inline(always)]
    pub(super) fn bits(&self) -> u64 {
        self.bits
    }

    /// Bit `bit`, if its chunk is dense.
    #[inline(always)]
    pub(super) fn bit(&self, bit: u64) -> Bit<bool> {
        if bit >= self.bits {
            return Bit::Past;
        }
        // SAFETY: `bit` is below `bits`, for which there are entries.
        let entry = unsafe { self.entries.get_unchecked((bit >> CHUNK_SHIFT) as usize) };
        if entry.form != DENSE {
            return Bit::Elsewhere;
        }
        // SAFETY: `bit` is below `bits`, and an entry says `DENSE`, so there are leaf words for all bits.
        let word = unsafe { self.leaves.word_unchecked((bit / 64) as usize) };
        Bit::Dense(word >> (bit % 64) & 1 != 0)
    }

    /// The leaf word of bit `bit` and the summary word that has the word's bit, if the chunk is dense. Keeping the summary right is
    /// the caller's.
    #[inline(always)]
    pub(super) fn word_of_bit(&mut self, bit: u64) -> Bit<(&mut u64, &mut u64)> {
        if bit >= self.bits {
            return Bit::Past;
        }
        // SAFETY: `bit` is below `bits`, for which there are entries.
        let entry = unsafe { self.entries.get_unchecked((bit >> CHUNK_SHIFT) as usize) };
        if entry.form != DENSE {
            return Bit::Elsewhere;
        }
        // SAFETY: `bit` is below `bits`, and an entry says `DENSE`, so there are leaf and summary words for all bits.
        Bit::Dense(unsafe { self.leaves.word_unchecked_mut((bit / 64) as usize) })
    }

    /// Whether `bit` is set in a sparse chunk that has its places in the entry; `false` also past the end. This is what a guest's write
    /// to a block that is dirty already asks of a sparse bitmap.
    #[inline(always)]
    pub(super) fn entry_has(&self, bit: u64) -> bool {
        let entry = self.entries.get((bit >> CHUNK_SHIFT) as usize);
        entry.is_some_and(|entry| entry.has((bit % CHUNK_BITS) as u16))
    }

    /// Leaf word `word` of the bitmap, if its chunk is dense; `None` also past the end.
    #[inline]
    pub(super) fn word(&self, word: u64) -> Option<u64> {
        let entry = self.entries.get(word as usize / CHUNK_WORDS)?;
        (entry.form == DENSE).then(|| self.leaves.word(word as usize)).flatten()
    }

    /// The same, to change, with the word of the summary that has its bit.
    #[inline]
    pub(super) fn word_mut(&mut self, word: u64) -> Option<(&mut u64, &mut u64)> {
        let entry = self.entries.get(word as usize / CHUNK_WORDS)?;
        if entry.form != DENSE {
            return None;
        }
        self.leaves.word_mut(word as usize)
    }

    /// Whether chunk `c` is dense.
    #[inline]
    pub(super) fn is_dense(&self, c: usize) -> bool {
        self.entries[c].form == DENSE
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
    pub(super) fn places(&self, c: usize) -> &[u16] {
        self.lists.places(&self.entries[c])
    }

    /// How many bits chunk `c` has; 0 if it is not sparse.
    #[inline]
    pub(super) fn places_len(&self, c: usize) -> usize {
        self.entries[c].len()
    }

    /// Whether chunk `c` is sparse and its bit at `place` is set.
    pub(super) fn has_place(&self, c: usize, place: u16) -> bool {
        self.lists.has(&self.entries[c], place)
    }

    /// Makes chunk `c`, which is not, dense, and frees what it had. Its words and summary have no meaning yet: the caller writes
    /// all of them.
    pub(super) fn make_dense(&mut self, c: usize) -> LeafMut<'_> {
        self.lists.clear(&mut self.entries[c]);
        // The memory first: an entry that says `DENSE` promises it.
        self.leaves.occupy(c, |c| self.entries[c].form == DENSE);
        self.entries[c].form = DENSE;
        self.leaves.leaf_mut(c)
    }

    /// Says that from now on (or not any more) chunks become dense one after the other, so that memory should be had by the region.
    pub(super) fn set_filling(&mut self, filling: bool) {
        self.leaves.set_filling(filling);
    }

    /// Makes chunk `c`, whatever it was, have its bits at `places`: ascending, at most [`LIMIT`].
    pub(super) fn make_sparse(&mut self, c: usize, places: &[u16]) {
        self.free_leaf(c);
        self.lists.assign(&mut self.entries[c], places);
    }

    /// Adds the bit at `place` to chunk `c`, which is not dense and has less than [`LIMIT`]. Returns whether it was clear.
    pub(super) fn insert_place(&mut self, c: usize, place: u16) -> bool {
        self.lists.insert(&mut self.entries[c], place)
    }

    /// Keeps those bits of chunk `c`, which is not dense, whose places `keep` approves of. Returns how many went.
    pub(super) fn retain_places(&mut self, c: usize, keep: impl Fn(u16) -> bool) -> usize {
        self.lists.retain(&mut self.entries[c], keep)
    }

    /// Frees the memory of chunk `c`, if it has any. An entry that says there is none is only read, so that its page stays untouched.
    pub(super) fn free(&mut self, c: usize) {
        self.free_leaf(c);
        self.lists.clear(&mut self.entries[c]);
    }

    fn free_leaf(&mut self, c: usize) {
        if self.is_dense(c) {
            self.entries[c].form = NO_MEMORY;
            self.leaves.vacate(c);
        }
    }

    /// The chunks of a bitmap of `bits` bits, with the memory of all those of `kept`; the other chunks must have none. A chunk that is
    /// short in one of the two bitmaps must not be kept.
    pub(super) fn resized(mut self, bits: u64, kept: impl Iterator<Item = usize>) -> Self {
        let mut resized = Chunks::new(bits);
        for c in kept {
            resized.entries[c] = self.entries[c];
        }
        // No entry of this bitmap is looked at again.
        self.entries = Vec::new();
        resized.lists = self.lists;
        resized.leaves = self.leaves.resized(resized.bits.div_ceil(64) as usize);
        resized
    }

    /// Panics unless memory is just what the entries say, and is well formed. `tail` is the mask of the valid bits of the last word.
    pub(super) fn check_invariants(&self, tail: u64) {
        assert_eq!(self.entries.len() as u64, self.bits.div_ceil(CHUNK_BITS), "the number of entries");
        self.lists.check_invariants(&self.entries);
        let dense = self.entries.iter().enumerate().filter(|(_, entry)| entry.form == DENSE).map(|(c, _)| c);
        self.leaves.check_invariants(dense, tail);
        for (c, entry) in self.entries.iter().enumerate().filter(|(_, entry)| entry.form & SPARSE == 0) {
            assert!([NO_MEMORY, DENSE].contains(&entry.form), "chunk {c} has an unknown form");
            assert_eq!(entry.lanes, [0; 7], "chunk {c} is not sparse, but has places");
        }
    }
}
