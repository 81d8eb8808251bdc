// SPDX-License-Identifier: GPL-2.0-or-later
//! The bits, in chunks, and how each chunk is stored.
//!
//! A chunk is stored in one of three ways, whichever is the least:
//!
//! * *full*: all its bits are set. Nothing is stored.
//! * *array*: up to six bits are set, or none. The header holds their indices.
//! * *words*: the bits lie in the flat array of words, in spans of 64. A span that has no set bit
//!   is not stored: its words and its summary word may hold anything.
//!
//! The summary has a bit for each word of a stored span, set if the word is not zero. A store
//! changes when a chunk needs another one, and when all of it is replaced. A chunk that loses or
//! gains single bits keeps its words until the last bit is gone, so that nothing goes to and fro.
//!
//! Memory is allocated by [`Chunks::new`] and [`Chunks::resize`] alone, zeroed by calloc. A bit
//! that is set or cleared never allocates.
//!
//! Here are the questions to a chunk. `edit` changes ranges and words, `copy` whole chunks.

mod copy;
mod edit;
mod header;
mod memory;

use super::geometry::{CHUNK_BITS, CHUNK_SHIFT, CHUNK_SPANS, CHUNK_WORDS, SPAN_SHIFT, above};
use super::geometry::{SPAN_BITS, SPAN_WORDS};
use super::words;
use header::Header;
use memory::Memory;
pub(super) use memory::resize_list;
use std::ops::Range;

/// All spans of a chunk.
const ALL_SPANS: u8 = (0xff_u32 >> (8 - CHUNK_SPANS)) as u8;
/// The summary of a span that has no zero word.
const ALL_WORDS: u64 = u64::MAX >> (64 - SPAN_WORDS);

/// The bits of a bitmap. Chunks and words are numbered through the bitmap, bits as said.
#[derive(Debug)]
pub(super) struct Chunks {
    memory: Memory,
    summary: Vec<u64>,
    bits: u64,
}

impl Chunks {
    /// `bits` bits, none of them set.
    pub(super) fn new(bits: u64) -> Self {
        let words = bits.div_ceil(64) as usize;
        Chunks { memory: Memory::new(words), summary: vec![0; words.div_ceil(SPAN_WORDS)], bits }
    }

    /// The number of bits.
    #[inline(always)]
    pub(super) fn bits(&self) -> u64 {
        self.bits
    }

    /// The number of chunks.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.memory.chunks()
    }

    /// The bits that chunk `c` has: [`CHUNK_BITS`], but the last one may be short.
    #[inline]
    pub(super) fn size_of(&self, c: usize) -> u64 {
        CHUNK_BITS.min(self.bits - ((c as u64) << CHUNK_SHIFT))
    }

    /// The words that chunk `c` has.
    #[inline]
    pub(super) fn words_of(&self, c: usize) -> usize {
        CHUNK_WORDS.min(self.memory.len() - c * CHUNK_WORDS)
    }

    /// Bits that are set in chunk `c`.
    #[inline]
    pub(super) fn count(&self, c: usize) -> u64 {
        self.header(c).count()
    }

    /// Whether bit `bit` of the bitmap is set.
    #[inline(always)]
    pub(super) fn get(&self, bit: u64) -> bool {
        let w = (bit / 64) as usize;
        let header = self.header(w / CHUNK_WORDS);
        if header.is_words_or_empty() {
            return (self.memory.word(w) & stored_mask(header, w)) >> (bit % 64) & 1 != 0;
        }
        header.is_full() | header.array_contains(bit % CHUNK_BITS)
    }

    /// Word `w` of the bitmap.
    #[inline]
    pub(super) fn word(&self, w: usize) -> u64 {
        let header = self.header(w / CHUNK_WORDS);
        if header.has_array() {
            return header.array_word(w % CHUNK_WORDS);
        }
        let full = u64::from(header.is_full()).wrapping_neg();
        self.memory.word(w) & stored_mask(header, w) | full
    }

    /// The first clear bit of the chunk of bit `from`, from there on; `None` if all are set up to
    /// the end of the chunk. If that is past `last()`, it may be any bit past that, up to the first
    /// one past the end of the bitmap.
    #[inline(always)]
    pub(super) fn next_clear(&self, from: u64, last: impl FnOnce() -> u64) -> Option<u64> {
        let w = (from / 64) as usize;
        let header = self.header(w / CHUNK_WORDS);
        if !header.is_words_or_empty() {
            let end = header.array_run_end(from % CHUNK_BITS);
            let is_here = header.has_array() && end < CHUNK_BITS;
            return is_here.then_some(from - from % CHUNK_BITS + end);
        }
        let clear = !(self.memory.word(w) & stored_mask(header, w)) >> (from % 64);
        if clear != 0 {
            return Some(from + u64::from(clear.trailing_zeros()));
        }
        if header.count() == CHUNK_BITS {
            return None;
        }
        // The spans that are stored in a row; what follows them in the chunk is clear.
        let row = header.spans() >> (w / SPAN_WORDS % CHUNK_SPANS);
        let end = (w / SPAN_WORDS + row.trailing_ones() as usize) * SPAN_WORDS;
        let end = end.min((last() / 64) as usize + 1).min(self.memory.len());
        let words = &self.memory.words()[..end];
        match words::first_clear(&words[w + 1..]) {
            Some(i) => Some((w + 1 + i) as u64 * 64 + u64::from(words[w + 1 + i].trailing_ones())),
            // At most the end of the bitmap: an item past that may be no number of 64 bits.
            None => (end % CHUNK_WORDS != 0).then_some(self.bits.min(end as u64 * 64)),
        }
    }

    /// Which words of span `s` of chunk `c` are not zero. None if the store is an array.
    #[inline]
    pub(super) fn nonzero_words(&self, c: usize, s: usize) -> u64 {
        let header = self.header(c);
        let full = u64::from(header.is_full()).wrapping_neg() & ALL_WORDS;
        let stored = u64::from(header.spans() >> s & 1).wrapping_neg();
        self.summary[self.span(c, s)] & stored | full
    }

    /// Which spans of chunk `c` have set bits. None if the store is an array.
    #[inline]
    pub(super) fn spans(&self, c: usize) -> u32 {
        let header = self.header(c);
        u32::from(if header.is_full() { ALL_SPANS } else { header.spans() })
    }

    /// The bit in slot `slot` of the array of chunk `c`, if there is such a chunk, stored so, with
    /// that many bits.
    #[inline]
    pub(super) fn array_slot(&self, c: usize, slot: u32) -> Option<u64> {
        if c < self.len() { self.header(c).array_slot(slot as usize) } else { None }
    }

    /// The slot of the first bit at or after `from` in the array of chunk `c`.
    #[inline]
    pub(super) fn slot_from(&self, c: usize, from: u64) -> u32 {
        self.header(c).array_rank(from) as u32
    }

    /// The first set bit of chunk `c` at or after its bit `from`.
    #[inline]
    pub(super) fn next_set(&self, c: usize, from: u64) -> Option<u64> {
        let header = self.header(c);
        if header.spans() == 0 {
            return if header.is_full() { Some(from) } else { header.next_in_array(from) };
        }
        let (at, s) = ((from / 64) as usize, (from / SPAN_BITS) as usize);
        let first = c * CHUNK_WORDS;
        let found =
            |word: usize, bits: u64| Some(word as u64 * 64 + u64::from(bits.trailing_zeros()));
        if header.spans() >> s & 1 != 0 {
            let bits = self.memory.word(first + at) & (u64::MAX << (from % 64));
            if bits != 0 {
                return found(at, bits);
            }
            let after = above(self.summary[self.span(c, s)], (at % SPAN_WORDS) as u64);
            if after != 0 {
                let word = s * SPAN_WORDS + after.trailing_zeros() as usize;
                return found(word, self.memory.word(first + word));
            }
        }
        let spans = above(header.spans().into(), s as u64);
        if spans == 0 {
            return None;
        }
        let s = spans.trailing_zeros() as usize;
        let summary = self.summary[self.span(c, s)];
        let word = s * SPAN_WORDS + summary.trailing_zeros() as usize;
        found(word, self.memory.word(first + word))
    }

    /// The words of span `s` of chunk `c`, and which of them are not zero, if it is stored.
    #[inline]
    pub(super) fn stored_span(&self, c: usize, s: usize) -> Option<(&[u64], u64)> {
        let is_stored = self.header(c).spans() >> s & 1 != 0;
        is_stored
            .then(|| (&self.memory.words()[self.span_words(c, s)], self.summary[self.span(c, s)]))
    }

    #[inline(always)]
    fn header(&self, c: usize) -> Header {
        self.memory.header(c)
    }

    /// The number of span `s` of chunk `c` in the summary.
    #[inline(always)]
    fn span(&self, c: usize, s: usize) -> usize {
        c * CHUNK_SPANS + s
    }

    /// Where the words of span `s` of chunk `c` are. The last span of a bitmap may be short.
    #[inline(always)]
    fn span_words(&self, c: usize, s: usize) -> Range<usize> {
        let first = c * CHUNK_WORDS + s * SPAN_WORDS;
        first..(first + SPAN_WORDS).min(self.memory.len())
    }

    /// How each chunk is stored: 0 empty, 1 full, 2 an array, 3 words. For tests.
    #[cfg(test)]
    pub(super) fn stores(&self) -> Vec<u8> {
        let of = |c| match self.header(c) {
            header if header.is_full() => 1,
            header if header.has_array() => 2,
            header if header.spans() != 0 => 3,
            _ => 0,
        };
        (0..self.len()).map(of).collect()
    }

    /// Panics unless chunk `c` is stored as the module says.
    #[cfg(any(test, qdb_internals))]
    pub(super) fn check_chunk(&self, c: usize) {
        let header = self.header(c);
        let size = if c + 1 < self.len() { CHUNK_BITS } else { (self.bits - 1) % CHUNK_BITS + 1 };
        assert_eq!(self.size_of(c), size, "the size of chunk {c}");
        assert_eq!(self.words_of(c), size.div_ceil(64) as usize, "the words of chunk {c}");
        let ways = [header.is_full(), header.has_array(), header.spans() != 0];
        let ways = ways.iter().filter(|&&way| way).count();
        assert_eq!(ways, usize::from(header.count() != 0), "chunk {c} is stored in {ways} ways");
        assert!(!header.is_full() || header == Header::FULL, "chunk {c} is full, and has more");
        assert!(!header.is_full() || size == CHUNK_BITS, "chunk {c} is short and full");
        let array: Vec<u64> = header.array().collect();
        assert!(array.is_sorted_by(|a, b| a < b), "the array of chunk {c} does not ascend");
        assert!(array.iter().all(|&bit| bit < size), "chunk {c} has bits past its end");
        let mut count = if header.is_full() { CHUNK_BITS } else { array.len() as u64 };
        for s in 0..CHUNK_SPANS {
            let Some((words, summary)) = self.stored_span(c, s) else { continue };
            assert_ne!(summary, 0, "span {s} of chunk {c} is stored, and empty");
            let nonzero = |i: usize| words.get(i).is_some_and(|&word| word != 0);
            let agree = (0..64).all(|i| (summary >> i & 1 != 0) == nonzero(i));
            assert!(agree, "the summary of span {s} of chunk {c} is wrong");
            count += words.iter().map(|word| u64::from(word.count_ones())).sum::<u64>();
        }
        assert_eq!(header.count(), count, "the count of chunk {c}");
        let tail = self.bits % 64;
        if c + 1 == self.len() && tail != 0 {
            let last = self.word(self.memory.len() - 1);
            assert_eq!(last & (u64::MAX << tail), 0, "bits are set past the end");
        }
    }
}

/// All ones if the span of word `w` of the bitmap is stored as words, else zero.
#[inline(always)]
fn stored_mask(header: Header, w: usize) -> u64 {
    u64::from(header.spans() >> ((w >> SPAN_SHIFT) % CHUNK_SPANS) & 1).wrapping_neg()
}
