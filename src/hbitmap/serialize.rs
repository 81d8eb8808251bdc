// SPDX-License-Identifier: GPL-2.0-or-later
//! Bytes in and out: a plain sequence of bits in little-endian words, on every host.

use super::geometry::CHUNK_WORDS;
use super::{HBitmap, words};
use crate::assertion::abi_assert;
use sha2::{Digest, Sha256};
use std::ops::Range;

impl HBitmap {
    /// Whether the bitmap can be serialised: its granularity is below 58, so that the alignment of
    /// the parts is a number.
    pub fn is_serializable(&self) -> bool {
        self.granularity < 58
    }

    /// What the start and the length of each serialised part, in items, must be a multiple of (the
    /// length of the last one need not be): 64 bits.
    ///
    /// # Panics
    /// If the bitmap is not [serialisable](Self::is_serializable).
    pub fn serialization_align(&self) -> u64 {
        abi_assert!(
            self.is_serializable(),
            "hbitmap_serialization_align",
            "hbitmap_is_serializable(hb)"
        );
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

    /// [`serialization_size`](Self::serialization_size) as C computes it: a range that wraps at
    /// 2^64 may pass QEMU's checks.
    ///
    /// No buffer is as long as the result, and QEMU's migration refuses a stream that asks for it.
    /// An assertion here would kill the guest that stock QEMU saves.
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
    /// If the bitmap is not serialisable, the range is not [aligned](Self::serialization_align) or
    /// not within the bitmap, or `buf` is shorter than
    /// [`serialization_size`](Self::serialization_size).
    pub fn serialize_part(&self, buf: &mut [u8], start: u64, count: u64) {
        let part = self.part(start, count);
        self.serialize_words(&mut buf[..(part.end - part.start) as usize * 8], part);
    }

    /// Writes the words of a [`part`](Self::part) to `rest`, which is as long.
    pub(crate) fn serialize_words(&self, mut rest: &mut [u8], part: Range<u64>) {
        if rest.len() == 8 {
            return rest.copy_from_slice(&self.word(part.start).to_le_bytes());
        }
        for (c, from, len) in chunks_of(part) {
            let (bytes, after) = rest.split_at_mut(len * 8);
            self.chunks.write_bytes(c, from, bytes);
            rest = after;
        }
    }

    /// Replaces the bits of the items `start..start + count` by those in `buf`. Set bits past the
    /// end of the bitmap are dropped.
    ///
    /// # Panics
    /// As [`serialize_part`](Self::serialize_part) does.
    pub fn deserialize_part(&mut self, buf: &[u8], start: u64, count: u64) {
        let part = self.part(start, count);
        let end = part.end;
        let mut rest = &buf[..(part.end - part.start) as usize * 8];
        let mut words = [0; CHUNK_WORDS];
        for (c, from, len) in chunks_of(part) {
            let (bytes, after) = rest.split_at(len * 8);
            let words = &mut words[..len];
            words::from_little_endian(words, bytes);
            let past = end * 64 - self.bits().min(end * 64);
            if after.is_empty() && past != 0 {
                words[len - 1] &= u64::MAX >> past;
            }
            if len == self.chunks.words_of(c) {
                self.change(c, |chunks| chunks.assign(c, words));
            } else {
                self.change(c, |chunks| chunks.write_words(c * CHUNK_WORDS + from, words));
            }
            rest = after;
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

    /// Ends a deserialisation. QEMU's C rebuilds levels and count here; they are right after each
    /// call in this engine, so that there is nothing left to do.
    pub fn deserialize_finish(&mut self) {}

    /// The SHA-256 of the whole bitmap as serialised (a bitmap of size 0 counts as one zero word),
    /// as 64 lower-case hexadecimal digits. It is the same on little- and big-endian hosts.
    pub fn sha256(&self) -> String {
        let mut hash = Sha256::new();
        let mut bytes = [0; CHUNK_WORDS * 8];
        for c in 0..self.chunks.len() {
            let bytes = &mut bytes[..self.chunks.words_of(c) * 8];
            self.chunks.write_bytes(c, 0, bytes);
            hash.update(bytes);
        }
        if self.chunks.len() == 0 {
            hash.update([0; 8]);
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The words of a serialised part, after QEMU's checks; none if `count` is 0.
    #[inline]
    pub(crate) fn part(&self, start: u64, count: u64) -> Range<u64> {
        if count == 0 {
            return 0..0;
        }
        let (first, last) = self.part_ends(start, count, false);
        first..last + 1
    }

    /// The first and the last word of a serialised part of `count` items, not 0, after QEMU's
    /// checks. Where the range `may_wrap` at 2^64, the last word may be before the first.
    fn part_ends(&self, start: u64, count: u64, may_wrap: bool) -> (u64, u64) {
        let unaligned = self.serialization_align() - 1;
        let function = "serialization_chunk";
        abi_assert!(start & unaligned == 0, function, "(start & (gran - 1)) == 0");
        let end = start.wrapping_add(count - 1);
        let last = end >> self.granularity;
        abi_assert!(
            (may_wrap || end >= start) && last < self.bits(),
            function,
            "(last >> hb->granularity) < hb->size"
        );
        if last != self.bits() - 1 {
            abi_assert!(count & unaligned == 0, function, "(count & (gran - 1)) == 0");
        }
        (start >> self.granularity >> 6, last >> 6)
    }
}

/// The chunks that a range of words touches, each with the first word in it and how many.
fn chunks_of(part: Range<u64>) -> impl Iterator<Item = (usize, usize, usize)> {
    let (mut w, end) = (part.start as usize, part.end as usize);
    std::iter::from_fn(move || {
        let (c, from) = (w / CHUNK_WORDS, w % CHUNK_WORDS);
        let len = (CHUNK_WORDS - from).min(end - w);
        w += len;
        (len != 0).then_some((c, from, len))
    })
}
