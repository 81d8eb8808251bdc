// SPDX-License-Identifier: GPL-2.0-or-later
//! Chunks with all their leaf words in memory.
//!
//! The words lie where they would in one flat array, so that the number of a bit is its address. Beside them lies their *summary*,
//! the level above: bit `i` says that word `i` is not zero. What stands there for chunks that are not dense has no meaning.
//!
//! The arrays exist from the first dense chunk on. They are address space: memory is taken as it is touched, and goes back by *regions* of
//! 512 chunks (a large page of words) when the last dense chunk of one is gone. A region is touched page by page while few of its
//! chunks are dense, and as a large page from [`CROWDED`] on; while chunks are made dense by the thousand it is had at once, in small
//! pages, which a system has at hand more often than so many large ones. Arrays of less than a region stay as they are, as QEMU's C
//! keeps its own: giving back their pages, and taking them again for the next writes, is dearer than what C does to clear them.

use super::pages::{Pages, LARGE};
use super::{CHUNK_SHIFT, CHUNK_WORDS};
use crate::hbitmap::levels::word_masks;
use crate::hbitmap::place::Place;
use crate::hbitmap::words::{self, mask};
use std::ops::Range;

const REGION_CHUNKS: usize = LARGE / CHUNK_WORDS;
/// Summary words of a chunk.
const SUMMARY_WORDS: usize = CHUNK_WORDS / 64;
/// With so many dense chunks a region is worth a large page: a quarter of it is in use.
const CROWDED: u16 = REGION_CHUNKS as u16 / 4;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Region {
    /// How many of its chunks are dense.
    dense: u16,
    /// Whether it was asked to be a large page.
    large: bool,
    /// Whether it has had all its memory from the start, in small pages.
    populated: bool,
}

/// The words and summaries of a bitmap's dense chunks.
#[derive(Debug)]
#[repr(C)] // What single bits are found by comes first: see `HBitmap`.
pub(super) struct Leaves {
    /// `len` words; none if no chunk was dense yet.
    words: Pages,
    /// A bit for each of them.
    summary: Pages,
    /// As many as `len` needs while there are words, or none if that is less than one.
    regions: Box<[Region]>,
    /// Leaf words of the whole bitmap.
    len: usize,
    /// How many chunks are dense, and how many regions have some.
    dense: u32,
    used_regions: u32,
    /// Whether chunks become dense one after the other now: see [`super::Chunks::set_filling`].
    filling: bool,
}

/// A dense chunk, to read.
#[derive(Clone, Copy)]
pub(in crate::hbitmap) struct Leaf<'a> {
    pub(in crate::hbitmap) words: &'a [u64],
    pub(in crate::hbitmap) summary: &'a [u64],
}

/// A dense chunk, to change.
pub(in crate::hbitmap) struct LeafMut<'a> {
    pub(in crate::hbitmap) words: &'a mut [u64],
    pub(in crate::hbitmap) summary: &'a mut [u64],
}

impl Leaves {
    /// No dense chunk, in a bitmap of `len` leaf words.
    pub(super) fn new(len: usize) -> Self {
        let none = || Pages::zeroed(0);
        Leaves {
            words: none(),
            summary: none(),
            regions: Box::default(),
            len,
            dense: 0,
            used_regions: 0,
            filling: false,
        }
    }

    /// Leaf word `i`.
    ///
    /// # Safety
    /// A chunk is dense, and the bitmap has a word `i`.
    #[inline(always)]
    pub(super) unsafe fn word_unchecked(&self, i: usize) -> u64 {
        // SAFETY: while a chunk is dense there are `len` words, more than `i` by the caller's promise.
        unsafe { self.words.get_unchecked(i) }
    }

    /// Which words behind leaf word `i`, of the 64 that it is one of, are not zero.
    ///
    /// # Safety
    /// As [`Self::word_unchecked`].
    #[inline(always)]
    pub(super) unsafe fn later_unchecked(&self, i: usize) -> u64 {
        // SAFETY: as above, and there is a summary word for each 64 words or rest of them.
        let summary = unsafe { self.summary.get_unchecked(i / 64) };
        summary & (u64::MAX << (i % 64) << 1)
    }

    /// Leaf word `i` and the summary word that has its bit.
    ///
    /// # Safety
    /// A chunk is dense, and the bitmap has a word `i`.
    #[inline(always)]
    pub(super) unsafe fn word_unchecked_mut(&mut self, i: usize) -> (&mut u64, &mut u64) {
        // SAFETY: as above, and there is a summary word for each 64 words or rest of them.
        unsafe { (self.words.get_unchecked_mut(i), self.summary.get_unchecked_mut(i / 64)) }
    }

    /// Leaf word `i`, if there is such a word in memory.
    #[inline]
    pub(super) fn word(&self, i: usize) -> Option<u64> {
        self.words.get(i).copied()
    }

    /// The same, to change, with the word of the summary that has its bit.
    #[inline]
    pub(super) fn word_mut(&mut self, i: usize) -> Option<(&mut u64, &mut u64)> {
        Some((self.words.get_mut(i)?, self.summary.get_mut(i / 64)?))
    }

    /// The words of chunk `c`, and its summary words.
    #[inline]
    fn place_of(&self, c: usize) -> (Range<usize>, Range<usize>) {
        let words = c * CHUNK_WORDS..((c + 1) * CHUNK_WORDS).min(self.len);
        let summary = c * SUMMARY_WORDS..words.end.div_ceil(64);
        (words, summary)
    }

    /// Chunk `c`, which is dense.
    #[inline]
    pub(super) fn leaf(&self, c: usize) -> Leaf<'_> {
        let (words, summary) = self.place_of(c);
        Leaf { words: &self.words[words], summary: &self.summary[summary] }
    }

    /// The same, to change.
    #[inline]
    pub(super) fn leaf_mut(&mut self, c: usize) -> LeafMut<'_> {
        let (words, summary) = self.place_of(c);
        LeafMut { words: &mut self.words[words], summary: &mut self.summary[summary] }
    }

    /// Chunk `c` becomes dense; `is_dense` says which chunks are already.
    pub(super) fn occupy(&mut self, c: usize, is_dense: impl Fn(usize) -> bool) {
        self.make_room();
        self.dense += 1;
        let r = c / REGION_CHUNKS;
        let Some(region) = self.regions.get_mut(r) else { return };
        if region.dense == 0 {
            self.used_regions += 1;
            // Where the regions so far are well used this one is likely to be: take the large page at once.
            if self.dense > u32::from(CROWDED) * self.used_regions && !self.filling {
                self.words.advise(words_of(r, self.len), true);
                region.large = true;
            } else if self.filling {
                self.words.populate(words_of(r, self.len));
                region.populated = true;
            }
        }
        region.dense += 1;
        if region.dense == CROWDED && !region.large && !region.populated {
            self.enlarge(r, is_dense);
        }
    }

    /// See [`super::Chunks::expect`].
    pub(super) fn expect(&mut self, other: &Leaves) {
        let crowded = |region: &Region| region.dense >= CROWDED;
        if other.len != self.len || !other.regions.iter().any(crowded) {
            return;
        }
        self.make_room();
        for (r, region) in self.regions.iter_mut().enumerate() {
            if region.dense == 0 && !region.large && crowded(&other.regions[r]) {
                self.words.advise(words_of(r, self.len), true);
                region.large = true;
            }
        }
    }

    /// Makes sure that there are the arrays.
    fn make_room(&mut self) {
        if self.words.is_empty() {
            self.words = Pages::zeroed(self.len);
            self.summary = Pages::zeroed(self.len.div_ceil(64));
            if self.len >= LARGE {
                self.regions = vec![Region::default(); self.len.div_ceil(LARGE)].into();
            }
        }
    }

    /// See [`super::Chunks::set_filling`].
    pub(super) fn set_filling(&mut self, filling: bool) {
        self.filling = filling;
    }

    /// Moves the words of region `r` into a large page, if it is as long as one.
    fn enlarge(&mut self, r: usize, is_dense: impl Fn(usize) -> bool) {
        let place = words_of(r, self.len);
        if place.len() < LARGE {
            return;
        }
        let dense = || (r * REGION_CHUNKS..(r + 1) * REGION_CHUNKS).filter(|&c| is_dense(c));
        // One piece, which an allocator gives back to the system.
        let mut kept = Vec::with_capacity(dense().count() * CHUNK_WORDS);
        dense().for_each(|c| kept.extend_from_slice(self.leaf(c).words));
        self.words.release(place.clone());
        self.words.advise(place, true);
        for (c, words) in dense().zip(kept.chunks(CHUNK_WORDS)) {
            self.leaf_mut(c).words.copy_from_slice(words);
        }
        self.regions[r].large = true;
    }

    /// Chunk `c` is dense no more. The memory of a region goes with its last dense chunk.
    pub(super) fn vacate(&mut self, c: usize) {
        self.dense -= 1;
        let r = c / REGION_CHUNKS;
        let Some(region) = self.regions.get_mut(r) else { return };
        region.dense -= 1;
        if region.dense == 0 {
            self.used_regions -= 1;
            let words = words_of(r, self.len);
            let summary = words.start / 64..words.end.div_ceil(64);
            self.words.release(words.clone());
            self.summary.release(summary);
            if self.regions[r].large {
                self.words.advise(words, false);
            }
            self.regions[r] = Region::default();
        }
    }

    /// The same for a bitmap of `len` leaf words. Chunks that are short in one of the two bitmaps, or not in both, are not dense.
    pub(super) fn resized(self, len: usize) -> Self {
        if self.dense == 0 {
            return Leaves::new(len);
        }
        let mut resized = Leaves {
            words: self.words.resized(len),
            summary: self.summary.resized(len.div_ceil(64)),
            len,
            dense: self.dense,
            ..Leaves::new(len)
        };
        if len >= LARGE {
            let mut regions = self.regions.into_vec();
            resized.used_regions = self.used_regions;
            if regions.is_empty() {
                // All were in less than one.
                regions.push(Region { dense: self.dense as u16, ..Region::default() });
                resized.used_regions = 1;
            }
            regions.resize(len.div_ceil(LARGE), Region::default());
            resized.regions = regions.into();
        }
        resized
    }

    /// Panics unless the regions count the dense chunks, which are `dense`, and the summaries are right. `tail` is the mask of the
    /// valid bits of the bitmap's last word.
    pub(super) fn check_invariants(&self, dense: impl Iterator<Item = usize>, tail: u64) {
        let mut regions = vec![Region::default(); self.regions.len()];
        let mut count = 0;
        for c in dense {
            if let Some(region) = regions.get_mut(c / REGION_CHUNKS) {
                region.dense += 1;
            }
            count += 1;
            let leaf = self.leaf(c);
            for (i, &word) in leaf.words.iter().enumerate() {
                assert_eq!(leaf.summary[i / 64] >> (i % 64) & 1 != 0, word != 0, "the summary lies about word {i}");
            }
            if (c + 1) * CHUNK_WORDS >= self.len {
                assert_eq!(leaf.words[leaf.words.len() - 1] & !tail, 0, "bits are set past the end");
                if leaf.words.len() % 64 != 0 {
                    let behind = leaf.summary[leaf.summary.len() - 1] >> (leaf.words.len() % 64);
                    assert_eq!(behind, 0, "the summary has bits past the end");
                }
            }
        }
        assert_eq!(self.dense, count, "the dense chunks are counted wrong");
        let counted = self.regions.iter().map(|region| region.dense);
        assert!(
            counted.eq(regions.iter().map(|region| region.dense)),
            "the dense chunks of the regions are counted wrong"
        );
        let used = regions.iter().filter(|region| region.dense != 0).count();
        assert_eq!(self.used_regions as usize, used, "used regions");
        if self.words.is_empty() {
            assert_eq!((self.summary.len(), self.regions.len()), (0, 0), "memory that nobody needs");
        } else {
            assert_eq!(self.words.len(), self.len, "the number of words");
            assert_eq!(self.summary.len(), self.len.div_ceil(64), "the number of summary words");
            let whole = if self.len < LARGE { 0 } else { self.len.div_ceil(LARGE) };
            assert_eq!(self.regions.len(), whole, "the number of regions");
        }
    }
}

/// The leaf words of region `r`, in a bitmap of `len` of them.
fn words_of(r: usize, len: usize) -> Range<usize> {
    r * LARGE..((r + 1) * LARGE).min(len)
}

const _: () = assert!(CHUNK_WORDS == 1 << (CHUNK_SHIFT - 6) && SUMMARY_WORDS == 8);

impl Leaf<'_> {
    /// The first set bit from `from` on.
    #[inline]
    pub(in crate::hbitmap) fn next_set(self, from: u16) -> Option<u16> {
        let at = usize::from(from / 64);
        let here = self.words[at] & (u64::MAX << (from % 64));
        let (word, bits) = if here != 0 { (at, here) } else { self.next_set_word(at + 1)? };
        Some((word * 64) as u16 | bits.trailing_zeros() as u16)
    }

    /// The first word from `from` on that is not zero: its number and value.
    #[inline]
    pub(in crate::hbitmap) fn next_set_word(self, from: usize) -> Option<(usize, u64)> {
        let mut group = from / 64;
        let mut bits = self.summary.get(group)? & (u64::MAX << (from % 64));
        while bits == 0 {
            group += 1;
            bits = *self.summary.get(group)?;
        }
        let word = group * 64 + bits.trailing_zeros() as usize;
        Some((word, self.words[word]))
    }

    /// The first word from `from` on that has a zero bit: its number and value.
    pub(in crate::hbitmap) fn next_word_with_zero(self, from: usize) -> Option<(usize, u64)> {
        let mut at = from;
        // Whole blocks of ones first: this is the walk along a long dirty run.
        while at + 32 <= self.words.len() && words::all_ones(&self.words[at..at + 32]) {
            at += 32;
        }
        let rest = self.words.get(at..)?;
        rest.iter().position(|&word| word != u64::MAX).map(|i| (at + i, rest[i]))
    }
}

impl LeafMut<'_> {
    /// Makes the content that of another chunk of the same length.
    pub(in crate::hbitmap) fn copy_from(self, other: Leaf<'_>) {
        self.words.copy_from_slice(other.words);
        self.summary.copy_from_slice(other.summary);
    }

    /// Makes all words zero.
    pub(in crate::hbitmap) fn clear(&mut self) {
        self.words.fill(0);
        self.summary.fill(0);
    }

    /// Sets the bits at `places`; returns how many were clear.
    pub(in crate::hbitmap) fn set_places(&mut self, places: &[Place]) -> u64 {
        let mut gained = 0;
        for &place in places {
            let (word, bit) = (place.word(), place.in_word());
            gained += u64::from(self.words[word] & bit == 0);
            self.words[word] |= bit;
            self.summary[word / 64] |= 1 << (word % 64);
        }
        gained
    }

    /// Ors `words` into the words from `at` on; returns how many bits were clear.
    pub(in crate::hbitmap) fn or_words(&mut self, at: usize, words: &[u64]) -> u64 {
        for (word, _) in (at..).zip(words).filter(|(_, &bits)| bits != 0) {
            self.summary[word / 64] |= 1 << (word % 64);
        }
        words::or_into(&mut self.words[at..at + words.len()], words)
    }

    /// Sets the bits `first..=last`; returns how many were clear.
    pub(in crate::hbitmap) fn set_range(&mut self, first: usize, last: usize) -> u64 {
        let (low, high) = (first / 64, last / 64);
        let mut gained = 0;
        for (word, bits) in ends(first, last) {
            gained += u64::from((bits & !self.words[word]).count_ones());
            self.words[word] |= bits;
        }
        if high > low + 1 {
            let inner = &mut self.words[low + 1..high];
            gained += inner.len() as u64 * 64 - words::count_ones(inner);
            inner.fill(u64::MAX);
        }
        for (group, bits) in word_masks(low, high) {
            self.summary[group] |= bits;
        }
        gained
    }

    /// Clears the bits `first..=last`; returns how many were set.
    pub(in crate::hbitmap) fn reset_range(&mut self, first: usize, last: usize) -> u64 {
        let (low, high) = (first / 64, last / 64);
        let mut lost = 0;
        if high > low + 1 {
            let inner = &mut self.words[low + 1..high];
            lost += words::count_ones(inner);
            inner.fill(0);
            for (group, bits) in word_masks(low + 1, high - 1) {
                self.summary[group] &= !bits;
            }
        }
        for (word, bits) in ends(first, last) {
            lost += u64::from((bits & self.words[word]).count_ones());
            self.words[word] &= !bits;
            if self.words[word] == 0 {
                self.summary[word / 64] &= !(1 << (word % 64));
            }
        }
        lost
    }
}

/// The words in which the bits `first..=last` start and end (one, if that is the same), with the mask of the bits in them.
fn ends(first: usize, last: usize) -> impl Iterator<Item = (usize, u64)> {
    let (low, high) = (first / 64, last / 64);
    let (from, to) = (first as u64 % 64, last as u64 % 64);
    let head = (low, if low == high { mask(from, to) } else { mask(from, 63) });
    let tail = (low != high).then(|| (high, mask(0, to)));
    std::iter::once(head).chain(tail)
}
