// SPDX-License-Identifier: GPL-2.0-or-later
//! Truncation, to a smaller or a larger size.

use super::chunk::{CHUNK_BITS, CHUNK_WORDS};
use super::words::mask;
use super::{bits_for, ones_of, HBitmap};

impl HBitmap {
    /// Makes the bitmap cover `size` items (at most `i64::MAX`). Bits that lie wholly past the new end are dropped; new ones are
    /// clean. Costs what is dirty, not what the size is.
    ///
    /// # Panics
    /// If that would be more than [`MAX_BITS`](super::MAX_BITS) bits.
    pub fn truncate(&mut self, size: u64) {
        let bits = bits_for(size, self.granularity, "hbitmap_truncate");
        if bits == self.bits {
            self.size = size;
            return;
        }
        if bits < self.bits {
            self.reset_bits(bits, self.bits - 1);
        }
        let mut resized = HBitmap::new(size, self.granularity);
        // The chunk in which either end lies is short in one of the two bitmaps: it moves as words. All chunks before it move as
        // they are, the dense ones by whole regions as far as those are of full size, and behind it there is nothing.
        let edge = (bits.min(self.bits) / CHUNK_BITS) as usize;
        let behind = self.dense.move_regions(&mut resized.dense, edge);
        self.move_chunks(&mut resized, edge, behind);
        if self.any.contains(edge) {
            let mut leaf = [0; CHUNK_WORDS];
            let shared = self.leaves(edge).min(resized.leaves(edge));
            self.copy_words(edge, 0, &mut leaf[..shared]);
            resized.store(edge, &leaf[..resized.leaves(edge)]);
        }
        resized.count = self.count;
        resized.succeed(self);
        *self = resized;
    }

    /// Moves the chunks below `end`, which are of full size in both bitmaps, 64 at a time: only those that have memory are
    /// looked at one by one. Dense ones below `behind` have been moved.
    fn move_chunks(&mut self, to: &mut HBitmap, end: usize, behind: usize) {
        let mut from = 0;
        while let Some(first) = self.any.next(from).filter(|&c| c < end) {
            let k = first / 64;
            from = (k + 1) * 64;
            let moved = self.any.word(k) & if from <= end { u64::MAX } else { mask(0, end as u64 - 1) };
            to.full[k] |= self.full[k] & moved;
            to.any.insert_word(k, moved);
            for c in ones_of(moved & !self.full[k]).map(|i| k * 64 + i) {
                self.sparse.move_to(&mut to.sparse, c);
                if let Some(leaf) = self.dense.get(c).filter(|_| c >= behind) {
                    to.dense.insert_copy(c, leaf);
                }
            }
        }
    }
}
