// SPDX-License-Identifier: GPL-2.0-or-later
//! What an iterator must and may return. Implementations may differ while a bitmap changes (entry
//! 11 of docs/differences.md), so an iterator is judged by its promises, for each implementation on
//! its own.

use super::content::Content;
use crate::library::Origin;
use crate::runs::Runs;

/// Where an implementation's iterator is.
#[derive(Clone, Copy, Debug)]
struct Position {
    /// The lowest bit that it may still return.
    next: u64,
    /// The word it is in.
    word: u64,
}

/// An iterator.
#[derive(Clone, Debug)]
pub struct Walk {
    /// Of this library, and of QEMU.
    positions: [Position; 2],
    /// Bits that were dirty at the start and have been since.
    must: Runs,
    /// The content's version at the start; then nothing is left to choice.
    version: u64,
    /// The content's version up to which `must` is right.
    seen: u64,
    granularity: u32,
    /// The bitmap shrank, or its content was replaced: QEMU's iterator reads freed memory (entries
    /// 3 and 4).
    pub oracle_lost: bool,
}

impl Walk {
    /// At the bit of item `first`.
    #[must_use]
    pub fn new(content: &Content, first: u64) -> Self {
        let bit = first >> content.shape.granularity;
        let position = Position { next: bit, word: bit / 64 };
        let mut must = content.bits.clone();
        must.remove(0..bit);
        let version = content.version;
        Self {
            positions: [position; 2],
            must,
            version,
            seen: version,
            granularity: content.shape.granularity,
            oracle_lost: false,
        }
    }

    /// Takes note of what became of the content.
    pub fn follow(&mut self, content: &Content) {
        if content.shape.granularity != self.granularity {
            // Bits mean something else now: nothing is promised but that what is returned is dirty.
            self.granularity = content.shape.granularity;
            self.must = Runs::default();
            self.positions = [Position { next: 0, word: u64::MAX / 64 }; 2];
            self.version = u64::MAX;
        }
        if content.version != self.seen {
            self.must.intersect(&content.bits);
            self.seen = content.version;
        }
    }

    /// The content was replaced by another one.
    pub fn content_replaced(&mut self) {
        self.oracle_lost = true;
        self.version = u64::MAX;
        self.seen = u64::MAX;
    }

    /// Judges an item (or -1) that an implementation returned.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn judge(&mut self, origin: Origin, content: &Content, item: i64) -> Result<(), String> {
        let position = &mut self.positions[usize::from(origin == Origin::Qemu)];
        let bit = (item != -1).then(|| item as u64 >> self.granularity);
        if bit.is_some_and(|bit| bit << self.granularity != item as u64) {
            return Err(format!("the item {item} is not the start of a bit"));
        }
        if content.version == self.version {
            let right = content.bits.next_member(position.next);
            if bit != right {
                return Err(format!(
                    "bit {bit:?} instead of {right:?}, in a bitmap that did not change"
                ));
            }
        }
        if let Some(bit) = bit {
            if !content.bits.contains(bit) {
                return Err(format!("bit {bit} is clean"));
            }
            if bit < position.next {
                return Err(format!("bit {bit} after bit {} or later", position.next - 1));
            }
        }
        let missed =
            |missed: Option<u64>| missed.filter(|&missed| bit.is_none_or(|bit| missed < bit));
        if let Some(missed) = missed(self.must.next_member(position.next)) {
            return Err(format!("bit {missed}, dirty all the time, was passed over for {bit:?}"));
        }
        if origin == Origin::Ours && position.word < u64::MAX / 64 {
            // This library promises more.
            if let Some(missed) = missed(content.bits.next_member((position.word + 1) * 64)) {
                return Err(format!("bit {missed}, in a later word, was passed over for {bit:?}"));
            }
        }
        if let Some(bit) = bit {
            // Where the granularity changed under it, the first item that comes is where it is.
            *position = Position { next: bit + 1, word: bit / 64 };
        }
        Ok(())
    }
}
