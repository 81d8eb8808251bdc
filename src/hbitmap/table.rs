// SPDX-License-Identifier: GPL-2.0-or-later
//! The table of chunks: one optional allocation for each.
//!
//! It is allocated zeroed and never walked whole, so that the pages of a huge bitmap's table that nobody wrote to are never
//! touched, not even when it is freed. Whoever drops a table must have emptied it: [`super::HBitmap`] knows from its levels
//! which entries have memory.

use super::chunk::Chunk;
use std::mem;

#[derive(Debug)]
pub(super) struct Table {
    chunks: Vec<Option<Chunk>>,
}

impl Table {
    pub(super) fn new(len: usize) -> Self {
        Table { chunks: vec![None; len] }
    }

    #[inline]
    pub(super) fn get(&self, c: usize) -> Option<&[u64]> {
        self.chunks[c].as_deref()
    }

    #[inline]
    pub(super) fn get_mut(&mut self, c: usize) -> Option<&mut Chunk> {
        self.chunks[c].as_mut()
    }

    /// Puts a chunk where none is.
    pub(super) fn put(&mut self, c: usize, chunk: Chunk) {
        debug_assert!(self.chunks[c].is_none());
        self.chunks[c] = Some(chunk);
    }

    /// Takes a chunk out.
    pub(super) fn take(&mut self, c: usize) -> Option<Chunk> {
        self.chunks[c].take()
    }

    /// Gives a chunk's memory back to the allocator. An entry that has none is only read, so that its page stays untouched.
    pub(super) fn free(&mut self, c: usize) {
        if self.chunks[c].is_some() {
            self.chunks[c] = None;
        }
    }

    /// The number of entries.
    pub(super) fn len(&self) -> usize {
        self.chunks.len()
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        let mut chunks = mem::take(&mut self.chunks);
        // SAFETY: zero is at most the capacity, and the first zero elements are initialised. Entries that still had memory would
        // leak, which is safe; `HBitmap` frees them first.
        unsafe { chunks.set_len(0) };
    }
}
