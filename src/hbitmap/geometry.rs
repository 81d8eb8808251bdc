// SPDX-License-Identifier: GPL-2.0-or-later
//! The sizes that the engine is built on.
//!
//! They are constants of the build. `--cfg qdb_tiny` makes them so small that a test can walk every
//! state of a bitmap of three chunks; nothing else depends on their values.

/// log2 of the bits in a chunk.
pub(super) const CHUNK_SHIFT: u32 = if cfg!(qdb_tiny) { 9 } else { 15 };
/// log2 of the words in a span. A summary word has one bit for each, so there are at most 64.
pub(super) const SPAN_SHIFT: u32 = if cfg!(qdb_tiny) { 2 } else { 6 };
/// How many bit indices a header holds: at most 6.
pub(super) const ARRAY_LEN: usize = if cfg!(qdb_tiny) { 2 } else { 6 };

/// Bits in a chunk.
pub(super) const CHUNK_BITS: u64 = 1 << CHUNK_SHIFT;
/// Words in a chunk.
pub(super) const CHUNK_WORDS: usize = (CHUNK_BITS / 64) as usize;
/// Words in a span.
pub(super) const SPAN_WORDS: usize = 1 << SPAN_SHIFT;
/// Bits in a span.
pub(super) const SPAN_BITS: u64 = SPAN_WORDS as u64 * 64;
/// Spans in a chunk: at most 8.
pub(super) const CHUNK_SPANS: usize = CHUNK_WORDS / SPAN_WORDS;

const _: () = assert!(CHUNK_SPANS >= 1 && CHUNK_SPANS <= 8 && SPAN_WORDS <= 64 && ARRAY_LEN <= 6);

/// The mask with the bits `first..=last` of a word; both are taken modulo 64.
#[inline]
pub(super) fn mask(first: u64, last: u64) -> u64 {
    (u64::MAX << (first & 63)) & (u64::MAX >> (63 - (last & 63)))
}

/// The bits of `word` above bit `bit` (0 to 63).
#[inline]
pub(super) fn above(word: u64, bit: u64) -> u64 {
    word & (u64::MAX << bit << 1)
}

/// The indices of the set bits of `word`, ascending.
#[inline]
pub(super) fn ones_of(mut word: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let bit = word.trailing_zeros() as usize;
        word &= word.wrapping_sub(1);
        (bit < 64).then_some(bit)
    })
}
