// SPDX-License-Identifier: GPL-2.0-or-later
//! What must hold between any two calls, in one place.

use super::HBitmap;

impl HBitmap {
    /// Panics, saying what is wrong, unless all invariants hold: each chunk is stored as its
    /// content wants and has no bit past the end; levels, counts and the summary are right. Walks
    /// the whole bitmap; for tests, fuzzers and debugging.
    pub fn check_invariants(&self) {
        assert!(self.size <= i64::MAX as u64, "size");
        let bits = super::bits_for(self.size, self.granularity, "check_invariants");
        assert_eq!(self.bits(), bits, "bits");
        self.levels.check_invariants(self.chunks.len());
        let mut count = 0;
        for c in 0..self.chunks.len().next_multiple_of(64) {
            let (any, full) = self.levels.masks(c / 64);
            let (any, full) = (any >> (c % 64) & 1 != 0, full >> (c % 64) & 1 != 0);
            if c >= self.chunks.len() {
                assert!(!any && !full, "the levels have a chunk past the end");
                continue;
            }
            self.chunks.check_chunk(c);
            let ones = self.chunks.count(c);
            assert_eq!(any, ones != 0, "the levels are wrong about chunk {c}");
            assert_eq!(full, ones == self.chunks.size_of(c), "the full bit of chunk {c}");
            count += ones;
        }
        assert_eq!(self.count, count, "the count is not the number of set bits");
    }
}
