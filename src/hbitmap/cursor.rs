// SPDX-License-Identifier: GPL-2.0-or-later
//! Iteration over dirty bits, safe while the bitmap changes.
//!
//! In a dense or full chunk the cursor holds the rest of the word at hand, as C's iterator does. From a sparse chunk, whose words
//! have a bit or two, it takes the places themselves, eight at a time.
//!
//! What the caller's loop pays for an item is mostly the call and its taken branches. So the way to the next bit of the word at hand
//! has none, and needs no register saved; everything else is out of its way.

use super::chunks::{CHUNK_SHIFT, CHUNK_WORDS};
use super::{lanes, sparse_word, HBitmap, State};
use crate::assertion::abi_assert;

/// The most places that are taken at once.
const QUEUE: usize = 2 * lanes::EACH;

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
    /// Bits of the word at `base` that have not been returned and are not in `queue`.
    pending: u64,
    /// The first bit of the leaf word up to which the bitmap has been read.
    base: u64,
    /// The generation of the bitmap that all this was read in.
    generation: u64,
    /// Which words behind that one, of the 64 that it is one of, are known to have a bit.
    group: u64,
    /// Places of bits to return, in the chunk of `base`: two words of [`lanes`]. While there are any, `pending` is 0.
    queue: [u64; 2],
    /// The bit that was returned last, if that was one of the queue. Else it lies in the word at `base`.
    last: Option<u64>,
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
        Cursor { base: word * 64, pending, generation: hb.generation, group: 0, queue: [0; 2], last: None }
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
        self.last.unwrap_or(self.base) / 64
    }

    /// The chunk of the word at `base`.
    fn chunk(&self) -> u64 {
        self.base >> CHUNK_SHIFT
    }

    /// The first item of the next bit of `pending`, of which there is one.
    #[inline]
    fn take_pending(&mut self, hb: &HBitmap) -> i64 {
        let bit = self.base | u64::from(self.pending.trailing_zeros());
        self.pending &= self.pending.wrapping_sub(1);
        (bit << hb.granularity) as i64
    }

    /// The first item of the next bit of the queue, of which there is one.
    #[inline]
    fn take_queued(&mut self, hb: &HBitmap) -> i64 {
        let bit = self.chunk() << CHUNK_SHIFT | u64::from(lanes::first(self.queue[0]));
        self.queue[0] = lanes::without_first(self.queue[0]);
        self.last = Some(bit);
        (bit << hb.granularity) as i64
    }

    #[inline(never)]
    fn next_elsewhere(&mut self, hb: &HBitmap) -> i64 {
        if self.generation != hb.generation {
            self.look_again(hb);
        }
        if self.queue[0] != 0 {
            return self.take_queued(hb);
        }
        if self.queue[1] != 0 {
            self.queue = [self.queue[1], 0];
            return self.take_queued(hb);
        }
        if self.pending != 0 {
            return self.take_pending(hb);
        }
        if self.group != 0 {
            let word = self.base / 4096 * 64 + u64::from(self.group.trailing_zeros());
            self.group &= self.group - 1;
            // Its chunk is dense, or full and of full size.
            return self.take_word(hb, word, hb.chunks.word(word).unwrap_or(u64::MAX));
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
            match hb.any.next(c + 1) {
                Some(next) => (c, at) = (next, 0),
                None => return -1,
            }
        }
    }

    /// Forgets all that was read but the bits of the word that the cursor is in, of which it keeps those that are still set.
    fn look_again(&mut self, hb: &HBitmap) {
        let here = self.here();
        let chunk = self.chunk();
        let queued = self.queue.iter().flat_map(|&word| lanes::places(word));
        let known = queued.map(|place| chunk << CHUNK_SHIFT | u64::from(place)).filter(|bit| bit / 64 == here);
        let known =
            known.fold(if self.base / 64 == here { self.pending } else { 0 }, |bits, bit| bits | 1 << (bit % 64));
        let pending = known & hb.word(here);
        *self = Cursor { base: here * 64, pending, generation: hb.generation, group: 0, queue: [0; 2], last: None };
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
                let item = self.take_word(hb, (base + word) as u64, bits);
                self.group = leaf.summary[word / 64] & (u64::MAX << (word % 64) << 1);
                Some(item)
            }
            State::Sparse(places) => {
                let first = if at == 0 { 0 } else { places.partition_point(|&place| usize::from(place / 64) < at) };
                self.take_places(hb, c, &places[first..])
            }
        }
    }

    /// Takes the first of `places`, which are all that is left of chunk `c`, by whole words; returns the first item.
    #[inline]
    fn take_places(&mut self, hb: &HBitmap, c: usize, places: &[u16]) -> Option<i64> {
        if places.is_empty() {
            // The cursor stays where it is: bits may be set behind it yet.
            return None;
        }
        let word_of = |place: u16| usize::from(place / 64);
        let mut taken = places;
        self.base = (c * CHUNK_WORDS + hb.leaves(c) - 1) as u64 * 64;
        if places.len() > QUEUE {
            let cut = word_of(places[QUEUE]);
            taken = &places[..places[..QUEUE].partition_point(|&place| word_of(place) < cut)];
            match taken.last() {
                Some(&last) => self.base = (c * CHUNK_WORDS + word_of(last)) as u64 * 64,
                // All of them are in the first word.
                None => return Some(self.take_word(hb, (c * CHUNK_WORDS + cut) as u64, sparse_word(places, cut))),
            }
        }
        self.queue = [lanes::of(taken), lanes::of(taken.get(lanes::EACH..).unwrap_or_default())];
        Some(self.take_queued(hb))
    }

    /// Goes to leaf word `word`, whose bits to return are `bits` (not none), and returns the first of them.
    #[inline]
    fn take_word(&mut self, hb: &HBitmap, word: u64, bits: u64) -> i64 {
        self.base = word * 64;
        self.pending = bits;
        self.last = None;
        self.take_pending(hb)
    }
}
