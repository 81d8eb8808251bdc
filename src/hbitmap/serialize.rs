// SPDX-License-Identifier: GPL-2.0-or-later
//! Bytes in and out: a plain sequence of bits in little-endian words, on every host.

use super::chunks::{CHUNK_BITS, CHUNK_SHIFT, CHUNK_WORDS};
use super::{words, HBitmap, State};
use crate::assertion::abi_assert;
use sha2::{Digest, Sha256};
use std::ops::Range;

impl HBitmap {
    /// Whether the bitmap can be serialised: its granularity is below 58, so that the alignment of the parts is a number.
    pub fn is_serializable(&self) -> bool {
        self.granularity < 58
    }

    /// What the start and the length of each serialised part, in items, must be a multiple of (the length of the last one need
    /// not be): 64 bits.
    ///
    /// # Panics
    /// If the bitmap is not [serialisable](Self::is_serializable).
    pub fn serialization_align(&self) -> u64 {
        abi_assert!(self.is_serializable(), "hbitmap_serialization_align", "hbitmap_is_serializable(hb)");
        64 << self.granularity
    }

    /// The bytes that the items `start..start + count` take when serialised; 0 if `count` is.
    ///
    /// # Panics
    /// As [`serialize_part`](Self::serialize_part) does.
    pub fn serialization_size(&self, start: u64, count: u64) -> u64 {
        let part = self.part(start, count);
        (part.end - part.start) * 8
    }

    /// The same as C computes it: a range that wraps at 2^64 may pass QEMU's checks.
    ///
    /// No buffer is as long as what comes out then, and QEMU's migration refuses a stream that asks for it. An assertion here would
    /// kill the guest that stock QEMU saves.
    ///
    /// # Panics
    /// As [`serialization_size`](Self::serialization_size) for other ranges.
    pub(crate) fn serialization_size_as_in_c(&self, start: u64, count: u64) -> u64 {
        if count == 0 {
            return 0;
        }
        let (first, last) = self.part_ends(start, count, true);
        last.wrapping_sub(first).wrapping_add(1).wrapping_mul(8)
    }

    /// Writes the bits of the items `start..start + count` to `buf`.
    ///
    /// # Panics
    /// If the bitmap is not serialisable, the range is not [aligned](Self::serialization_align) or not within the bitmap, or
    /// `buf` is shorter than [`serialization_size`](Self::serialization_size).
    pub fn serialize_part(&self, buf: &mut [u8], start: u64, count: u64) {
        let part = self.part(start, count);
        let mut rest = &mut buf[..(part.end - part.start) as usize * 8];
        let mut stream = words::Stream::for_buffer(rest.len());
        let mut write = |bytes: &mut [u8], words: &[u64]| match &mut stream {
            Some(stream) => stream.write(bytes, words),
            None => words::to_little_endian(bytes, words),
        };
        // All zero between the chunks: a few bits are set in it and cleared again sooner than all its words are written.
        let mut few = [0; CHUNK_WORDS];
        for (c, from, len) in chunks_of(part) {
            let (bytes, behind) = rest.split_at_mut(len * 8);
            rest = behind;
            match self.state(c) {
                State::Dense(leaf) => {
                    let words = &leaf.words[from..from + len];
                    words::ask_behind(words);
                    write(bytes, words);
                }
                State::Zero => write(bytes, &few[..len]),
                State::Sparse(places) => {
                    for &place in places {
                        few[place.word()] |= place.in_word();
                    }
                    write(bytes, &few[from..from + len]);
                    for &place in places {
                        few[place.word()] = 0;
                    }
                }
                State::Full | State::Coarse(_) => {
                    let mut all = [0; CHUNK_WORDS];
                    self.copy_words(c, from, &mut all[..len]);
                    write(bytes, &all[..len]);
                }
            }
        }
    }

    /// Replaces the bits of the items `start..start + count` by those in `buf`. Set bits past the end of the bitmap are dropped.
    ///
    /// # Panics
    /// As [`serialize_part`](Self::serialize_part) does.
    pub fn deserialize_part(&mut self, buf: &[u8], start: u64, count: u64) {
        let part = self.part(start, count);
        let mut rest = &buf[..(part.end - part.start) as usize * 8];
        for (c, from, len) in chunks_of(part) {
            let (bytes, behind) = rest.split_at(len * 8);
            rest = behind;
            let leaves = self.leaves(c);
            if len == CHUNK_WORDS && self.bits_in(c) == CHUNK_BITS {
                if self.chunks.is_dense(c) {
                    self.replace(c, bytes);
                } else {
                    self.put(c, &words::summarize_bytes(bytes), bytes);
                }
                continue;
            }
            let mut leaf = [0; CHUNK_WORDS];
            if len != leaves {
                self.copy_words(c, 0, &mut leaf[..leaves]);
            }
            words::from_little_endian(&mut leaf[from..from + len], bytes);
            leaf[leaves - 1] &= self.valid((c * CHUNK_WORDS + leaves - 1) as u64);
            self.store(c, &leaf[..leaves]);
        }
    }

    /// Overwrites chunk `c`, which is dense and of full size, in one pass.
    fn replace(&mut self, c: usize, bytes: &[u8]) {
        let Some(own) = self.chunks.leaf_mut(c) else { return };
        let (summary, lost) = words::replace(own.words, bytes);
        own.summary.copy_from_slice(&summary.words);
        self.count = self.count - lost + summary.ones;
        self.generation += 1;
        if summary.ones == 0 {
            self.mark_zero(c);
        } else if summary.ones == CHUNK_BITS {
            self.mark_full(c);
        }
    }

    /// Clears the bits of the items `start..start + count`.
    ///
    /// # Panics
    /// As [`serialize_part`](Self::serialize_part) does.
    pub fn deserialize_zeroes(&mut self, start: u64, count: u64) {
        let part = self.part(start, count);
        if !part.is_empty() {
            self.reset_bits(part.start * 64, (part.end * 64).min(self.bits()) - 1);
        }
    }

    /// Sets the bits of the items `start..start + count`.
    ///
    /// # Panics
    /// As [`serialize_part`](Self::serialize_part) does.
    pub fn deserialize_ones(&mut self, start: u64, count: u64) {
        let part = self.part(start, count);
        if !part.is_empty() {
            self.set_bits(part.start * 64, (part.end * 64).min(self.bits()) - 1);
        }
    }

    /// Ends a deserialisation. QEMU's C rebuilds levels and count here; this engine keeps them right in each call, so that there
    /// is nothing left to do.
    pub fn deserialize_finish(&mut self) {}

    /// The SHA-256 of the whole bitmap as serialised (a bitmap of size 0 counts as one zero word), as 64 lower-case hexadecimal
    /// digits. It is the same on little- and big-endian hosts.
    pub fn sha256(&self) -> String {
        let mut hash = Sha256::new();
        let mut bytes = [0; CHUNK_WORDS * 8];
        for c in 0..self.chunk_count() {
            let mut leaf = [0; CHUNK_WORDS];
            let leaves = self.leaves(c);
            self.copy_words(c, 0, &mut leaf[..leaves]);
            words::to_little_endian(&mut bytes[..leaves * 8], &leaf[..leaves]);
            hash.update(&bytes[..leaves * 8]);
        }
        if self.chunk_count() == 0 {
            hash.update([0; 8]);
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The leaf words of a serialised part, after QEMU's checks; none if `count` is 0.
    fn part(&self, start: u64, count: u64) -> Range<u64> {
        if count == 0 {
            return 0..0;
        }
        let (first, last) = self.part_ends(start, count, false);
        first..last + 1
    }

    /// The first and the last leaf word of a serialised part of `count` items, not 0, after QEMU's checks. Where the range `may_wrap`
    /// at 2^64, the last word may be before the first.
    fn part_ends(&self, start: u64, count: u64, may_wrap: bool) -> (u64, u64) {
        let unaligned = self.serialization_align() - 1;
        let function = "serialization_chunk";
        abi_assert!(start & unaligned == 0, function, "(start & (gran - 1)) == 0");
        let end = start.wrapping_add(count - 1);
        let last = end >> self.granularity;
        abi_assert!((may_wrap || end >= start) && last < self.bits(), function, "(last >> hb->granularity) < hb->size");
        if last != self.bits() - 1 {
            abi_assert!(count & unaligned == 0, function, "(count & (gran - 1)) == 0");
        }
        (start >> self.granularity >> 6, last >> 6)
    }
}

/// The chunks that a range of leaf words touches, each with the first word in it and how many.
fn chunks_of(part: Range<u64>) -> impl Iterator<Item = (usize, usize, usize)> {
    let mut word = part.start;
    std::iter::from_fn(move || {
        if word >= part.end {
            return None;
        }
        let c = word >> (CHUNK_SHIFT - 6);
        let from = word as usize % CHUNK_WORDS;
        let len = (CHUNK_WORDS - from).min((part.end - word) as usize);
        word += len as u64;
        Some((c as usize, from, len))
    })
}
