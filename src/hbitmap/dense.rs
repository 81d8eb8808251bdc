// SPDX-License-Identifier: GPL-2.0-or-later
//! Chunks with all their leaf words in memory.
//!
//! A *region* is 512 chunks, a large page of leaf words. It exists while one of its chunks is dense, and has its words where they
//! would be in one flat array, so that a guest's write finds its word with a bit test and one address. Beside the words it has
//! their *summary*, the level above them: bit `i` says that word `i` is not zero. What stands in a region for chunks that are not
//! dense has no meaning.
//!
//! A region's memory is taken page by page as it is touched while few of its chunks are dense, and as a large page from
//! [`CROWDED`] on.

use super::chunk::{CHUNK_SHIFT, CHUNK_WORDS};
use super::pages::{Pages, LARGE};
use super::words::mask;

/// log2 of the words in a region.
const REGION_SHIFT: u32 = LARGE.trailing_zeros();
const REGION_CHUNKS: usize = LARGE / CHUNK_WORDS;
/// Summary words of a chunk.
const SUMMARY_WORDS: usize = CHUNK_WORDS / 64;
/// With so many dense chunks a region is worth a large page: a quarter of it is in use.
const CROWDED: usize = REGION_CHUNKS / 4;

#[derive(Debug)]
struct Region {
    /// Which of its chunks are dense: bit `c % 64` of word `c / 64 % 8`.
    members: [u64; REGION_CHUNKS / 64],
    words: Pages,
    summary: Box<[u64]>,
    /// How many of its chunks are dense.
    chunks: usize,
    large: bool,
}

impl Region {
    fn new(len: usize, large: bool) -> Self {
        let summary = vec![0; len.div_ceil(64)].into_boxed_slice();
        let large = large && len == LARGE;
        Region { members: [0; REGION_CHUNKS / 64], words: Pages::zeroed(len, large), summary, chunks: 0, large }
    }

    #[inline]
    fn contains(&self, c: usize) -> bool {
        self.members[c / 64 % 8] >> (c % 64) & 1 != 0
    }

    /// Moves the words into a large page.
    fn enlarge(&mut self) {
        let mut words = Pages::zeroed(LARGE, true);
        for c in (0..REGION_CHUNKS).filter(|&c| self.contains(c)) {
            let chunk = c * CHUNK_WORDS..(c + 1) * CHUNK_WORDS;
            words[chunk.clone()].copy_from_slice(&self.words[chunk]);
        }
        self.words = words;
        self.large = true;
    }
}

/// The dense chunks of a bitmap.
#[derive(Debug)]
pub(super) struct Dense {
    /// As many as the last one that was ever there needs.
    regions: Vec<Option<Region>>,
    /// Leaf words of the whole bitmap.
    words: usize,
    /// How many chunks are dense, and how many regions there are.
    used: usize,
    used_regions: usize,
}

/// A dense chunk, to read.
#[derive(Clone, Copy)]
pub(super) struct Leaf<'a> {
    pub(super) words: &'a [u64],
    pub(super) summary: &'a [u64],
}

/// A dense chunk, to change.
pub(super) struct LeafMut<'a> {
    pub(super) words: &'a mut [u64],
    pub(super) summary: &'a mut [u64],
}

impl Dense {
    /// No dense chunk, in a bitmap of `words` leaf words.
    pub(super) fn new(words: u64) -> Self {
        Dense { regions: Vec::new(), words: words as usize, used: 0, used_regions: 0 }
    }

    /// The region of chunk `c`, if the chunk is dense.
    #[inline]
    fn region(&self, c: usize) -> Option<&Region> {
        self.regions.get(c / REGION_CHUNKS)?.as_ref().filter(|region| region.contains(c))
    }

    /// The same, to change.
    #[inline]
    fn region_mut(&mut self, c: usize) -> Option<&mut Region> {
        self.regions.get_mut(c / REGION_CHUNKS)?.as_mut().filter(|region| region.contains(c))
    }

    /// Whether chunk `c` is dense.
    #[inline]
    pub(super) fn contains(&self, c: usize) -> bool {
        self.region(c).is_some()
    }

    /// Leaf word `word`, numbered through the whole bitmap, if its chunk is dense.
    #[inline]
    pub(super) fn word(&self, word: u64) -> Option<u64> {
        let word = word as usize;
        self.region(word / CHUNK_WORDS)?.words.get(word % LARGE).copied()
    }

    /// The word of the summary that has the bit of leaf word `word`, if its chunk is dense.
    #[inline]
    pub(super) fn summary(&self, word: u64) -> Option<u64> {
        let word = word as usize;
        self.region(word / CHUNK_WORDS)?.summary.get(word % LARGE / 64).copied()
    }

    /// Leaf word `word`, to change, with the word of the summary that has its bit.
    #[inline]
    pub(super) fn word_mut(&mut self, word: u64) -> Option<(&mut u64, &mut u64)> {
        let word = word as usize;
        let region = self.region_mut(word / CHUNK_WORDS)?;
        let at = word % LARGE;
        Some((region.words.get_mut(at)?, region.summary.get_mut(at / 64)?))
    }

    /// Chunk `c`, if it is dense.
    #[inline]
    pub(super) fn get(&self, c: usize) -> Option<Leaf<'_>> {
        let region = self.region(c)?;
        let at = c % REGION_CHUNKS * CHUNK_WORDS;
        let end = (at + CHUNK_WORDS).min(region.words.len());
        Some(Leaf { words: &region.words[at..end], summary: &region.summary[at / 64..end.div_ceil(64)] })
    }

    /// The same, to change. The summary is the caller's to keep right.
    #[inline]
    pub(super) fn get_mut(&mut self, c: usize) -> Option<LeafMut<'_>> {
        let region = self.region_mut(c)?;
        let at = c % REGION_CHUNKS * CHUNK_WORDS;
        let end = (at + CHUNK_WORDS).min(region.words.len());
        Some(LeafMut { words: &mut region.words[at..end], summary: &mut region.summary[at / 64..end.div_ceil(64)] })
    }

    /// Makes chunk `c`, which is not, dense. Its words and summary have no meaning yet: the caller writes all of them.
    pub(super) fn insert(&mut self, c: usize) -> LeafMut<'_> {
        let r = c / REGION_CHUNKS;
        let len = LARGE.min(self.words - (r << REGION_SHIFT));
        if r >= self.regions.len() {
            self.regions.resize_with(r + 1, || None);
        }
        if self.regions[r].is_none() {
            // Where the regions so far are well used this one is likely to be: take the large page at once.
            self.used_regions += 1;
            let large = self.used >= CROWDED * self.used_regions;
            self.regions[r] = Some(Region::new(len, large));
        }
        self.used += 1;
        if let Some(region) = &mut self.regions[r] {
            region.members[c / 64 % 8] |= 1 << (c % 64);
            region.chunks += 1;
            if region.chunks == CROWDED && !region.large && len == LARGE {
                region.enlarge();
            }
        }
        match self.get_mut(c) {
            Some(leaf) => leaf,
            None => unreachable!("the region was just made"),
        }
    }

    /// Makes chunk `c`, which is not, dense with the content of another chunk of the same length.
    pub(super) fn insert_copy(&mut self, c: usize, other: Leaf<'_>) {
        let leaf = self.insert(c);
        leaf.words.copy_from_slice(other.words);
        leaf.summary.copy_from_slice(other.summary);
    }

    /// Makes chunk `c` not dense. Its region goes with its last dense chunk.
    pub(super) fn remove(&mut self, c: usize) {
        let Some(region) = self.region_mut(c) else { return };
        region.members[c / 64 % 8] &= !(1 << (c % 64));
        region.chunks -= 1;
        self.used -= 1;
        if self.regions[c / REGION_CHUNKS].as_ref().is_some_and(|region| region.chunks == 0) {
            self.regions[c / REGION_CHUNKS] = None;
            self.used_regions -= 1;
        }
    }

    /// Moves the regions before that of chunk `end`, which are of full size in both bitmaps, to `to`, which has none of them.
    /// Returns the first chunk that was not moved.
    pub(super) fn move_regions(&mut self, to: &mut Dense, end: usize) -> usize {
        let regions = end / REGION_CHUNKS;
        to.regions.resize_with(regions.min(self.regions.len()), || None);
        for r in 0..to.regions.len() {
            if let Some(region) = self.regions[r].take() {
                self.used -= region.chunks;
                self.used_regions -= 1;
                to.used += region.chunks;
                to.used_regions += 1;
                to.regions[r] = Some(region);
            }
        }
        regions * REGION_CHUNKS
    }

    /// Panics unless the regions are just those that the members need, and the summaries are right. `tail` is the mask of the
    /// valid bits of the bitmap's last word.
    pub(super) fn check_invariants(&self, tail: u64) {
        let chunks = self.words.div_ceil(CHUNK_WORDS);
        assert!(self.regions.len() <= chunks.div_ceil(REGION_CHUNKS), "too many regions");
        let mut used = 0;
        for (r, region) in self.regions.iter().enumerate() {
            let members = (r * REGION_CHUNKS..(r + 1) * REGION_CHUNKS).filter(|&c| self.contains(c));
            let mut of_region = 0;
            for c in members {
                assert!(c < chunks, "a chunk past the end is dense");
                of_region += 1;
                let Some(leaf) = self.get(c) else { panic!("chunk {c} has no region") };
                assert_eq!(leaf.words.len(), CHUNK_WORDS.min(self.words - c * CHUNK_WORDS), "length of chunk {c}");
                for (i, &word) in leaf.words.iter().enumerate() {
                    assert_eq!(leaf.summary[i / 64] >> (i % 64) & 1 != 0, word != 0, "the summary lies about word {i}");
                }
                if c + 1 == chunks {
                    assert_eq!(leaf.words[leaf.words.len() - 1] & !tail, 0, "bits are set past the end");
                    if leaf.words.len() % 64 != 0 {
                        let behind = leaf.summary[leaf.summary.len() - 1] >> (leaf.words.len() % 64);
                        assert_eq!(behind, 0, "the summary has bits past the end");
                    }
                }
            }
            assert_eq!(region.as_ref().map_or(0, |region| region.chunks), of_region, "region {r} counts wrong");
            assert_eq!(region.is_some(), of_region != 0, "region {r} is not needed, or missing");
            used += of_region;
        }
        assert_eq!(self.used, used, "the dense chunks are counted wrong");
        assert_eq!(self.used_regions, self.regions.iter().flatten().count(), "the regions are counted wrong");
    }
}

const _: () = assert!(CHUNK_WORDS == 1 << (CHUNK_SHIFT - 6) && SUMMARY_WORDS == 8);

impl Leaf<'_> {
    /// The first word from `from` on that is not zero: its number and value.
    #[inline]
    pub(super) fn next_set_word(self, from: usize) -> Option<(usize, u64)> {
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
    pub(super) fn next_word_with_zero(self, from: usize) -> Option<(usize, u64)> {
        let mut at = from;
        // Whole blocks of ones first: this is the walk along a long dirty run.
        while at + 32 <= self.words.len() && super::words::all_ones(&self.words[at..at + 32]) {
            at += 32;
        }
        let rest = self.words.get(at..)?;
        rest.iter().position(|&word| word != u64::MAX).map(|i| (at + i, rest[i]))
    }
}

impl LeafMut<'_> {
    /// Makes all words zero.
    pub(super) fn clear(&mut self) {
        self.words.fill(0);
        self.summary.fill(0);
    }

    /// Sets the bits at `places`; returns how many were clear.
    pub(super) fn set_places(&mut self, places: &[u16]) -> u64 {
        let mut gained = 0;
        for &place in places {
            let (word, bit) = (usize::from(place / 64), 1 << (place % 64));
            gained += u64::from(self.words[word] & bit == 0);
            self.words[word] |= bit;
            self.summary[word / 64] |= 1 << (word % 64);
        }
        gained
    }

    /// Sets the bits `first..=last`; returns how many were clear.
    pub(super) fn set_range(&mut self, first: usize, last: usize) -> u64 {
        let (low, high) = (first / 64, last / 64);
        let mut gained = 0;
        for (word, bits) in ends(first, last) {
            gained += u64::from((bits & !self.words[word]).count_ones());
            self.words[word] |= bits;
        }
        if high > low + 1 {
            let inner = &mut self.words[low + 1..high];
            gained += inner.len() as u64 * 64 - super::words::count_ones(inner);
            inner.fill(u64::MAX);
        }
        for (group, bits) in super::levels::word_masks(low, high) {
            self.summary[group] |= bits;
        }
        gained
    }

    /// Clears the bits `first..=last`; returns how many were set.
    pub(super) fn reset_range(&mut self, first: usize, last: usize) -> u64 {
        let (low, high) = (first / 64, last / 64);
        let mut lost = 0;
        if high > low + 1 {
            let inner = &mut self.words[low + 1..high];
            lost += super::words::count_ones(inner);
            inner.fill(0);
            for (group, bits) in super::levels::word_masks(low + 1, high - 1) {
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
