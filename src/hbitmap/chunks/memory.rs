// SPDX-License-Identifier: GPL-2.0-or-later
//! The memory of headers and words: one block, so that glibc maps it as it maps QEMU's lowest
//! level.
//!
//! Headers of their own would be of a size that glibc may take from its heap and clear: 8 MiB for
//! an empty bitmap of 2^34 bits.

use super::header::{Header, Raw};
use crate::hbitmap::geometry::CHUNK_WORDS;

/// Bytes in a cache line.
const LINE: usize = 64;
/// Bytes in a page, of the most common size. Another size costs memory or time, and nothing else.
const PAGE: usize = 4096;
/// Bytes from which on glibc maps a block.
const LARGE: usize = 32 * PAGE;

/// Headers, with room for twice as many and more, and then words.
#[derive(Debug)]
pub(super) struct Memory {
    block: Vec<[u64; 2]>,
    /// Where the words begin, in units of 8 bytes: twice the headers that there is room for.
    first_word: usize,
    words: usize,
}

impl Memory {
    /// Memory for `words` words and their headers, zeroed by calloc.
    ///
    /// Words begin where a cache line does; in a large block, which glibc maps 16 bytes past a
    /// page, where a page does. A span then lies in eight lines, not in nine, and never in two
    /// pages.
    pub(super) fn new(words: usize) -> Self {
        let room = (2 * words.div_ceil(CHUNK_WORDS)).next_power_of_two();
        let len = room + words.div_ceil(2);
        let align = if len * 16 < LARGE { LINE } else { PAGE };
        let block = vec![[0; 2]; len + align / 16 - 1];
        let pad = block[room..].as_ptr().align_offset(align).min(align / 16 - 1);
        Memory { block, first_word: 2 * (room + pad), words }
    }

    /// The number of chunks.
    #[inline]
    pub(super) fn chunks(&self) -> usize {
        self.words.div_ceil(CHUNK_WORDS)
    }

    /// The number of words.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.words
    }

    #[inline(always)]
    pub(super) fn header(&self, c: usize) -> Header {
        Header(*bytemuck::must_cast_ref(&self.block[c]))
    }

    #[inline(always)]
    pub(super) fn header_mut(&mut self, c: usize) -> &mut Raw {
        bytemuck::must_cast_mut(&mut self.block[c])
    }

    /// Gives chunks `first..=last` the same header.
    pub(super) fn fill_headers(&mut self, first: usize, last: usize, header: Header) {
        self.block[first..=last].fill(bytemuck::must_cast(header.0));
    }

    #[inline(always)]
    pub(super) fn word(&self, w: usize) -> u64 {
        self.block.as_flattened()[self.first_word + w]
    }

    #[inline(always)]
    pub(super) fn word_mut(&mut self, w: usize) -> &mut u64 {
        &mut self.block.as_flattened_mut()[self.first_word + w]
    }

    /// All words; one more than there are if their number is odd.
    #[inline(always)]
    pub(super) fn words(&self) -> &[u64] {
        &self.block.as_flattened()[self.first_word..]
    }

    /// All words, to be changed.
    #[inline(always)]
    pub(super) fn words_mut(&mut self) -> &mut [u64] {
        &mut self.block.as_flattened_mut()[self.first_word..]
    }

    /// Makes it `words` words. Headers of chunks that go are empty.
    pub(super) fn resize(&mut self, words: usize) {
        if words.div_ceil(CHUNK_WORDS) <= self.first_word / 2 {
            if self.words % 2 != 0 {
                *self.word_mut(self.words) = 0;
            }
            self.words = words;
            return resize_list(&mut self.block, (self.first_word + words).div_ceil(2));
        }
        // More than twice the size: to copy what is stored is less than to clear what is new.
        let mut memory = Memory::new(words);
        for c in (0..self.chunks()).filter(|&c| self.header(c) != Header::EMPTY) {
            *memory.header_mut(c) = self.header(c).0;
            if self.header(c).spans() != 0 {
                let words = c * CHUNK_WORDS..((c + 1) * CHUNK_WORDS).min(self.words);
                memory.words_mut()[words.clone()].copy_from_slice(&self.words()[words]);
            }
        }
        *self = memory;
    }
}

/// Makes `list` have `len` elements, and no more memory than for these. New ones are zero.
pub(in crate::hbitmap) fn resize_list<T: Copy + Default>(list: &mut Vec<T>, len: usize) {
    list.reserve_exact(len.saturating_sub(list.len()));
    list.resize(len, T::default());
    list.shrink_to_fit();
}
