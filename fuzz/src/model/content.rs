// SPDX-License-Identifier: GPL-2.0-or-later
//! What an HBitmap must answer, said in terms of a set of bits.

use sha2::{Digest, Sha256};

use crate::position::{Shape, bits_for};
use crate::runs::Runs;

/// The most bits of a bitmap.
pub const MAX_BITS: u64 = 1 << 41;

/// Why a call does not return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// An assertion of QEMU's fails.
    Aborts,
    /// This library aborts; QEMU's C is undefined (the entry in docs/differences.md).
    OursAborts(u8),
}

/// A result, or a fault.
pub type Checked<T> = Result<T, Fault>;

/// An HBitmap.
#[derive(Clone, Debug)]
pub struct Content {
    /// Items and granularity.
    pub shape: Shape,
    /// The bits that are set.
    pub bits: Runs,
    /// Grows with each call that may change bits.
    pub version: u64,
}

/// Fails with QEMU's assertion unless a condition holds.
pub fn require(condition: bool) -> Checked<()> {
    if condition { Ok(()) } else { Err(Fault::Aborts) }
}

/// Whether a bitmap can have this size and granularity.
pub fn allowed(size: u64, granularity: i32) -> Checked<Shape> {
    require(size <= i64::MAX as u64 && (0..64).contains(&granularity))?;
    let shape = Shape { size, granularity: granularity as u32 };
    require(shape.bits() <= MAX_BITS)?;
    Ok(shape)
}

impl Content {
    /// A clean one.
    #[must_use]
    pub fn new(shape: Shape) -> Self {
        Self { shape, bits: Runs::default(), version: 0 }
    }

    fn granularity(&self) -> u32 {
        self.shape.granularity
    }

    /// Dirty items, counted in whole bits.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.bits.count() << self.granularity()
    }

    /// The bits of a range of items that is not empty.
    fn bit_range(&self, start: u64, count: u64) -> Checked<std::ops::Range<u64>> {
        let last = start.checked_add(count - 1).ok_or(Fault::OursAborts(15))?;
        require(last >> self.granularity() < self.shape.bits())?;
        Ok(start >> self.granularity()..(last >> self.granularity()) + 1)
    }

    /// `hbitmap_set`, if it may be done: the bits.
    pub fn settable(&self, start: u64, count: u64) -> Checked<std::ops::Range<u64>> {
        if count == 0 {
            return Ok(0..0);
        }
        self.bit_range(start, count)
    }

    /// `hbitmap_reset`, if it may be done: the bits.
    pub fn resettable(&self, start: u64, count: u64) -> Checked<std::ops::Range<u64>> {
        if count == 0 {
            return Ok(0..0);
        }
        let granule_mask = (1u64 << self.granularity()) - 1;
        require(start & granule_mask == 0)?;
        require(count & granule_mask == 0 || start.wrapping_add(count) == self.shape.size)?;
        self.bit_range(start, count)
    }

    /// Makes a range of bits dirty or clean.
    pub fn assign(&mut self, bits: std::ops::Range<u64>, dirty: bool) {
        if dirty {
            self.bits.insert(bits);
        } else {
            self.bits.remove(bits);
        }
        self.version += 1;
    }

    /// `hbitmap_reset_all`.
    pub fn clear(&mut self) {
        self.bits = Runs::default();
        self.version += 1;
    }

    /// `hbitmap_get`.
    pub fn get(&self, item: u64) -> Checked<bool> {
        require(item >> self.granularity() < self.shape.bits())?;
        Ok(self.bits.contains(item >> self.granularity()))
    }

    /// The first bit from that of `start` on for which `next` has an answer, as an item of
    /// `start..start + count` within the size.
    fn search(&self, start: i64, count: i64, next: impl FnOnce(u64) -> Option<u64>) -> i64 {
        let (start, count) = (start as u64, count as u64);
        let end = start.saturating_add(count).min(self.shape.size);
        if start >= end {
            return -1;
        }
        let item = next(start >> self.granularity())
            .map(|bit| (u128::from(bit) << self.granularity()) as u64);
        match item.map(|item| item.max(start)) {
            Some(item) if item < end => item as i64,
            _ => -1,
        }
    }

    /// `hbitmap_next_dirty`.
    pub fn next_dirty(&self, start: i64, count: i64) -> Checked<i64> {
        require(start >= 0 && count >= 0)?;
        Ok(self.search(start, count, |bit| self.bits.next_member(bit)))
    }

    /// Whether QEMU's `hbitmap_next_zero` reads outside of its memory (entry 1).
    #[must_use]
    pub fn overread(&self, start: i64) -> bool {
        let words = self.shape.bits().div_ceil(64).max(1);
        start < 0 || (start as u64 >> self.granularity()) / 64 >= words
    }

    /// `hbitmap_next_zero`.
    pub fn next_zero(&self, start: i64, count: i64) -> Checked<i64> {
        if start < 0 || count < 0 {
            return Err(if self.overread(start) { Fault::OursAborts(1) } else { Fault::Aborts });
        }
        Ok(self.search(start, count, |bit| {
            Some(self.bits.next_gap(bit)).filter(|&gap| gap < self.shape.bits())
        }))
    }

    /// `hbitmap_next_dirty_area`.
    pub fn next_dirty_area(&self, start: i64, end: i64, max: i64) -> Checked<Option<(i64, i64)>> {
        require(start >= 0 && end >= 0 && max > 0)?;
        let end = (end as u64).min(self.shape.size) as i64;
        if start >= end {
            return Ok(None);
        }
        let from = self.next_dirty(start, end - start)?;
        if from < 0 {
            return Ok(None);
        }
        let longest = (end - from).min(max);
        let zero = self.next_zero(from, longest)?;
        Ok(Some((from, if zero < 0 { longest } else { zero - from })))
    }

    /// `hbitmap_status`.
    pub fn status(&self, start: i64, count: i64) -> Checked<(bool, i64)> {
        require(start >= 0 && count > 0)?;
        require(start.checked_add(count).is_some_and(|end| end as u64 <= self.shape.size))?;
        let dirty = self.get(start as u64)?;
        let other =
            if dirty { self.next_zero(start, count)? } else { self.next_dirty(start, count)? };
        Ok((dirty, if other < 0 { count } else { other - start }))
    }

    /// `hbitmap_serialization_align`.
    pub fn alignment(&self) -> Checked<u64> {
        require(self.granularity() < 58)?;
        Ok(64 << self.granularity())
    }

    /// The words of a serialised part.
    pub fn part(&self, start: u64, count: u64) -> Checked<std::ops::Range<u64>> {
        if count == 0 {
            return Ok(0..0);
        }
        let (first, last) = self.part_ends(
            start,
            count,
            start.checked_add(count - 1).ok_or(Fault::OursAborts(15)),
        )?;
        Ok(first..last + 1)
    }

    /// The bytes of a serialised part. A range that wraps has a size that no buffer has, as in C.
    pub fn part_size(&self, start: u64, count: u64) -> Checked<u64> {
        if count == 0 {
            return Ok(0);
        }
        let (first, last) = self.part_ends(start, count, Ok(start.wrapping_add(count - 1)))?;
        Ok(last.wrapping_sub(first).wrapping_add(1).wrapping_mul(8))
    }

    /// The first and the last word of a part whose last item is `end`.
    fn part_ends(&self, start: u64, count: u64, end: Checked<u64>) -> Checked<(u64, u64)> {
        let align_mask = self.alignment()? - 1;
        require(start & align_mask == 0)?;
        let last = end? >> self.granularity();
        require(last < self.shape.bits())?;
        require(last == self.shape.bits() - 1 || count & align_mask == 0)?;
        Ok((start >> self.granularity() >> 6, last / 64))
    }

    /// The valid bits of the last word, if `part` has it.
    #[must_use]
    pub fn tail(&self, part: &std::ops::Range<u64>) -> Option<u64> {
        let used = self.shape.bits() % 64;
        let last = !part.is_empty() && part.end == self.shape.bits().div_ceil(64);
        last.then(|| if used == 0 { u64::MAX } else { !(u64::MAX << used) })
    }

    /// `hbitmap_serialize_part`.
    #[must_use]
    pub fn bytes(&self, part: std::ops::Range<u64>) -> Vec<u8> {
        let mut bytes = vec![0; (part.end - part.start) as usize * 8];
        let (first, end) = (part.start * 64, part.end * 64);
        let mut from = first;
        while let Some(start) = self.bits.next_member(from).filter(|&bit| bit < end) {
            let stop = self.bits.next_gap(start).min(end);
            let mut bit = start - first;
            while bit < stop - first {
                if bit % 8 == 0 && stop - first - bit >= 8 {
                    bytes[(bit / 8) as usize] = 0xff;
                    bit += 8;
                } else {
                    bytes[(bit / 8) as usize] |= 1 << (bit % 8);
                    bit += 1;
                }
            }
            from = stop;
        }
        bytes
    }

    /// `hbitmap_deserialize_part`, without the bits past the end.
    pub fn load(&mut self, part: std::ops::Range<u64>, bytes: &[u8]) {
        let first = part.start * 64;
        let bits = self.shape.bits();
        self.bits.remove(first..part.end * 64);
        let mut run: Option<u64> = None;
        for bit in first..(part.end * 64).min(bits) {
            let at = bit - first;
            let dirty = bytes[(at / 8) as usize] >> (at % 8) & 1 != 0;
            match (dirty, run) {
                (true, None) => run = Some(bit),
                (false, Some(start)) => {
                    self.bits.insert(start..bit);
                    run = None;
                }
                _ => {}
            }
        }
        if let Some(start) = run {
            self.bits.insert(start..(part.end * 64).min(bits));
        }
        self.version += 1;
    }

    /// `hbitmap_sha256`.
    #[must_use]
    pub fn sha256(&self) -> String {
        let bytes = self.bytes(0..self.shape.bits().div_ceil(64).max(1));
        Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// `hbitmap_truncate`, whose arguments are allowed.
    pub fn truncate(&mut self, shape: Shape) {
        self.shape = shape;
        self.bits.remove(shape.bits()..u64::MAX);
        self.version += 1;
    }

    /// Adds another bitmap of the same size.
    pub fn merge(&mut self, other: &Content) {
        let (from, to) = (other.granularity(), self.granularity());
        for run in other.bits.iter() {
            let start = run.start << from;
            let end = ((u128::from(run.end) << from) as u64).min(self.shape.size);
            self.bits.insert(start >> to..((end - 1) >> to) + 1);
        }
        self.version += 1;
    }

    /// The ranges of items that `hbitmap_set` takes to get this content.
    pub fn item_ranges(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.bits.iter().map(|run| {
            let start = run.start << self.granularity();
            (
                start,
                ((u128::from(run.end) << self.granularity()) as u64).min(self.shape.size) - start,
            )
        })
    }
}

/// Whether bitmaps of this size and granularity have at most so many bits.
#[must_use]
pub fn fits(shape: Shape, max_bits: u64) -> bool {
    bits_for(shape.size, shape.granularity) <= max_bits
}
