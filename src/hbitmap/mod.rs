// SPDX-License-Identifier: GPL-2.0-or-later
//! The engine: [`HBitmap`], QEMU's hierarchical bitmap, in safe Rust. It knows nothing of nodes, locks or C.
//!
//! An `HBitmap` covers `size` *items* (bytes of a disk, for dirty bitmaps). At granularity `g` one *bit* stands for `2^g` items:
//! calls take items, round to bits as QEMU does, and return items again.
//!
//! # How it is laid out
//!
//! The bits are cut into chunks of 32768. A chunk is
//!
//! * *zero* or *full*: all its bits are clear, or all are set, and it has no memory;
//! * *sparse*: it has a few bits, and their places are stored (16 bytes; a list from nine bits on);
//! * *coarse*: its bits are alike by sixteen, and one of each is stored (256 bytes; a merge from a coarser bitmap makes such);
//! * *dense*: it has its 512 leaf words, which lie where they would in one flat array, and a summary of them.
//!
//! ```text
//!   levels   ...     bit i: word i of the level below is not zero      as many as the size needs
//!            any     bit c: chunk c is not zero
//!            full    bit c: chunk c is full                              no levels over it
//!   chunks   form c, entry c: what chunk c is, and the places of its bits if it is sparse, or where they are
//!            words, summary: one flat array each, of which dense chunks have memory
//! ```
//!
//! So clearing or filling a whole bitmap, or searching a long run, costs a few bits for each 32768; an empty petabyte costs
//! nothing, because the tables start as untouched zero pages; a guest's write to a busy disk is a form, a word and a compare.
//!
//! A chunk is zero or full if and only if its content is. Else it is dense, or has another form if its content allows: at most 64 bits
//! for a sparse one, groups of sixteen for a coarse one. (A dense one stays so until it is empty or full, so that a bitmap which keeps
//! changing does not go to and fro.) Levels, `full` and the
//! count are right after every call, also in the middle of a deserialisation. No bit at or past [`HBitmap::bits`] is ever set.
//!
//! # Where to look
//!
//! `edit` set and reset · `search` next dirty, next zero, areas · `cursor` iteration · `merge` and `rescale` union with the same
//! and with another granularity · `serialize` bytes in and out, sha256 · `content` what a chunk is given · `resize` truncate · `levels`
//! and `chunks` storage (`chunks/`: `sparse`, `coarse`, `dense`, `pages`) · `place` and `queue` single bits of a sparse chunk · `words`
//! kernels · `invariants` what must hold, checked by the tests after each step.
//!
//! Behaviour follows `util/hbitmap.c` of QEMU 10.0; `docs/differences.md` lists the exceptions.

mod chunks;
mod content;
mod cursor;
mod edit;
mod invariants;
mod levels;
mod merge;
mod place;
mod queue;
mod rescale;
mod resize;
mod search;
mod serialize;
mod words;

#[cfg(test)]
mod tests;

use crate::assertion::abi_assert;
use chunks::{Bit, Chunks, Groups, Leaf, CHUNK_BITS, CHUNK_SHIFT, CHUNK_WORDS, GROUP_WORDS, LIMIT};
use content::{places_of, Content};
pub use cursor::Cursor;
use levels::Levels;
use place::Place;
use std::cmp::Ordering;
use words::Summary;

/// The largest number of bits that a bitmap may have (QEMU's `1 << HBITMAP_LOG_MAX_SIZE` on 64-bit hosts).
pub const MAX_BITS: u64 = 1 << 41;

/// A bitmap over `size` items with one bit for each `2^granularity` of them. See the [module](self) for its layout.
///
/// Calls that QEMU's C asserts on panic here, in release builds too, with QEMU's function name and condition.
#[derive(Debug)]
#[repr(C)] // What a set, a reset or a look at a bit needs comes first: two cache lines, and instructions with short offsets.
pub struct HBitmap {
    granularity: u32,
    /// `2^granularity - 1`: those bits of an item's number that say where it is within its bit.
    within: u64,
    /// Bits that are set.
    count: u64,
    /// Grows with each change of content, so that a [`Cursor`] can tell whether what it has read still holds.
    generation: u64,
    /// The number of the last leaf word, if the bitmap ends within it: then it is never all ones.
    short_word: u64,
    chunks: Chunks,
    /// Items, as asked for in `new` or `truncate`.
    size: u64,
    /// Which chunks have all their bits set, which have any, and the levels over that.
    levels: Levels,
}

/// What a chunk holds, and so how it is stored.
#[derive(Clone, Copy)]
enum State<'a> {
    Zero,
    Full,
    Sparse(&'a [Place]),
    Coarse(Groups<'a>),
    Dense(Leaf<'a>),
}

/// The number of bits for `size` items, after the checks of QEMU's `function`.
fn bits_for(size: u64, granularity: u32, function: &str) -> u64 {
    abi_assert!(size <= i64::MAX as u64, function, "size <= INT64_MAX");
    abi_assert!(granularity < 64, function, "granularity >= 0 && granularity < 64");
    let bits = (size + ((1 << granularity) - 1)) >> granularity;
    abi_assert!(bits <= MAX_BITS, function, "size <= ((uint64_t)1 << HBITMAP_LOG_MAX_SIZE)");
    bits
}

impl HBitmap {
    /// A bitmap of `size` items (at most `i64::MAX`), none of them dirty, with one bit for each `2^granularity` items
    /// (`granularity` below 64). Takes no memory for content.
    ///
    /// # Panics
    /// If `size` or `granularity` is out of range, or that would be more than [`MAX_BITS`] bits.
    pub fn new(size: u64, granularity: u32) -> Self {
        let bits = bits_for(size, granularity, "hbitmap_alloc");
        let chunks = bits.div_ceil(CHUNK_BITS) as usize;
        HBitmap {
            size,
            count: 0,
            generation: 0,
            granularity,
            within: (1 << granularity) - 1,
            levels: Levels::new(chunks),
            chunks: Chunks::new(bits),
            short_word: if bits % 64 == 0 { u64::MAX } else { bits / 64 },
        }
    }

    /// Items that the bitmap covers.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Bits that the bitmap has: [`size`](Self::size) in units of `2^granularity` items, rounded up.
    #[inline(always)]
    pub fn bits(&self) -> u64 {
        self.chunks.bits()
    }

    /// log2 of the items for each bit.
    pub fn granularity(&self) -> u32 {
        self.granularity
    }

    /// Items in dirty bits. The last bit counts for `2^granularity` items even where `size` ends within it, as in QEMU.
    #[inline]
    pub fn count(&self) -> u64 {
        self.count << self.granularity
    }

    /// Whether no bit is set.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether the bit of `item` is set.
    ///
    /// # Panics
    /// If that bit is past the end.
    #[inline]
    pub fn get(&self, item: u64) -> bool {
        let bit = item >> self.granularity;
        match self.chunks.bit(bit) {
            Bit::Dense(set) => set,
            Bit::Elsewhere(true) => true,
            Bit::Elsewhere(false) | Bit::Past => self.get_without_memory(bit),
        }
    }

    /// The leaf word of `item`, without the bits below that of `item`; zero past the end.
    pub(crate) fn word_from(&self, item: u64) -> u64 {
        let bit = item >> self.granularity;
        self.word(bit / 64) & (u64::MAX << (bit % 64))
    }

    /// The number of chunks.
    fn chunk_count(&self) -> usize {
        self.levels.len()
    }

    /// How many leaf words chunk `c` has.
    #[inline]
    fn leaves(&self, c: usize) -> usize {
        if c + 1 < self.chunk_count() {
            CHUNK_WORDS
        } else {
            self.bits().div_ceil(64) as usize - c * CHUNK_WORDS
        }
    }

    /// How many bits chunk `c` has.
    #[inline]
    fn bits_in(&self, c: usize) -> u64 {
        CHUNK_BITS.min(self.bits() - ((c as u64) << CHUNK_SHIFT))
    }

    /// The valid bits of leaf word `word`, numbered through the whole bitmap; none past the end.
    #[inline]
    fn valid(&self, word: u64) -> u64 {
        match word.cmp(&(self.bits() / 64)) {
            Ordering::Less => u64::MAX,
            Ordering::Equal => !(u64::MAX << (self.bits() % 64)),
            Ordering::Greater => 0,
        }
    }

    #[inline]
    fn is_full(&self, c: usize) -> bool {
        self.levels.full()[c / 64] >> (c % 64) & 1 != 0
    }

    #[inline]
    fn state(&self, c: usize) -> State<'_> {
        if let Some(leaf) = self.chunks.leaf(c) {
            State::Dense(leaf)
        } else if self.is_full(c) {
            State::Full
        } else {
            match self.chunks.places(c) {
                [] => self.chunks.groups(c).map_or(State::Zero, State::Coarse),
                places => State::Sparse(places),
            }
        }
    }

    /// Leaf word `word`, numbered through the whole bitmap; zero past the end.
    #[inline]
    fn word(&self, word: u64) -> u64 {
        if word >= self.bits().div_ceil(64) {
            return 0;
        }
        match self.chunks.word(word) {
            Some(value) => value,
            None => self.word_without_memory(word),
        }
    }

    /// Whether `bit` is set, where its chunk is not dense. The check of `bit` is here: it refuses what has no chunk.
    #[inline(never)]
    fn get_without_memory(&self, bit: u64) -> bool {
        abi_assert!(bit < self.bits(), "hbitmap_get", "pos < hb->size");
        let c = (bit >> CHUNK_SHIFT) as usize;
        match self.chunks.groups(c) {
            Some(groups) => groups.has(bit % CHUNK_BITS),
            None => self.is_full(c) || self.chunks.has_place(c, Place::of(bit)),
        }
    }

    /// The same, where its chunk is not dense.
    #[inline(never)]
    fn word_without_memory(&self, word: u64) -> u64 {
        let c = word as usize / CHUNK_WORDS;
        let within = word as usize % CHUNK_WORDS;
        if self.is_full(c) {
            self.valid(word)
        } else if let Some(groups) = self.chunks.groups(c) {
            groups.word(within)
        } else {
            sparse_word(self.chunks.places(c), within)
        }
    }

    /// Makes chunk `c` full, whatever it was; its bits must be counted by the caller.
    fn mark_full(&mut self, c: usize) {
        self.chunks.free(c);
        self.levels.set_full(c, true);
        self.levels.insert(c);
    }

    /// Makes chunk `c` zero, whatever it was; its bits must be counted by the caller.
    fn mark_zero(&mut self, c: usize) {
        self.chunks.free(c);
        self.levels.set_full(c, false);
        self.levels.remove(c);
    }

    /// Makes chunk `c`, which has not so many bits, have them at `places`; they must be counted by the caller.
    fn mark_sparse(&mut self, c: usize, places: &[Place]) {
        self.chunks.make_sparse(c, places);
        self.levels.set_full(c, false);
        self.levels.insert(c);
    }

    /// Makes chunk `c`, which has full size, but neither all bits nor none, coarse, whatever it was; its bits must be counted by the
    /// caller. Bit `i` of `groups` stands for the bits of group `i`.
    fn mark_coarse(&mut self, c: usize, groups: [u64; GROUP_WORDS]) {
        self.chunks.make_coarse(c, groups);
        self.levels.set_full(c, false);
        self.levels.insert(c);
    }

    /// Makes chunk `c`, which is neither full nor dense, dense with the same bits.
    fn make_dense(&mut self, c: usize) {
        if let Some(Groups(&groups)) = self.chunks.groups(c) {
            let leaf = self.chunks.make_dense(c);
            Groups(&groups).copy_words(0, leaf.words);
            leaf.summary.iter_mut().enumerate().for_each(|(k, summary)| *summary = Groups(&groups).summary(k));
            return;
        }
        let mut places = [Place::NONE; LIMIT];
        let len = self.chunks.places_len(c);
        places[..len].copy_from_slice(self.chunks.places(c));
        let mut leaf = self.chunks.make_dense(c);
        leaf.clear();
        leaf.set_places(&places[..len]);
        self.levels.insert(c);
    }

    /// Stores chunk `c` as full if all its bits are set. Called when a word of it may just have been completed.
    #[inline(never)]
    fn settle_if_full(&mut self, c: usize) {
        let full = match self.state(c) {
            State::Dense(Leaf { words, .. }) => {
                let end = words.len() - 1;
                let tail = self.valid((c * CHUNK_WORDS + end) as u64);
                // The last word first: while a chunk is being filled from its start, that one load settles it.
                words[end] == tail && words::all_ones(&words[..end])
            }
            State::Sparse(places) => places.len() as u64 == self.bits_in(c),
            State::Coarse(Groups(groups)) => words::all_ones(groups),
            State::Zero | State::Full => false,
        };
        if full {
            self.mark_full(c);
        }
    }

    /// The same for a chunk that was sparse, or two that were are united in it: only one of few bits can be full.
    #[inline]
    fn settle_if_tiny(&mut self, c: usize) {
        if self.bits_in(c) <= 2 * LIMIT as u64 {
            self.settle_if_full(c);
        }
    }

    /// Stores chunk `c` as zero if none of its bits is set.
    fn settle_if_empty(&mut self, c: usize) {
        let empty = match self.state(c) {
            State::Dense(leaf) => leaf.summary.iter().all(|&word| word == 0),
            State::Zero => true,
            State::Full | State::Sparse(_) | State::Coarse(_) => false,
        };
        if empty {
            self.mark_zero(c);
        }
    }

    /// Replaces the content of chunk `c` by `leaf` (as many words as the chunk has, no bit past the end).
    fn store(&mut self, c: usize, leaf: &[u64]) {
        self.put(c, &words::summarize(leaf), leaf);
    }

    /// Replaces the content of chunk `c` by `content`, of which `summary` is the summary.
    fn put<W: Content + ?Sized>(&mut self, c: usize, summary: &Summary, content: &W) {
        self.count = self.count - self.ones_in(c) + summary.ones;
        self.generation += 1;
        if summary.ones == 0 {
            self.mark_zero(c);
        } else if summary.ones == self.bits_in(c) {
            self.mark_full(c);
        } else if summary.ones <= LIMIT as u64 {
            let mut places = [Place::NONE; LIMIT];
            let len = places_of(content, &summary.words, &mut places);
            self.mark_sparse(c, &places[..len]);
        } else {
            if !self.chunks.is_dense(c) {
                self.levels.set_full(c, false);
                self.chunks.make_dense(c);
                self.levels.insert(c);
            }
            if let Some(own) = self.chunks.leaf_mut(c) {
                content.copy_to(own.words);
                own.summary.copy_from_slice(&summary.words[..own.summary.len()]);
            }
        }
    }

    /// The number of bits set in chunk `c`.
    fn ones_in(&self, c: usize) -> u64 {
        match self.state(c) {
            State::Zero => 0,
            State::Full => self.bits_in(c),
            State::Sparse(places) => places.len() as u64,
            State::Coarse(groups) => groups.ones(),
            State::Dense(leaf) => words::count_ones(leaf.words),
        }
    }

    /// Copies leaf words `from..from + out.len()` of chunk `c`, which has that many.
    fn copy_words(&self, c: usize, from: usize, out: &mut [u64]) {
        match self.state(c) {
            State::Zero => out.fill(0),
            State::Full => {
                out.fill(u64::MAX);
                if c + 1 == self.chunk_count() && from + out.len() == self.leaves(c) {
                    if let Some(last) = out.last_mut() {
                        *last = self.valid((c * CHUNK_WORDS + self.leaves(c) - 1) as u64);
                    }
                }
            }
            State::Sparse(places) => {
                out.fill(0);
                for &place in places {
                    if let Some(word) = place.word().checked_sub(from).and_then(|i| out.get_mut(i)) {
                        *word |= place.in_word();
                    }
                }
            }
            State::Coarse(groups) => groups.copy_words(from, out),
            State::Dense(leaf) => out.copy_from_slice(&leaf.words[from..from + out.len()]),
        }
    }

    /// Continues the generations of `old`, whose place this bitmap takes, so that a cursor on `old` notices.
    pub(crate) fn succeed(&mut self, old: &HBitmap) {
        self.generation = self.generation.max(old.generation) + 1;
    }
}

impl Clone for HBitmap {
    /// A bitmap with the same size, granularity and content.
    fn clone(&self) -> Self {
        let mut copy = HBitmap::new(self.size, self.granularity);
        copy.merge_from(self);
        copy
    }
}

/// Leaf word `word` of a chunk with the bits at `places`.
fn sparse_word(places: &[Place], word: usize) -> u64 {
    let first = places.partition_point(|place| place.word() < word);
    let here = places[first..].iter().take_while(|place| place.word() == word);
    here.fold(0, |bits, place| bits | place.in_word())
}

/// The numbers of the bits that are set in a word, ascending.
#[inline]
fn ones_of(word: u64) -> impl Iterator<Item = usize> {
    let mut left = word;
    std::iter::from_fn(move || {
        if left == 0 {
            return None;
        }
        let bit = left.trailing_zeros() as usize;
        left &= left - 1;
        Some(bit)
    })
}
