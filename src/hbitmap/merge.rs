// SPDX-License-Identifier: GPL-2.0-or-later
//! Union of bitmaps of the same granularity; `rescale` does the others.

use super::HBitmap;
use super::geometry::ones_of;
use crate::assertion::abi_assert;
use std::cmp::Ordering;

impl HBitmap {
    /// Makes dirty what is dirty in `src`. A bit of the coarser of two granularities stands for all
    /// the finer ones in it.
    ///
    /// # Panics
    /// If the sizes (in items) differ.
    pub fn merge_from(&mut self, src: &HBitmap) {
        abi_assert!(src.size == self.size, "hbitmap_merge", "b->orig_size == result->orig_size");
        if src.is_empty() {
            return;
        }
        match src.granularity.cmp(&self.granularity) {
            Ordering::Equal => self.merge_same(src),
            Ordering::Greater => self.merge_coarser(src),
            Ordering::Less => self.merge_finer(src),
        }
    }

    /// Makes this bitmap the union of `a` and `b`, whatever it was.
    ///
    /// # Panics
    /// If a size differs.
    pub fn assign_union(&mut self, a: &HBitmap, b: &HBitmap) {
        abi_assert!(a.size == self.size, "hbitmap_merge", "a->orig_size == result->orig_size");
        abi_assert!(b.size == self.size, "hbitmap_merge", "b->orig_size == result->orig_size");
        self.reset_all();
        self.merge_from(a);
        self.merge_from(b);
    }

    /// A new bitmap of the given granularity that is the union of `a` and `b`.
    ///
    /// # Panics
    /// If their sizes differ, or the granularity does not suit the size.
    pub fn union(a: &HBitmap, b: &HBitmap, granularity: u32) -> HBitmap {
        let mut union = HBitmap::new(a.size, granularity);
        union.assign_union(a, b);
        union
    }

    /// Visits the chunks that the source has bits in, and that are not full here.
    fn merge_same(&mut self, src: &HBitmap) {
        let mut next = src.levels.next(0);
        while let Some(c) = next {
            let k = c / 64;
            let (theirs, theirs_full) = src.levels.masks(k);
            let (_, full) = self.levels.masks(k);
            if theirs_full == u64::MAX && full != u64::MAX && k * 64 + 64 < self.chunks.len() {
                self.fill_chunks(k * 64, k * 64 + 63);
            } else {
                for c in ones_of(theirs & !full).map(|i| k * 64 + i) {
                    self.change(c, |chunks| chunks.or_chunk(c, &src.chunks));
                }
            }
            next = src.levels.next((k + 1) * 64);
        }
    }
}
