// SPDX-License-Identifier: GPL-2.0-or-later
//! What must hold between any two calls, in one place.

use super::chunk::{self, CHUNK_BITS, CHUNK_WORDS};
use super::{HBitmap, State};

impl HBitmap {
    /// Panics, saying what is wrong, unless all invariants hold: each level is what the one below makes it; a chunk has memory
    /// if and only if it has both zeroes and ones, and that memory is well formed; no bit is set past the end; the count is the
    /// number of set bits. Walks the whole bitmap; for tests, fuzzers and debugging.
    pub fn check_invariants(&self) {
        assert!(self.size <= i64::MAX as u64, "size");
        assert_eq!(self.bits, super::bits_for(self.size, self.granularity, "check_invariants"), "bits");
        let chunks = self.bits.div_ceil(CHUNK_BITS) as usize;
        assert_eq!(self.any.len(), chunks, "length of the levels");
        assert_eq!(self.table.len(), chunks, "length of the table");
        assert_eq!(self.full.len(), chunks.div_ceil(64), "length of the full chunks' bits");
        self.any.check_invariants();
        let mut count = 0;
        for c in 0..self.full.len() * 64 {
            if c >= chunks {
                assert!(!self.is_full(c), "chunk {c} past the end is full");
                continue;
            }
            let leaves = self.leaves(c);
            assert_eq!(self.any.contains(c), !matches!(self.state(c), State::Zero), "the levels lie about chunk {c}");
            if let State::Mixed(chunk) = self.state(c) {
                assert!(!self.is_full(c), "chunk {c} is full and has memory");
                chunk::check_invariants(chunk, leaves, self.valid((c * CHUNK_WORDS + leaves - 1) as u64));
            }
            count += self.ones_in(c);
        }
        assert_eq!(self.count, count, "the count is not the number of set bits");
    }
}
