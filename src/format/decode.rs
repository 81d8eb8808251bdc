// SPDX-License-Identifier: GPL-2.0-or-later
//! The content of a bitmap, from blocks that may hold anything.

use super::{LoadError, WORD};
use crate::hbitmap::HBitmap;

/// Words that go into the bitmap in one go.
const BUFFER: u64 = 512;

/// A bitmap that is being read.
pub(super) struct Decoder {
    bitmap: HBitmap,
    word: u64,
    words: u64,
    /// The words from the last multiple of [`BUFFER`] on.
    buffer: Vec<u8>,
}

impl Decoder {
    /// A bitmap of which nothing is read. A bitmap can have this size and granularity.
    pub(super) fn new(size: u64, granularity_log2: u32) -> Self {
        let bitmap = HBitmap::new(size, granularity_log2);
        let words = bitmap.bits().div_ceil(64);
        Self { bitmap, word: 0, words, buffer: Vec::with_capacity(BUFFER as usize * WORD) }
    }

    pub(super) fn is_done(&self) -> bool {
        self.word == self.words
    }

    /// The bitmap, of which all is read.
    pub(super) fn finish(self) -> HBitmap {
        debug_assert!(self.is_done() && self.buffer.is_empty());
        self.bitmap
    }

    /// Reads a block.
    pub(super) fn block(&mut self, mut rest: &[u8]) -> Result<(), LoadError> {
        while let Some((marker, after)) = rest.split_first_chunk() {
            let marker = u64::from_le_bytes(*marker);
            let (run, literals) = (marker << 16 >> 17, marker >> 48);
            if run + literals == 0 {
                return Err(LoadError::Damaged { what: "a marker stands for nothing" });
            }
            if run + literals > self.words - self.word {
                return Err(LoadError::Damaged { what: "there is something past its end" });
            }
            let Some((literals, after)) = after.split_at_checked(literals as usize * WORD) else {
                return Err(LoadError::Damaged { what: "a block ends too early" });
            };
            self.run(marker & 1 != 0, run);
            self.literals(literals)?;
            rest = after;
        }
        Ok(())
    }

    /// Reads `count` words that are all dirty or all clean.
    fn run(&mut self, dirty: bool, mut count: u64) {
        while count != 0 {
            if self.buffer.is_empty() && count >= BUFFER {
                let whole = count - count % BUFFER;
                if dirty {
                    let (start, items) = self.items(self.word, self.word + whole);
                    self.bitmap.set(start, items);
                }
                self.word += whole;
                count -= whole;
            } else {
                let part = count.min(BUFFER - self.word % BUFFER);
                let length = self.buffer.len() + part as usize * WORD;
                self.buffer.resize(length, if dirty { 0xff } else { 0 });
                self.advance(part);
                count -= part;
            }
        }
    }

    /// Reads words as they are.
    fn literals(&mut self, mut bytes: &[u8]) -> Result<(), LoadError> {
        if let Some(last) = bytes.last_chunk() {
            let is_last = self.word + (bytes.len() / WORD) as u64 == self.words;
            let past = self.words * 64 - self.bitmap.bits();
            if is_last && u64::from_le_bytes(*last).leading_zeros() < past as u32 {
                return Err(LoadError::Damaged { what: "there is something past its end" });
            }
        }
        while !bytes.is_empty() {
            let part = (BUFFER - self.word % BUFFER).min((bytes.len() / WORD) as u64);
            let (now, after) = bytes.split_at(part as usize * WORD);
            self.buffer.extend(now);
            self.advance(part);
            bytes = after;
        }
        Ok(())
    }

    /// Counts words that came into the buffer, and empties it if it is full or the last one.
    fn advance(&mut self, count: u64) {
        self.word += count;
        if self.word % BUFFER != 0 && !self.is_done() {
            return;
        }
        let first = self.word - (self.buffer.len() / WORD) as u64;
        let (start, items) = self.items(first, self.word);
        if self.bitmap.is_serializable() {
            if self.buffer.iter().any(|&byte| byte != 0) {
                self.bitmap.deserialize_part(&self.buffer, start, items);
            }
        } else {
            // At most 32 bits.
            let bits = u64::from(self.buffer[0])
                | u64::from(self.buffer[1]) << 8
                | u64::from(self.buffer[2]) << 16
                | u64::from(self.buffer[3]) << 24;
            for bit in (0..self.bitmap.bits()).filter(|bit| bits >> bit & 1 != 0) {
                self.bitmap.set(bit << self.bitmap.granularity(), 1);
            }
        }
        self.buffer.clear();
    }

    /// The items of words `first..end`: the first, and how many.
    fn items(&self, first: u64, end: u64) -> (u64, u64) {
        let granularity = self.bitmap.granularity();
        let start = (first * 64) << granularity;
        let end = (end * 64).min(self.bitmap.bits()) << granularity;
        (start, end.min(self.bitmap.size()) - start)
    }
}
