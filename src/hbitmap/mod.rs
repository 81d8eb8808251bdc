// SPDX-License-Identifier: GPL-2.0-or-later
//! The engine: [`HBitmap`], QEMU's hierarchical bitmap, in safe Rust. It knows nothing of nodes,
//! locks or C.
//!
//! An `HBitmap` covers `size` *items* (bytes of a disk, for dirty bitmaps). At granularity `g` one
//! *bit* stands for `2^g` items: calls take items, round to bits as QEMU does, and return items.
//!
//! # Layout
//!
//! The bits are cut into chunks of 32,768:
//!
//! ```text
//!   levels    ...       bit i: word i of the level below is not zero
//!             any       bit c: chunk c has a set bit
//!             full      bit c: all bits of chunk c are set
//!   chunks    headers   16 bytes: how many bits are set, how they are stored, up to six indices
//!             summary   bit i: word i of a span of 64 words is not zero
//!             words     flat, as QEMU's lowest level
//! ```
//!
//! A chunk that is full, or has up to six bits, is its header alone; so clearing or filling all of
//! a bitmap, or a search along a run, touches 16 bytes for 32,768 bits. All memory is allocated by
//! calloc when a bitmap is made, as in QEMU, and stays where it is until it is truncated or freed.
//!
//! Counts, levels and the summary are right after every call, also in the middle of a
//! deserialisation. No bit at or past [`HBitmap::bits`] is ever set.
//!
//! # Files
//!
//! `geometry` sizes · `chunks` how bits are stored · `levels` which chunks have any · `edit` set
//! and reset · `search` next dirty, next zero, areas · `cursor` iteration · `merge` and `rescale`
//! union with the same and with another granularity · `serialize` bytes in and out, SHA-256 ·
//! `resize` truncate · `invariants` what must hold, checked by the tests after each step · `words`
//! loops over many words, with vector instructions where the processor has them.
//!
//! Behaviour follows `util/hbitmap.c` of QEMU 10.0; `docs/differences.md` lists the exceptions.

mod chunks;
mod cursor;
mod edit;
mod geometry;
#[cfg(any(test, qdb_internals))]
mod invariants;
mod levels;
mod merge;
mod rescale;
mod resize;
mod search;
mod serialize;
mod words;

#[cfg(test)]
mod tests;

use crate::assertion::abi_assert;
use chunks::Chunks;
pub use cursor::Cursor;
use levels::Levels;

/// The largest number of bits in a bitmap (QEMU's `1 << HBITMAP_LOG_MAX_SIZE` on 64-bit hosts).
pub const MAX_BITS: u64 = 1 << 41;

/// A bitmap over `size` items with one bit for each `2^granularity` of them. See the
/// [module](self) for its layout.
///
/// Calls that QEMU's C asserts on panic here, in release builds too, with QEMU's function name and
/// condition.
#[derive(Debug)]
pub struct HBitmap {
    /// Items, as given to `new` or `truncate`.
    size: u64,
    granularity: u32,
    /// Bits that are set.
    count: u64,
    /// Grows with each change, so that a [`Cursor`] knows whether what it has read still holds.
    generation: u64,
    chunks: Chunks,
    levels: Levels,
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
    /// A bitmap of `size` items (at most `i64::MAX`), all clean, with one bit for each
    /// `2^granularity` items (`granularity` below 64).
    ///
    /// Allocates what the bitmap will ever need, some 1.03 bits of address space for each bit, and
    /// touches none of it.
    ///
    /// # Panics
    /// If `size` or `granularity` is out of range, or there would be more than [`MAX_BITS`] bits.
    pub fn new(size: u64, granularity: u32) -> Self {
        let bits = bits_for(size, granularity, "hbitmap_alloc");
        let chunks = Chunks::new(bits);
        let levels = Levels::new(chunks.len());
        HBitmap { size, granularity, count: 0, generation: 0, chunks, levels }
    }

    /// Items that the bitmap covers.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Bits that the bitmap has: [`size`](Self::size) in units of `2^granularity`, rounded up.
    #[inline(always)]
    pub fn bits(&self) -> u64 {
        self.chunks.bits()
    }

    /// log2 of the items for each bit.
    pub fn granularity(&self) -> u32 {
        self.granularity
    }

    /// Items in dirty bits. The last bit counts for `2^granularity` items even where `size` ends
    /// within it, as in QEMU.
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
        abi_assert!(bit < self.bits(), "hbitmap_get", "pos < hb->size");
        self.chunks.get(bit)
    }

    /// The word of `item`, without the bits below that of `item`; zero past the end.
    pub(crate) fn word_from(&self, item: u64) -> u64 {
        let bit = item >> self.granularity;
        self.word(bit / 64) & (u64::MAX << (bit % 64))
    }

    /// Word `w`; zero past the end.
    #[inline]
    fn word(&self, w: u64) -> u64 {
        let is_inside = w < self.bits().div_ceil(64);
        if is_inside { self.chunks.word(w as usize) } else { 0 }
    }

    /// Continues the generations of `old`, which this bitmap replaces, so that a cursor on `old`
    /// notices.
    pub(crate) fn bump_generation(&mut self, old: &HBitmap) {
        self.generation = self.generation.max(old.generation) + 1;
    }

    /// How each chunk is stored: 0 empty, 1 full, 2 an array, 3 words. For tests.
    #[cfg(test)]
    pub fn stores(&self) -> Vec<u8> {
        self.chunks.stores()
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
