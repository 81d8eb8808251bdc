// SPDX-License-Identifier: GPL-2.0-or-later
//! Union of bitmaps. Here: of the same granularity; `rescale` does the others.
//!
//! A merge walks what the source has and nothing else: chunks that are zero there are not looked at here, full ones fill 64 at a
//! time, and a sparse chunk costs its few bits.

use super::chunks::{Groups, Leaf, CHUNK_WORDS, GROUP_SHIFT, GROUP_WORDS, LIMIT};
use super::levels::word_masks;
use super::place::Place;
use super::{ones_of, words, HBitmap, State};
use crate::assertion::abi_assert;
use std::cmp::Ordering;

/// So many places are put among others one by one, more are merged with them in order.
const FEW: usize = 8;

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
        self.chunks.expect(&src.chunks);
        let mut from = 0;
        while let Some(c) = src.levels.next(from) {
            let k = c / 64;
            let chunks = src.levels.word(k);
            from = (k + 1) * 64;
            self.fill_chunks_in_word(k, src.levels.full()[k] & !self.levels.full()[k]);
            for c in ones_of(chunks & !src.levels.full()[k] & !self.levels.full()[k]).map(|i| k * 64 + i) {
                if self.merge_entry(c, src) {
                    continue;
                }
                match src.state(c) {
                    State::Sparse(places) => self.merge_places(c, places),
                    State::Coarse(Groups(groups)) => self.merge_groups(c, groups),
                    State::Dense(leaf) => self.merge_leaf(c, leaf),
                    State::Zero | State::Full => {}
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

    /// Sets the bits of chunk `c` of `src`, if they are few, in chunk `c`, which is not full, if that has few, and all or none of them
    /// already. Returns whether that is so; else nothing changes. This is how most of two bitmaps with scattered bits is united.
    #[inline]
    fn merge_entry(&mut self, c: usize, src: &HBitmap) -> bool {
        let Some(gained) = self.chunks.unite_entries(c, &src.chunks) else { return false };
        self.count += gained as u64;
        self.levels.insert(c);
        self.settle_if_tiny(c);
        true
    }

    /// Sets the bits at `places` (ascending) of chunk `c`, which is not full.
    fn merge_places(&mut self, c: usize, places: &[Place]) {
        if self.chunks.is_coarse(c) {
            self.make_dense(c);
        }
        if let Some(mut leaf) = self.chunks.leaf_mut(c) {
            let gained = leaf.set_places(places);
            if gained != 0 {
                self.count += gained;
                self.settle_if_full(c);
            }
            return;
        }
        let own = self.chunks.places(c);
        if own.is_empty() {
            self.count += places.len() as u64;
            self.mark_sparse(c, places);
            return;
        }
        if places.len() <= FEW && own.len() + places.len() <= LIMIT {
            let gained = places.iter().filter(|&&place| self.chunks.insert_place(c, place)).count();
            self.count += gained as u64;
            return self.settle_if_tiny(c);
        }
        let mut union = [Place::NONE; 2 * LIMIT];
        let len = unite(own, places, &mut union);
        self.count += (len - own.len()) as u64;
        if len <= LIMIT {
            if len > own.len() {
                self.chunks.make_sparse(c, &union[..len]);
            }
        } else {
            self.make_dense(c);
            if let Some(mut leaf) = self.chunks.leaf_mut(c) {
                leaf.set_places(places);
            }
        }
        self.settle_if_tiny(c);
    }

    /// Ors the bits of a coarse chunk, one for each group, into chunk `c`, which is not full and of full size.
    pub(super) fn merge_groups(&mut self, c: usize, src: &[u64; GROUP_WORDS]) {
        if !self.levels.contains(c) {
            self.count += Groups(src).ones();
            self.mark_coarse(c, *src);
        } else if let Some(groups) = self.chunks.groups_mut(c) {
            self.count += words::or_into(groups, src) << GROUP_SHIFT;
        } else {
            let mut leaf = [0; CHUNK_WORDS];
            Groups(src).copy_words(0, &mut leaf);
            return self.merge_words(c, &leaf);
        }
        self.settle_if_full(c);
    }

    /// Ors a dense chunk into chunk `c`, which is not full.
    fn merge_leaf(&mut self, c: usize, src: Leaf<'_>) {
        if !self.levels.contains(c) {
            self.count += words::count_ones(src.words);
            self.chunks.make_dense(c).copy_from(src);
            self.levels.insert(c);
            return;
        }
        if !self.chunks.is_dense(c) {
            self.make_dense(c);
        }
        if let Some(leaf) = self.chunks.leaf_mut(c) {
            let gained = words::or_into(leaf.words, src.words);
            if gained != 0 {
                for (own, other) in leaf.summary.iter_mut().zip(src.summary) {
                    *own |= other;
                }
                self.count += gained;
                self.settle_if_full(c);
            }
        }
    }
}

/// Writes the union of two ascending sequences to `union`; returns its length.
fn unite(a: &[Place], b: &[Place], union: &mut [Place; 2 * LIMIT]) -> usize {
    let (mut i, mut j, mut len) = (0, 0, 0);
    while i < a.len() && j < b.len() {
        let (x, y) = (a[i], b[j]);
        union[len] = x.min(y);
        len += 1;
        i += usize::from(x <= y);
        j += usize::from(y <= x);
    }
    for &rest in a[i..].iter().chain(&b[j..]) {
        union[len] = rest;
        len += 1;
    }
    len
}

#[cfg(test)]
mod tests {
    use super::super::Cursor;
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn bitmap(bits: u64, set: &BTreeSet<u64>) -> HBitmap {
        let mut bitmap = HBitmap::new(bits, 0);
        for &bit in set {
            bitmap.set(bit, 1);
        }
        bitmap
    }

    /// The bitmap's bits, after a look at its invariants.
    fn set_bits(bitmap: &HBitmap) -> BTreeSet<u64> {
        bitmap.check_invariants();
        let mut cursor = Cursor::new(bitmap, 0);
        std::iter::from_fn(|| cursor.next(bitmap)).collect()
    }

    /// Bits in `0..below`: as many as an entry holds, as a list does, or as make a chunk dense.
    fn few(below: u64) -> impl Strategy<Value = BTreeSet<u64>> {
        let near = below.min(20);
        prop_oneof![
            4 => prop::collection::btree_set(0..near, 0..=8),
            2 => prop::collection::btree_set(0..below, 0..=8),
            2 => prop::collection::btree_set(0..below, 0..=66),
            1 => Just((0..near).collect()),
        ]
    }

    /// The bits of two bitmaps of the same size: anyhow, or one within the other.
    fn pairs() -> impl Strategy<Value = (u64, BTreeSet<u64>, BTreeSet<u64>)> {
        let sizes = prop_oneof![Just(16), Just(20), Just(40), Just(130), Just(32768), Just(40000)];
        let any_two = sizes.prop_flat_map(|bits| (Just(bits), few(bits), few(bits)));
        (any_two, 0..3).prop_map(|((bits, a, b), within)| match within {
            0 => (bits, a.union(&b).copied().collect(), b),
            1 => (bits, a.clone(), a.union(&b).copied().collect()),
            _ => (bits, a, b),
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]
        #[test]
        fn few_bits_are_united_with_few((bits, a, b) in pairs()) {
            let (mut merged, src) = (bitmap(bits, &a), bitmap(bits, &b));
            let generation = merged.generation;
            merged.merge_from(&src);
            let union: BTreeSet<u64> = a.union(&b).copied().collect();
            prop_assert_eq!(merged.count(), union.len() as u64);
            prop_assert_eq!(merged.generation != generation, union.len() > a.len());
            prop_assert_eq!(set_bits(&merged), union);
            prop_assert_eq!(set_bits(&src), b);
        }
    }
}
