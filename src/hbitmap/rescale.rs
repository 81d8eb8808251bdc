// SPDX-License-Identifier: GPL-2.0-or-later
//! Union with a bitmap of another granularity, a chunk at a time.

use super::chunks::{CHUNK_BITS, CHUNK_SHIFT, CHUNK_WORDS, GROUP_SHIFT, GROUP_WORDS, LIMIT};
use super::{words, HBitmap, State};

impl HBitmap {
    /// Merges a bitmap whose bits stand for more items: each becomes a run here.
    pub(super) fn merge_coarser(&mut self, src: &HBitmap) {
        let shift = src.granularity - self.granularity;
        // Source bits for one chunk here, less than one if a source bit is as large as a chunk.
        let per_chunk = CHUNK_BITS >> shift;
        // Where one bit in sixteen is set, nearly every chunk here gets some, and becomes dense if not coarse.
        self.chunks.set_filling(shift < GROUP_SHIFT && src.count > src.bits() / 16);
        let mut at = 0;
        while let Some(first) = src.next_set_bit(at) {
            let end = src.next_clear_bit(first, src.bits() - 1).unwrap_or(src.bits());
            let bit = first << shift;
            if per_chunk < 2 || end - first >= 2 * per_chunk {
                // A run longer than a chunk, or bits that each are one: whole chunks are filled without looking at words.
                self.set_bits(bit, (end << shift).min(self.bits()) - 1);
                at = end;
                continue;
            }
            // Else all the source bits for this chunk at once, however many runs they are.
            let c = (bit >> CHUNK_SHIFT) as usize;
            self.merge_expanded(c, src, shift);
            at = (c as u64 + 1) * per_chunk;
        }
        self.chunks.set_filling(false);
    }

    /// Ors the source bits for chunk `c` into it. A source bit is at most half a chunk.
    fn merge_expanded(&mut self, c: usize, src: &HBitmap, shift: u32) {
        if self.is_full(c) {
            return;
        }
        let per_chunk = CHUNK_BITS >> shift;
        let first = c as u64 * per_chunk;
        let mut coarse = [0; CHUNK_WORDS / 2];
        let coarse = &mut coarse[..per_chunk.div_ceil(64) as usize];
        for (i, word) in coarse.iter_mut().enumerate() {
            let bit = first + i as u64 * 64;
            *word = src.word(bit / 64) >> (bit % 64);
        }
        if per_chunk < 64 {
            // The rest of the word is for the next chunks.
            coarse[0] &= (1 << per_chunk) - 1;
        }
        let leaves = self.leaves(c);
        let ones = words::count_ones(coarse) << shift;
        let in_groups = shift >= GROUP_SHIFT && self.bits_in(c) == CHUNK_BITS;
        if in_groups && (ones > LIMIT as u64 || self.chunks.is_coarse(c)) {
            return self.merge_in_groups(c, coarse, shift - GROUP_SHIFT);
        }
        let last = self.valid((c * CHUNK_WORDS + leaves - 1) as u64);
        if !self.levels.contains(c) && ones > 2 * LIMIT as u64 {
            // Nothing to unite with, and enough to be dense: straight to where it belongs.
            let leaf = self.chunks.make_dense(c);
            words::expand(leaf.words, coarse, shift);
            leaf.words[leaves - 1] &= last;
            let summary = words::summarize(leaf.words);
            leaf.summary.copy_from_slice(&summary.words[..leaf.summary.len()]);
            self.levels.insert(c);
            self.count += summary.ones;
            self.settle_if_full(c);
            return;
        }
        let mut fine = [0; CHUNK_WORDS];
        let fine = &mut fine[..leaves];
        words::expand(fine, coarse, shift);
        fine[leaves - 1] &= last;
        self.merge_words(c, fine);
    }

    /// Ors bits that stand for `2^shift` groups each into chunk `c`, which is not full and of full size.
    fn merge_in_groups(&mut self, c: usize, coarse: &[u64], shift: u32) {
        let mut groups = [0; GROUP_WORDS];
        match shift {
            0 => groups.copy_from_slice(coarse),
            _ => words::expand(&mut groups, coarse, shift),
        }
        self.merge_groups(c, &groups);
    }

    /// Merges a bitmap whose bits stand for fewer items: any of them sets the one here.
    pub(super) fn merge_finer(&mut self, src: &HBitmap) {
        let shift = self.granularity - src.granularity;
        let mut from = 0;
        while let Some(c) = src.levels.next(from) {
            from = c + 1;
            let first = (c as u64) << CHUNK_SHIFT;
            match src.state(c) {
                State::Zero => {}
                State::Sparse(_) | State::Coarse(_) | State::Dense(_) if shift < CHUNK_SHIFT => {
                    self.merge_compressed(src, c, shift);
                }
                // Wholly dirty; or a chunk that lies within one bit here.
                _ => {
                    let last = first + src.bits_in(c) - 1;
                    self.set_bits(first >> shift, last >> shift);
                }
            }
        }
    }

    /// Ors chunk `c` of the source into the bits here that it lies in: at least two.
    fn merge_compressed(&mut self, src: &HBitmap, c: usize, shift: u32) {
        let mut copied = [0; CHUNK_WORDS];
        let fine = match src.state(c) {
            State::Dense(leaf) => leaf.words,
            _ => {
                let copied = &mut copied[..src.leaves(c)];
                src.copy_words(c, 0, copied);
                copied
            }
        };
        let mut coarse = [0; CHUNK_WORDS / 2];
        let coarse = &mut coarse[..(fine.len() as u64 * 64).div_ceil(1 << shift).div_ceil(64) as usize];
        words::compress(coarse, fine, shift);
        let first = (c as u64) << CHUNK_SHIFT >> shift;
        let own = (first >> CHUNK_SHIFT) as usize;
        if first % 64 == 0 && self.or_into_dense(own, first as usize / 64 % CHUNK_WORDS, coarse) {
            return;
        }
        for (i, &word) in coarse.iter().enumerate() {
            // More than 64 bits for the chunk are whole words here; fewer lie within one.
            let bit = first + i as u64 * 64;
            if word != 0 {
                self.set_in_word(bit / 64, word << (bit % 64));
            }
        }
    }

    /// Ors `words` (none past the end) into the words of chunk `c` from `at` on, if it is dense. Returns whether it is.
    fn or_into_dense(&mut self, c: usize, at: usize, words: &[u64]) -> bool {
        let Some(mut leaf) = self.chunks.leaf_mut(c) else { return false };
        let gained = leaf.or_words(at, words);
        if gained != 0 {
            self.count += gained;
            self.settle_if_full(c);
        }
        true
    }

    /// Ors plain words (as many as the chunk has, none past the end) into chunk `c`.
    pub(super) fn merge_words(&mut self, c: usize, leaf: &[u64]) {
        let summary = words::summarize(leaf);
        if summary.ones == 0 {
            return;
        }
        if !self.levels.contains(c) {
            self.store(c, leaf);
            return;
        }
        if self.or_into_dense(c, 0, leaf) {
            return;
        }
        let mut union = [0; CHUNK_WORDS];
        let union = &mut union[..leaf.len()];
        self.copy_words(c, 0, union);
        if words::or_into(union, leaf) != 0 {
            self.store(c, union);
        }
    }
}
