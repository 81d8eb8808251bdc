// SPDX-License-Identifier: GPL-2.0-or-later
//! Truncation, to a smaller or a larger size.

use super::chunks::{Chunks, CHUNK_BITS, CHUNK_WORDS};
use super::levels::Levels;
use super::{bits_for, ones_of, HBitmap};

impl HBitmap {
    /// Makes the bitmap cover `size` items (at most `i64::MAX`). Bits that lie wholly past the new end are dropped; new ones are
    /// clean. Costs what is dirty, not what the size is.
    ///
    /// # Panics
    /// If that would be more than [`MAX_BITS`](super::MAX_BITS) bits.
    pub fn truncate(&mut self, size: u64) {
        let bits = bits_for(size, self.granularity, "hbitmap_truncate");
        if bits == self.bits() {
            self.size = size;
            return;
        }
        if bits < self.bits() {
            self.reset_bits(bits, self.bits() - 1);
        }
        // The chunk in which either end lies is short in one of the two bitmaps: it moves as words. All chunks before it keep their
        // memory, and behind it there is nothing.
        let edge = (bits.min(self.bits()) / CHUNK_BITS) as usize;
        let mut leaf = [0; CHUNK_WORDS];
        let shared = self.levels.contains(edge).then(|| {
            let leaves = self.leaves(edge);
            self.copy_words(edge, 0, &mut leaf[..leaves]);
            self.count -= self.ones_in(edge);
            self.mark_zero(edge);
            leaves
        });
        let mut resized = HBitmap::new(size, self.granularity);
        self.copy_levels(&mut resized, edge);
        let chunks = std::mem::replace(&mut self.chunks, Chunks::new(0));
        resized.chunks = chunks.resized(bits, mixed(&self.levels));
        resized.count = self.count;
        resized.succeed(self);
        if let Some(shared) = shared {
            let leaves = resized.leaves(edge);
            leaf[shared.min(leaves)..].fill(0);
            resized.store(edge, &leaf[..leaves]);
        }
        *self = resized;
    }

    /// Says of all chunks below `end`, which all others are behind of, what the levels and `full` say here.
    fn copy_levels(&self, to: &mut HBitmap, end: usize) {
        let mut from = 0;
        while let Some(first) = self.levels.next(from).filter(|&c| c < end) {
            let k = first / 64;
            from = (k + 1) * 64;
            to.levels.full_mut()[k] |= self.levels.full()[k];
            to.levels.insert_word(k, self.levels.word(k));
        }
    }
}

/// The chunks that are neither zero nor full.
fn mixed(levels: &Levels) -> impl Iterator<Item = usize> + '_ {
    let mut from = 0;
    let groups = std::iter::from_fn(move || {
        let k = levels.next(from)? / 64;
        from = (k + 1) * 64;
        Some(k)
    });
    groups.flat_map(move |k| ones_of(levels.word(k) & !levels.full()[k]).map(move |i| k * 64 + i))
}
