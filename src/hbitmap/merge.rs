// SPDX-License-Identifier: GPL-2.0-or-later
//! Union of bitmaps. Here: of the same granularity; `rescale` does the others.
//!
//! A merge walks what the source has and nothing else: chunks that are zero there are not looked at here, full ones fill 64 at a
//! time, and a sparse chunk costs its non-zero words.

use super::chunk;
use super::levels::word_masks;
use super::{HBitmap, State};
use crate::assertion::abi_assert;
use std::cmp::Ordering;

impl HBitmap {
    /// Makes dirty what is dirty in `src`. A bit of the coarser of two granularities stands for all the finer ones in it.
    ///
    /// # Panics
    /// If the sizes (in items) differ.
    pub fn merge_from(&mut self, src: &HBitmap) {
        abi_assert!(src.size == self.size, "hbitmap_merge", "b->orig_size == result->orig_size");
        let before = self.count;
        match src.granularity.cmp(&self.granularity) {
            Ordering::Equal => self.merge_same(src),
            Ordering::Greater => self.merge_coarser(src),
            Ordering::Less => self.merge_finer(src),
        }
        self.generation += u64::from(self.count != before);
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

    fn merge_same(&mut self, src: &HBitmap) {
        let mut from = 0;
        while let Some(c) = src.any.next(from) {
            let k = c / 64;
            let chunks = src.any.word(k);
            from = (k + 1) * 64;
            self.fill_chunks_in_word(k, src.full[k] & !self.full[k]);
            let mut mixed = chunks & !src.full[k] & !self.full[k];
            while mixed != 0 {
                let c = k * 64 + mixed.trailing_zeros() as usize;
                mixed &= mixed - 1;
                if let State::Mixed(chunk) = src.state(c) {
                    self.merge_chunk(c, chunk);
                }
            }
        }
    }

    /// Fills those of chunks `64 * k ..` that `chunks` names.
    fn fill_chunks_in_word(&mut self, k: usize, chunks: u64) {
        let mut left = chunks;
        while left != 0 {
            let first = left.trailing_zeros() as usize;
            let run = (!(left >> first)).trailing_zeros() as usize;
            let last = first + run.min(64 - first) - 1;
            self.fill_chunks(k * 64 + first, k * 64 + last);
            for (_, run) in word_masks(first, last) {
                left &= !run;
            }
        }
    }

    /// Ors a chunk's storage into chunk `c`, which is not full.
    fn merge_chunk(&mut self, c: usize, src: &[u64]) {
        let leaves = self.leaves(c);
        match self.table.get_mut(c) {
            Some(chunk) => {
                let gained = chunk::merge(chunk, src, leaves);
                self.count += gained;
                if gained != 0 {
                    self.settle_if_full(c);
                }
            }
            None => {
                self.count += chunk::ones(src, leaves);
                self.mark_mixed(c, src.into());
            }
        }
    }
}
