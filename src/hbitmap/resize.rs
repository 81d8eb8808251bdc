// SPDX-License-Identifier: GPL-2.0-or-later
//! Truncation, to a smaller or a larger size.

use super::geometry::CHUNK_SHIFT;
use super::{HBitmap, bits_for};

impl HBitmap {
    /// Makes the bitmap cover `size` items (at most `i64::MAX`). Bits that lie wholly past the new
    /// end are dropped; new ones are clean.
    ///
    /// # Panics
    /// If there would be more than [`MAX_BITS`](super::MAX_BITS) bits.
    pub fn truncate(&mut self, size: u64) {
        let bits = bits_for(size, self.granularity, "hbitmap_truncate");
        self.size = size;
        let old = self.bits();
        if bits == old {
            return;
        }
        if bits < old {
            self.reset_bits(bits, old - 1);
        }
        let chunks = self.chunks.len();
        self.chunks.resize(bits);
        if self.chunks.len() != chunks {
            self.levels.resize(self.chunks.len());
        }
        // The chunk that the nearer end lies in has another size now: it may be full, or not any
        // more.
        let edge = (bits.min(old) >> CHUNK_SHIFT) as usize;
        if edge < self.chunks.len() {
            let full = self.chunks.count(edge) == self.chunks.size_of(edge);
            self.levels.put_full(edge, full);
        }
        self.generation += 1;
    }
}
