// SPDX-License-Identifier: GPL-2.0-or-later
//! How a bitmap is cut into chunks.

/// log2 of the bits in a chunk.
pub(super) const CHUNK_SHIFT: u32 = 15;
/// Bits in a chunk (the last chunk of a bitmap may have fewer).
pub(super) const CHUNK_BITS: u64 = 1 << CHUNK_SHIFT;
/// Leaf words in a chunk.
pub(super) const CHUNK_WORDS: usize = (CHUNK_BITS / 64) as usize;
