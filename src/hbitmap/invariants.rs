// SPDX-License-Identifier: GPL-2.0-or-later
//! What must hold between any two calls, in one place.

use super::chunks::CHUNK_BITS;
use super::{HBitmap, State};

impl HBitmap {
    /// Panics, saying what is wrong, unless all invariants hold: each level is what the one below makes it; a chunk has memory
    /// if and only if it has both zeroes and ones, and that memory is well formed; no bit is set past the end; the count is the
    /// number of set bits. Walks the whole bitmap; for tests, fuzzers and debugging.
    pub fn check_invariants(&self) {
        assert!(self.size <= i64::MAX as u64, "size");
        assert_eq!(self.bits(), super::bits_for(self.size, self.granularity, "check_invariants"), "bits");
        let chunks = self.bits().div_ceil(CHUNK_BITS) as usize;
        assert_eq!(self.levels.len(), chunks, "length of the levels");
        let short_word = if self.bits() % 64 == 0 { u64::MAX } else { self.bits() / 64 };
        assert_eq!(self.short_word, short_word, "the short word");
        assert_eq!(self.levels.full().len(), chunks.div_ceil(64), "length of the full chunks' bits");
        self.levels.check_invariants();
        self.chunks.check_invariants(self.valid(self.bits().div_ceil(64).saturating_sub(1)));
        let mut count = 0;
        for c in 0..self.levels.full().len() * 64 {
            if c >= chunks {
                assert!(!self.is_full(c), "chunk {c} past the end is full");
                continue;
            }
            let of_chunk = &self.chunks;
            let forms = [self.is_full(c), of_chunk.is_dense(c), of_chunk.is_coarse(c), of_chunk.places_len(c) != 0];
            let forms = forms.iter().filter(|&&form| form).count();
            assert!(forms <= 1, "chunk {c} has two forms");
            assert_eq!(self.levels.contains(c), forms == 1, "the levels lie about chunk {c}");
            let ones = self.ones_in(c);
            if !self.is_full(c) {
                assert_ne!(ones, self.bits_in(c), "chunk {c} is full, but not stored so");
            }
            assert_eq!(ones != 0, forms == 1, "chunk {c} has no bits, but memory");
            if let State::Sparse(places) = self.state(c) {
                assert!(places[places.len() - 1].bit() < self.bits_in(c), "bits are set past the end");
            }
            assert!(!self.chunks.is_coarse(c) || self.bits_in(c) == CHUNK_BITS, "chunk {c} is coarse, but short");
            count += ones;
        }
        assert_eq!(self.count, count, "the count is not the number of set bits");
    }
}
