// SPDX-License-Identifier: GPL-2.0-or-later
//! The engine: [`HBitmap`], QEMU's hierarchical bitmap, in safe Rust. It knows nothing of nodes, locks or C.
//!
//! An `HBitmap` covers `size` *items* (bytes of a disk, for dirty bitmaps). At granularity `g` one *bit* stands for `2^g` items:
//! calls take items, round to bits as QEMU does, and return items again.
//!
//! # How it is laid out
//!
//! ```text
//!   levels   ...  bit i: word i of the level below is not zero     as many as the size needs
//!            any  bit c: chunk c has a set bit
//!            full bit c: all bits of chunk c are set                 no levels over it
//!   table    entry c: the words of chunk c, where it has both zeroes and ones
//!   chunk    32768 bits: dense, or only its non-zero words           see `chunk`
//! ```
//!
//! A chunk whose bits are all zero or all one has no memory, and the form of a chunk follows from its content (`any` clear: all
//! zero; `full` set: all one; else a table entry). So clearing or filling a whole bitmap, or searching a long run, costs a few
//! bits for each 32768; and an empty petabyte costs nothing, because the table starts as untouched zero pages.
//!
//! Levels, `full` and the count are right after every call, also in the middle of a deserialisation. No bit at or past
//! [`HBitmap::bits`] is ever set.
//!
//! # Where to look
//!
//! `edit` set and reset · `search` next dirty, next zero, areas · `cursor` iteration · `merge` and `rescale` union with the same
//! and with another granularity · `serialize` bytes in and out, sha256 · `resize` truncate · `chunk`, `levels`, `words`
//! storage · `invariants` what must hold, checked by the tests after each step.
//!
//! Behaviour follows `util/hbitmap.c` of QEMU 10.0; `docs/differences.md` lists the exceptions.

mod chunk;
mod cursor;
mod edit;
mod invariants;
mod levels;
mod merge;
mod rescale;
mod resize;
mod search;
mod serialize;
mod table;
mod words;

#[cfg(test)]
mod tests;

use crate::assertion::abi_assert;
use chunk::{Chunk, CHUNK_BITS, CHUNK_SHIFT, CHUNK_WORDS};
pub use cursor::Cursor;
use levels::Levels;
use std::cmp::Ordering;
use table::Table;

/// The largest number of bits that a bitmap may have (QEMU's `1 << HBITMAP_LOG_MAX_SIZE` on 64-bit hosts).
pub const MAX_BITS: u64 = 1 << 41;

/// A bitmap over `size` items with one bit for each `2^granularity` of them. See the [module](self) for its layout.
///
/// Calls that QEMU's C asserts on panic here, in release builds too, with QEMU's function name and condition.
#[derive(Debug)]
pub struct HBitmap {
    /// Items, as asked for in `new` or `truncate`.
    size: u64,
    /// Bits: `size` rounded up to whole bits.
    bits: u64,
    /// Bits that are set.
    count: u64,
    /// Grows with each change of content, so that a [`Cursor`] can tell whether what it has read still holds.
    generation: u64,
    granularity: u32,
    /// Which chunks have a set bit, and the levels over that.
    any: Levels,
    /// Which chunks have all their bits set: bit `c % 64` of word `c / 64`.
    full: Vec<u64>,
    table: Table,
}

/// What a chunk holds, and so how it is stored.
#[derive(Clone, Copy)]
enum State<'a> {
    Zero,
    Full,
    Mixed(&'a [u64]),
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
            bits,
            count: 0,
            generation: 0,
            granularity,
            any: Levels::new(chunks),
            full: vec![0; chunks.div_ceil(64)],
            table: Table::new(chunks),
        }
    }

    /// Items that the bitmap covers.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Bits that the bitmap has: [`size`](Self::size) in units of `2^granularity` items, rounded up.
    pub fn bits(&self) -> u64 {
        self.bits
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
        abi_assert!(bit < self.bits, "hbitmap_get", "pos < hb->size");
        self.word(bit / 64) >> (bit % 64) & 1 != 0
    }

    /// The number of chunks.
    fn chunks(&self) -> usize {
        self.any.len()
    }

    /// How many leaf words chunk `c` has.
    #[inline]
    fn leaves(&self, c: usize) -> usize {
        if c + 1 < self.chunks() {
            CHUNK_WORDS
        } else {
            self.bits.div_ceil(64) as usize - c * CHUNK_WORDS
        }
    }

    /// How many bits chunk `c` has.
    #[inline]
    fn bits_in(&self, c: usize) -> u64 {
        CHUNK_BITS.min(self.bits - ((c as u64) << CHUNK_SHIFT))
    }

    /// The valid bits of leaf word `word`, numbered through the whole bitmap; none past the end.
    #[inline]
    fn valid(&self, word: u64) -> u64 {
        match word.cmp(&(self.bits / 64)) {
            Ordering::Less => u64::MAX,
            Ordering::Equal => !(u64::MAX << (self.bits % 64)),
            Ordering::Greater => 0,
        }
    }

    #[inline]
    fn is_full(&self, c: usize) -> bool {
        self.full[c / 64] >> (c % 64) & 1 != 0
    }

    #[inline]
    fn state(&self, c: usize) -> State<'_> {
        match self.table.get(c) {
            Some(chunk) => State::Mixed(chunk),
            None if self.is_full(c) => State::Full,
            None => State::Zero,
        }
    }

    /// Leaf word `word`, numbered through the whole bitmap; zero past the end.
    #[inline]
    fn word(&self, word: u64) -> u64 {
        let c = (word >> (CHUNK_SHIFT - 6)) as usize;
        if c >= self.chunks() {
            return 0;
        }
        match self.state(c) {
            State::Zero => 0,
            State::Full => self.valid(word),
            State::Mixed(chunk) => {
                let at = word as usize % CHUNK_WORDS;
                match <&[u64; chunk::DENSE_LEN]>::try_from(chunk) {
                    Ok(dense) => dense[chunk::HEADER + at],
                    Err(_) if at < self.leaves(c) => chunk::word(chunk, self.leaves(c), at),
                    Err(_) => 0,
                }
            }
        }
    }

    /// Makes chunk `c` full, whatever it was; its bits must be counted by the caller.
    fn mark_full(&mut self, c: usize) {
        self.table.free(c);
        self.full[c / 64] |= 1 << (c % 64);
        self.any.insert(c);
    }

    /// Makes chunk `c` zero, whatever it was; its bits must be counted by the caller.
    fn mark_zero(&mut self, c: usize) {
        self.table.free(c);
        self.full[c / 64] &= !(1 << (c % 64));
        self.any.remove(c);
    }

    /// Gives chunk `c`, which has no memory, the words in `chunk`.
    fn mark_mixed(&mut self, c: usize, chunk: Chunk) {
        self.table.put(c, chunk);
        self.full[c / 64] &= !(1 << (c % 64));
        self.any.insert(c);
    }

    /// Stores chunk `c` as full if all its bits are set. Called when a word of it may just have been completed.
    #[inline(never)]
    fn settle_if_full(&mut self, c: usize) {
        let leaves = self.leaves(c);
        let tail = self.valid((c * CHUNK_WORDS + leaves - 1) as u64);
        let Some(chunk) = self.table.get(c) else { return };
        if !chunk::is_dense(chunk, leaves) {
            return;
        }
        let words = &chunk[chunk::HEADER..];
        // The last word first: while a chunk is being filled from its start, that one load settles it.
        if words[leaves - 1] == tail && words::all_ones(&words[..leaves - 1]) {
            self.mark_full(c);
        }
    }

    /// Stores chunk `c` as zero if none of its bits is set.
    fn settle_if_empty(&mut self, c: usize) {
        if self.table.get(c).is_some_and(chunk::is_empty) {
            self.mark_zero(c);
        }
    }

    /// Replaces the content of chunk `c` by `leaf` (as many words as the chunk has, no bit past the end).
    fn store(&mut self, c: usize, leaf: &[u64]) {
        let summary = words::summarize(leaf);
        self.count = self.count - self.ones_in(c) + summary.ones;
        if summary.ones == 0 {
            self.mark_zero(c);
        } else if summary.ones == self.bits_in(c) {
            self.mark_full(c);
        } else {
            match self.table.get_mut(c) {
                Some(chunk) if chunk::is_dense(chunk, leaf.len()) => chunk::assign(chunk, leaf, &summary),
                _ => {
                    self.table.free(c);
                    self.mark_mixed(c, chunk::from_words(leaf, &summary));
                }
            }
        }
        self.generation += 1;
    }

    /// The number of bits set in chunk `c`.
    fn ones_in(&self, c: usize) -> u64 {
        match self.state(c) {
            State::Zero => 0,
            State::Full => self.bits_in(c),
            State::Mixed(chunk) => chunk::ones(chunk, self.leaves(c)),
        }
    }

    /// Copies leaf words `from..from + out.len()` of chunk `c`, which has that many.
    fn copy_words(&self, c: usize, from: usize, out: &mut [u64]) {
        match self.state(c) {
            State::Zero => out.fill(0),
            State::Full => {
                out.fill(u64::MAX);
                if c + 1 == self.chunks() && from + out.len() == self.leaves(c) {
                    if let Some(last) = out.last_mut() {
                        *last = self.valid((c * CHUNK_WORDS + self.leaves(c) - 1) as u64);
                    }
                }
            }
            State::Mixed(chunk) => chunk::copy_words(chunk, self.leaves(c), from, out),
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

impl Drop for HBitmap {
    fn drop(&mut self) {
        // The table does not look through its entries when it goes (they may be a gigabyte of untouched zero pages): the levels
        // know which ones have memory.
        self.free_all();
    }
}
