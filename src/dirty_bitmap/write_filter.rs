// SPDX-License-Identifier: GPL-2.0-or-later
//! The write filter of a node: which blocks are dirty in *all* of its enabled bitmaps.
//!
//! Most writes of a guest go to such blocks. [`is_recorded`] knows it without the node's lock, so
//! that those writes cost the same with two bitmaps or fifty, and threads that make them do not
//! meet. Every other write takes the lock and sets each bitmap, and then the filter if that changed
//! nothing: a block that is written once costs no memory here.
//!
//! The filter may forget, which costs time; it must never claim what is not so. Whatever cleans a
//! bit of an enabled bitmap cleans the filter's first, under the same lock: nobody reaches a
//! content to change it without an [`Announced`] from [`announce`](BdrvDirtyBitmap::announce).
//! Whatever changes which bitmaps are enabled, or their sizes, begins a new filter
//! ([`Locked::note_states`]).
//!
//! # Why readers need no lock
//!
//! A reader that finds a bit read a store that was made when all enabled bitmaps had the block.
//! Whoever cleaned it later did not do so before the read began, in the order that the program's
//! threads agree on (happens-before): the read would have seen that. So the write counts as one
//! before the cleaning, as if it had taken the lock then. The data of that write must be found by a
//! backup that cleans first and reads the data then: between a write's data and its look at the
//! filter, and between a cleaning and what follows it, is a full memory barrier each.
//! docs/architecture.md says more; models/ tries the orders.

use std::alloc::{Layout, alloc_zeroed};
use std::ptr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

use super::head::Head;
use super::locked_cell::ContentAccess;
use super::{BdrvDirtyBitmap, Locked};
use crate::host::{BlockDriverState, CurrentHost, Host};

/// Words that begin together: few enough to be zeroed by a write, enough for the tags to stay in a
/// cache.
const CHUNK: usize = 256;
const CHUNK_BLOCKS: u64 = 64 * CHUNK as u64;
/// The longest write that is looked up or remembered, in blocks: a longer one may take longer.
const LONGEST: u64 = 4096;
/// The longest range that is forgotten by itself, in blocks: a longer one takes all with it.
const LONGEST_FORGOTTEN: u64 = 1 << 24;

/// The tag of a chunk whose words are all zero, because nobody used it.
const UNUSED: u32 = 0;
/// The tag of a chunk that was forgotten.
const FORGOTTEN: u32 = u32::MAX;

/// Blocks that are dirty in all enabled bitmaps of a node. Changed with the node's lock held, read
/// without it.
pub struct WriteFilter {
    shape: Shape,
    /// The tag of chunks that count. A new one forgets everything.
    generation: AtomicU32,
    tags: Box<[AtomicU32]>,
    /// A bit for each block.
    words: Box<[AtomicU64]>,
}

#[cfg(test)]
thread_local! {
    /// How many filters this thread wanted.
    pub(super) static MADE: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
}

/// What a filter is for.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Shape {
    /// log2 of the bytes of a block: the finest granularity of the bitmaps.
    granularity_log2: u32,
    /// Bytes that all bitmaps cover.
    size: u64,
}

impl WriteFilter {
    /// `None` if there is no memory for it.
    fn new(shape: Shape) -> Option<Self> {
        #[cfg(test)]
        MADE.set(MADE.get() + 1);
        let blocks = shape.size.div_ceil(1 << shape.granularity_log2);
        let words = blocks.div_ceil(64) as usize;
        let tags = zeroes::<u32>(words.div_ceil(CHUNK))?;
        Some(Self { shape, generation: AtomicU32::new(1), tags, words: zeroes::<u64>(words)? })
    }

    /// The first and the last block of a write, unless it is empty, too long, or out of range.
    #[inline]
    fn blocks(&self, offset: u64, bytes: u64) -> Option<(u64, u64)> {
        let last_byte = offset.checked_add(bytes.checked_sub(1)?)?;
        let (first, last) =
            (offset >> self.shape.granularity_log2, last_byte >> self.shape.granularity_log2);
        (last_byte < self.shape.size && last - first < LONGEST).then_some((first, last))
    }

    /// Whether all enabled bitmaps have every block of the range.
    #[inline]
    fn has(&self, offset: u64, bytes: u64) -> bool {
        let Some((first, last)) = self.blocks(offset, bytes) else { return false };
        // Acquire, here and below: what is read comes with all that was done before it was stored.
        let generation = self.generation.load(Ordering::Acquire);
        masks(first, last).all(|(word, mask)| {
            self.tags[word / CHUNK].load(Ordering::Acquire) == generation
                && self.words[word].load(Ordering::Acquire) & mask == mask
        })
    }

    /// Remembers a range that all enabled bitmaps have.
    #[inline]
    fn add(&self, offset: u64, bytes: u64) {
        let Some((first, last)) = self.blocks(offset, bytes) else { return };
        let generation = self.generation.load(Ordering::Relaxed);
        for (word, mask) in masks(first, last) {
            if self.tags[word / CHUNK].load(Ordering::Relaxed) != generation {
                self.begin_chunk(word / CHUNK, generation);
            }
            let old = self.words[word].load(Ordering::Relaxed);
            self.words[word].store(old | mask, Ordering::Release);
        }
    }

    #[cold]
    fn begin_chunk(&self, chunk: usize, generation: u32) {
        if self.tags[chunk].load(Ordering::Relaxed) != UNUSED {
            let start = chunk * CHUNK;
            let words = &self.words[start..self.words.len().min(start + CHUNK)];
            words.iter().for_each(|word| word.store(0, Ordering::Relaxed));
        }
        // Release: a reader that finds the tag finds the zeroes, or what came after them.
        self.tags[chunk].store(generation, Ordering::Release);
    }

    /// Forgets a range.
    fn forget(&self, offset: u64, bytes: u64) {
        let Some(end) =
            bytes.checked_sub(1).map(|more| offset.saturating_add(more).min(self.shape.size - 1))
        else {
            return;
        };
        if offset > end {
            return;
        }
        let (first, last) =
            (offset >> self.shape.granularity_log2, end >> self.shape.granularity_log2);
        if last - first >= LONGEST_FORGOTTEN {
            return self.forget_all();
        }
        let generation = self.generation.load(Ordering::Relaxed);
        let mut changed = false;
        for chunk in first / CHUNK_BLOCKS..=last / CHUNK_BLOCKS {
            let tag = &self.tags[chunk as usize];
            if tag.load(Ordering::Relaxed) != generation {
                continue;
            }
            let (start, end) = (chunk * CHUNK_BLOCKS, (chunk + 1) * CHUNK_BLOCKS - 1);
            if first <= start && end <= last {
                tag.store(FORGOTTEN, Ordering::Release);
                changed = true;
                continue;
            }
            for (word, mask) in masks(first.max(start), last.min(end)) {
                let old = self.words[word].load(Ordering::Relaxed);
                if old & mask != 0 {
                    self.words[word].store(old & !mask, Ordering::Release);
                    changed = true;
                }
            }
        }
        if changed {
            fence_with_data();
        }
    }

    /// Forgets everything.
    fn forget_all(&self) {
        let mut generation = self.generation.load(Ordering::Relaxed) + 1;
        if generation == FORGOTTEN {
            // Once in four billion times: the tags begin anew.
            self.tags.iter().for_each(|tag| tag.store(FORGOTTEN, Ordering::Relaxed));
            generation = 1;
        }
        self.generation.store(generation, Ordering::Release);
        fence_with_data();
    }
}

/// A full barrier between a write's data and its look at the filter, and between forgetting and
/// what comes after it: a write that still finds what was forgotten has its data where those who
/// read it then find it. The same between the data and a look whether there is a bitmap at all.
#[inline]
pub(super) fn fence_with_data() {
    fence(Ordering::SeqCst);
}

/// The words that blocks `first` to `last` are in, each with the mask of its bits.
#[inline]
fn masks(first: u64, last: u64) -> impl Iterator<Item = (usize, u64)> {
    (first / 64..=last / 64).map(move |word| {
        let from = if word == first / 64 { u64::MAX << (first % 64) } else { u64::MAX };
        let to = if word == last / 64 { u64::MAX >> (63 - last % 64) } else { u64::MAX };
        (word as usize, from & to)
    })
}

/// A number, and the atomic that has the same representation outside of models/.
///
/// # Safety
/// Zero bytes are a valid number, and a valid atomic if its size and alignment are the number's.
unsafe trait Number: Copy + Default {
    type Atomic: From<Self>;
}

// SAFETY: std's atomics have the representation of their numbers. Those of models/ are larger.
unsafe impl Number for u32 {
    type Atomic = AtomicU32;
}

// SAFETY: as above.
unsafe impl Number for u64 {
    type Atomic = AtomicU64;
}

/// Zeroes that take no memory before they are used. `None` if that is not to be had: a filter is
/// not worth the process.
fn zeroes<N: Number>(count: usize) -> Option<Box<[N::Atomic]>> {
    let layout = Layout::array::<N>(count).ok().filter(|layout| layout.size() > 0)?;
    if layout != Layout::array::<N::Atomic>(count).ok()? {
        return Some((0..count).map(|_| N::Atomic::from(N::default())).collect());
    }
    // SAFETY: the layout is not empty.
    let memory = unsafe { alloc_zeroed(layout) }.cast::<N::Atomic>();
    if memory.is_null() {
        return None;
    }
    // SAFETY: the memory is this layout's, which is that of such a slice, and it holds zeroes,
    // which are valid (see `Number`).
    Some(unsafe { Box::from_raw(ptr::slice_from_raw_parts_mut(memory, count)) })
}

/// What a change of a content does to its bits.
#[derive(Clone, Copy)]
pub(super) enum Change {
    /// It sets bits, and cleans none.
    Adds,
    /// It may clean the bits that a range of bytes, which begins with a bit, lies in, and no
    /// others.
    Cleans { offset: u64, bytes: u64 },
    /// It may clean any bit.
    Replaces,
}

/// The proof that the write filter does not claim what a change is about to clean.
pub(super) struct Announced(());

impl BdrvDirtyBitmap {
    /// Makes the write filter forget what `change`, which comes next, may clean in this bitmap.
    #[inline]
    pub(super) fn announce(&self, access: &ContentAccess<'_>, change: Change) -> Announced {
        match change {
            Change::Adds => (),
            Change::Cleans { offset, bytes } => {
                // The last part of a bitmap may end within its last unit, all of which is cleaned.
                // The filter has smaller ones.
                let unit_mask = u64::from(self.granularity()) - 1;
                self.forget(access, |filter| {
                    filter.forget(offset, bytes.saturating_add(unit_mask) & !unit_mask)
                });
            }
            Change::Replaces => self.forget(access, WriteFilter::forget_all),
        }
        Announced(())
    }

    #[inline]
    fn forget(&self, access: &ContentAccess<'_>, forget: impl FnOnce(&WriteFilter)) {
        // The filter says nothing of a bitmap that records nothing.
        if self.enabled() {
            if let Some(filter) = Head::of(access.node()).filter(access) {
                forget(filter);
            }
        }
    }
}

impl Locked<'_> {
    /// Brings what is known of all bitmaps together up to date: called after every change of the
    /// list, of a content's size or granularity, and of a flag that counts for the whole node.
    pub(super) fn note_states(&self) {
        let head = Head::of(self.node());
        let wanted = self.filter_wanted();
        match head.filter(&self.content) {
            Some(filter) if wanted == Some(filter.shape) => filter.forget_all(),
            None if wanted.is_none() => (),
            _ => {
                head.replace_filter(&self.content, wanted.and_then(WriteFilter::new).map(Box::new));
            }
        }
        head.set_flags(
            self.list.iter().any(BdrvDirtyBitmap::readonly),
            head.filter(&self.content).is_some(),
        );
        // Also where there is no filter: the bitmap may be the node's first.
        fence_with_data();
    }

    /// The filter that the node should have: none with one enabled bitmap, whose own content is as
    /// good, and none if a write must be refused.
    fn filter_wanted(&self) -> Option<Shape> {
        let mut enabled = self.list.iter().filter(|bitmap| bitmap.enabled()).peekable();
        let first = shape_of(enabled.next()?.content(self));
        enabled.peek()?;
        let shape =
            enabled.map(|bitmap| shape_of(bitmap.content(self))).fold(first, |a, b| Shape {
                granularity_log2: a.granularity_log2.min(b.granularity_log2),
                size: a.size.min(b.size),
            });
        let refused = self.list.iter().any(|bitmap| bitmap.enabled() && bitmap.readonly());
        (shape.size > 0 && !refused).then_some(shape)
    }

    /// Panics if an enabled bitmap lacks a block that the filter has.
    #[cfg(any(test, qdb_internals))]
    pub(super) fn check_filter(&self) {
        let Some(filter) = Head::of(self.node()).filter(&self.content) else { return };
        let generation = filter.generation.load(Ordering::Relaxed);
        let chunks = filter.tags.iter().zip(filter.words.chunks(CHUNK)).enumerate();
        for (chunk, (_, words)) in
            chunks.filter(|(_, (tag, _))| tag.load(Ordering::Relaxed) == generation)
        {
            for (index, word) in words.iter().enumerate() {
                let bits = word.load(Ordering::Relaxed);
                for bit in (0..64).filter(|bit| bits >> bit & 1 != 0) {
                    let block = chunk as u64 * CHUNK_BLOCKS + index as u64 * 64 + bit;
                    let offset = block << filter.shape.granularity_log2;
                    for bitmap in self.list.iter().filter(|bitmap| bitmap.enabled()) {
                        assert!(
                            bitmap.content(self).get(offset),
                            "the write filter has {offset}, and {bitmap:?} has not"
                        );
                    }
                }
            }
        }
    }

    /// Remembers a write that all enabled bitmaps have.
    #[inline]
    pub(super) fn note_write(&self, offset: u64, bytes: u64) {
        if let Some(filter) = Head::of(self.node()).filter(&self.content) {
            filter.add(offset, bytes);
        }
    }
}

fn shape_of(content: &crate::hbitmap::HBitmap) -> Shape {
    Shape { granularity_log2: content.granularity(), size: content.size() }
}

/// Whether all enabled bitmaps of the node have a write already, as far as the filter knows. Takes
/// no lock.
#[inline]
pub(crate) fn is_recorded(node: &BlockDriverState, offset: u64, bytes: u64) -> bool {
    let head = Head::of(node);
    // Who traces wants to see each bitmap set.
    if !head.has_filter() || CurrentHost::traces_set() {
        return false;
    }
    let section = CurrentHost::read_section();
    fence_with_data();
    head.filter_in(&section).is_some_and(|filter| filter.has(offset, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: u64 = (5 * CHUNK_BLOCKS + 100) * 512 + 7;

    fn filter() -> WriteFilter {
        WriteFilter::new(Shape { granularity_log2: 9, size: SIZE }).unwrap()
    }

    fn has_blocks(filter: &WriteFilter) -> Vec<u64> {
        (0..SIZE.div_ceil(512)).filter(|block| filter.has(block * 512, 1)).collect()
    }

    #[test]
    fn what_is_added_is_had_and_nothing_else() {
        let filter = filter();
        for (offset, bytes) in
            [(0, 1), (511, 2), (63 * 512, 1025), (SIZE - 1, 1), (CHUNK_BLOCKS * 512 - 1, 2)]
        {
            assert!(!filter.has(offset, bytes));
            filter.add(offset, bytes);
            assert!(filter.has(offset, bytes));
        }
        let last = SIZE / 512;
        assert_eq!(has_blocks(&filter), [0, 1, 63, 64, 65, CHUNK_BLOCKS - 1, CHUNK_BLOCKS, last]);
        assert!(filter.has(62 * 512 + 512, 3 * 512) && !filter.has(62 * 512 + 511, 2));
    }

    #[test]
    fn without_memory_there_is_none() {
        assert!(WriteFilter::new(Shape { granularity_log2: 9, size: i64::MAX as u64 }).is_none());
    }

    #[test]
    fn what_is_empty_too_long_or_out_of_range_is_not_had() {
        let filter = filter();
        filter.add(0, LONGEST * 512);
        assert!(filter.has(0, LONGEST * 512) && filter.has(1, LONGEST * 512 - 1));
        for (offset, bytes) in [
            (0, 0),
            (0, LONGEST * 512 + 1),
            (1, LONGEST * 512),
            (SIZE, 1),
            (SIZE - 1, 2),
            (u64::MAX, 1),
            (1, u64::MAX),
        ] {
            filter.add(offset, bytes);
            assert!(!filter.has(offset, bytes), "{offset} {bytes}");
        }
    }

    #[test]
    fn what_is_forgotten_is_not_had_and_the_rest_is() {
        let all = |filter: &WriteFilter| {
            (0..SIZE.div_ceil(LONGEST * 512)).for_each(|part| {
                let offset = part * LONGEST * 512;
                filter.add(offset, (LONGEST * 512).min(SIZE - offset));
            });
        };
        let chunk = CHUNK_BLOCKS * 512;
        for (offset, bytes) in [
            (0, 1),
            (chunk - 1, 2),
            (chunk, chunk),
            (chunk - 512, 3 * chunk),
            (100, SIZE),
            (SIZE - 1, u64::MAX),
            (SIZE, 5),
            (7, 0),
        ] {
            let filter = filter();
            all(&filter);
            filter.forget(offset, bytes);
            let end = offset.saturating_add(bytes).min(SIZE);
            let left: Vec<u64> = (0..SIZE.div_ceil(512))
                .filter(|at| offset >= end || !(offset / 512..end.div_ceil(512)).contains(at))
                .collect();
            assert_eq!(has_blocks(&filter), left, "{offset} {bytes}");
            all(&filter);
            assert_eq!(has_blocks(&filter).len() as u64, SIZE.div_ceil(512));
        }
    }

    #[test]
    fn what_is_forgotten_past_the_end_of_whole_chunks_is_cut() {
        let filter =
            WriteFilter::new(Shape { granularity_log2: 9, size: CHUNK_BLOCKS * 512 }).unwrap();
        filter.add(0, 512);
        filter.forget(1024, u64::MAX);
        assert!(filter.has(0, 512));
        filter.forget(0, u64::MAX);
        assert!(!filter.has(0, 512));
    }

    #[test]
    fn all_is_forgotten_also_when_the_generations_begin_anew() {
        let filter = filter();
        filter.add(0, 512);
        filter.generation.store(FORGOTTEN - 2, Ordering::Relaxed);
        for _ in 0..4 {
            filter.add(512, 512);
            filter.forget_all();
            assert_eq!(has_blocks(&filter), []);
            // A chunk that is forgotten by itself keeps its bits.
            filter.add(0, 512);
            filter.forget(0, CHUNK_BLOCKS * 512);
            assert_eq!(has_blocks(&filter), []);
        }
        assert!(filter.generation.load(Ordering::Relaxed) < 10);
    }
}
