// SPDX-License-Identifier: GPL-2.0-or-later
//! Iteration over dirty bits, safe while the bitmap changes.
//!
//! Where words have many bits, the cursor holds the rest of the word at hand, as C's iterator does. The way to the next bit of it has
//! no taken branch and needs no register saved, because what the caller's loop pays for an item there is mostly the call.
//!
//! Where words or chunks have a bit or two, what costs is that no processor foresees how many. There a step that takes the last bit of
//! a word (of *thin* ones) or of a chunk (of the *queue*) takes hold of the next word or chunk as well, whether there was one or not,
//! and chooses without a branch.
//!
//! Here are the steps; `read` finds what they go through.

mod read;
#[cfg(test)]
mod tests;

use super::chunks::{CHUNK_SHIFT, CHUNK_WORDS};
use super::queue::Queue;
use super::words::{clear_lowest, mask_if, select};
use super::HBitmap;
use crate::assertion::abi_assert;

/// No bit was returned that lies elsewhere than in the word at `base`.
const AT_BASE: u64 = u64::MAX;

/// A place in a bitmap's sequence of dirty bits. It borrows nothing: the bitmap is given to each [`next`](Self::next), and may
/// have changed in between in any way.
///
/// What it guarantees then: items come in ascending order; a bit that is clear when `next` is called is not returned; a bit
/// that was set before the iteration began, lies ahead and stays set, is. A bit that is set ahead of the cursor meanwhile is
/// returned unless it lies in the 64-bit word that the cursor is in (QEMU's may miss more of those).
///
/// It is plain data and fits into QEMU's `HBitmapIter`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Bits of the word at `base` that are still to be returned, and where there are any, nothing else is.
    pending: u64,
    /// The first bit of the leaf word up to which the bitmap has been read.
    base: u64,
    /// The generation of the bitmap that all this was read in.
    generation: u64,
    /// Places of bits to return, in the chunk of `base`.
    queue: Queue,
    /// Which chunks behind that one, of the 64 that it is one of, come next, one after the other, and have all their places in a queue. None,
    /// if the queue does not have all places that are left of that one.
    chunks: u64,
    /// Bits of the word at `base` that are still to be returned, of words with few bits.
    thin: u64,
    /// Which words behind that one, of the 64 that it is one of, are known to have a bit.
    group: u64,
    /// The bit that was returned last, if it may not lie in the word at `base`; else [`AT_BASE`].
    last: u64,
}

impl Cursor {
    /// A cursor that returns the dirty bits of `hb` from the one of item `first` on.
    ///
    /// # Panics
    /// If `first` lies in no bit of the bitmap (so always for a bitmap of size 0).
    pub fn new(hb: &HBitmap, first: u64) -> Self {
        let bit = first >> hb.granularity;
        abi_assert!(bit < hb.bits(), "hbitmap_iter_init", "pos < hb->size");
        let word = bit / 64;
        let pending = hb.word(word) & (u64::MAX << (bit % 64));
        Cursor::in_word(hb, word, pending)
    }

    /// A cursor in leaf word `word`, of which it knows the bits `pending` to return.
    fn in_word(hb: &HBitmap, word: u64, pending: u64) -> Self {
        let (base, generation) = (word * 64, hb.generation);
        Cursor { pending, base, generation, queue: Queue::EMPTY, chunks: 0, thin: 0, group: 0, last: AT_BASE }
    }

    /// The first item of the next dirty bit, or `None` at the end. Asked again at the end, it goes on looking.
    #[inline]
    pub fn next(&mut self, hb: &HBitmap) -> Option<u64> {
        u64::try_from(self.next_or_minus_one(hb)).ok()
    }

    /// The same, with -1 at the end, as C wants it.
    #[inline(always)]
    pub(crate) fn next_or_minus_one(&mut self, hb: &HBitmap) -> i64 {
        match self.next_in_word(hb) {
            Some(item) => item,
            None => self.next_elsewhere(hb),
        }
    }

    /// Whether there are bits of the word at hand that have not been returned. A cursor of zero bytes has none.
    #[inline(always)]
    pub(crate) fn is_in_word(&self) -> bool {
        self.pending != 0
    }

    /// The first item of the next bit, if that is one of the word at hand and the bitmap has not changed: the shortest way.
    #[inline(always)]
    pub(crate) fn next_in_word(&mut self, hb: &HBitmap) -> Option<i64> {
        (self.pending != 0 && self.generation == hb.generation).then(|| self.take_pending(hb))
    }

    /// The leaf word that the cursor is in: that of the last item, or at first that of the first one.
    pub(crate) fn here(&self) -> u64 {
        (if self.last == AT_BASE { self.base } else { self.last }) / 64
    }

    /// The chunk of the word at `base`.
    fn chunk(&self) -> u64 {
        self.base >> CHUNK_SHIFT
    }

    /// Where `base` is when all of chunk `c` has been read: its last word, or where that would be in a chunk of full size.
    #[inline(always)]
    fn end_of_chunk(c: u64) -> u64 {
        ((c + 1) << CHUNK_SHIFT) - 64
    }

    /// The first word of the group; one behind the 64 if it has none.
    #[inline(always)]
    fn next_of_group(&self) -> u64 {
        self.base / 4096 * 64 + u64::from(self.group.trailing_zeros())
    }

    /// The first item of the next bit of `pending`, of which there is one.
    #[inline]
    fn take_pending(&mut self, hb: &HBitmap) -> i64 {
        let pending = self.pending;
        let bit = self.base | u64::from(pending.trailing_zeros());
        clear_lowest(&mut self.pending, pending);
        (bit << hb.granularity) as i64
    }

    /// The first item of the next bit of the queue, of which there is one. Goes to the next of `chunks`, if there is one, when it was the last.
    ///
    /// What the next step waits for is the queue: two loads, a shift, and what depends on whether anything is left. All else is known before.
    #[inline(never)]
    fn take_queued(&mut self, hb: &HBitmap) -> i64 {
        let chunk = self.chunk();
        let bit = chunk << CHUNK_SHIFT | self.queue.first().bit();
        self.last = bit;
        let rest = self.queue.without_first();
        let next = chunk / 64 * 64 + u64::from(self.chunks.trailing_zeros());
        let is_there = mask_if(self.chunks != 0);
        let places = hb.chunks.queue(next as usize).only_if(is_there);
        let base = select(is_there, Self::end_of_chunk(next), self.base);
        let go = mask_if(rest.is_empty());
        self.queue = rest.or(places.only_if(go));
        self.base = select(go, base, self.base);
        self.chunks &= self.chunks.wrapping_sub(1) | !go;
        (bit << hb.granularity) as i64
    }

    /// The first item of the next thin bit, of which there is one. Goes to the next word of the group if it was the last.
    #[inline(never)]
    fn take_thin(&mut self, hb: &HBitmap) -> i64 {
        let bit = self.base | u64::from(self.thin.trailing_zeros());
        self.last = bit;
        let rest = self.thin & self.thin.wrapping_sub(1);
        let next = self.next_of_group();
        let bits = hb.chunks.word_in_memory(next);
        let go = mask_if((rest == 0) & (self.group != 0));
        self.thin = select(go, bits, rest);
        self.base = select(go, next * 64, self.base);
        self.group &= select(go, self.group.wrapping_sub(1), self.group);
        (bit << hb.granularity) as i64
    }

    /// The first item of the next bit, or -1, after [`next_in_word`](Self::next_in_word) had none.
    #[inline(always)]
    pub(crate) fn next_elsewhere(&mut self, hb: &HBitmap) -> i64 {
        if self.generation == hb.generation {
            if !self.queue.is_empty() {
                return self.take_queued(hb);
            }
            if self.thin != 0 {
                return self.take_thin(hb);
            }
            if self.group != 0 {
                return self.take_group(hb);
            }
        }
        self.read(hb)
    }

    /// The first item of the next word of the group, of which there is one and no bit at hand.
    #[inline(never)]
    fn take_group(&mut self, hb: &HBitmap) -> i64 {
        let word = self.next_of_group();
        self.group &= self.group - 1;
        match hb.chunks.word(word) {
            Some(bits) => self.take_word(hb, word, bits),
            None => self.take_group_without_memory(hb, word),
        }
    }

    /// The same where that is leaf word `word`, and its chunk is not dense: a coarse one, or a full one of full size.
    #[inline(never)]
    fn take_group_without_memory(&mut self, hb: &HBitmap, word: u64) -> i64 {
        let bits = if hb.is_full(word as usize / CHUNK_WORDS) { u64::MAX } else { hb.word(word) };
        self.take_word(hb, word, bits)
    }

    /// Goes to leaf word `word`, whose bits to return are `bits` (not none), and returns the first of them.
    #[inline]
    fn take_word(&mut self, hb: &HBitmap, word: u64, bits: u64) -> i64 {
        self.base = word * 64;
        self.pending = bits;
        self.last = AT_BASE;
        self.take_pending(hb)
    }
}
