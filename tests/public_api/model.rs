// SPDX-License-Identifier: GPL-2.0-or-later
//! What a bitmap must do, told with a set of bits.

use std::collections::BTreeSet;
use std::ops::Range;

use qemu_dirty_bitmap::{Error, Extent, HBitmap};

pub struct Model {
    pub size: u64,
    pub granularity: u64,
    bits: BTreeSet<u64>,
}

impl Model {
    pub fn new(size: u64, granularity: u64) -> Self {
        Self { size, granularity, bits: BTreeSet::new() }
    }

    /// The bits that a range touches.
    fn touched(&self, range: &Range<u64>) -> Range<u64> {
        match range.is_empty() {
            true => 0..0,
            false => range.start / self.granularity..(range.end - 1) / self.granularity + 1,
        }
    }

    // It compares neighbours, and the last with the size.
    #[allow(clippy::suspicious_operation_groupings)]
    pub fn within(&self, range: &Range<u64>) -> Result<(), Error> {
        if range.start <= range.end && range.end <= self.size {
            return Ok(());
        }
        Err(Error::OutOfRange { range: range.clone(), size: self.size })
    }

    pub fn aligned(&self, range: &Range<u64>, align: u64) -> Result<(), Error> {
        self.within(range)?;
        let starts = range.start % align == 0;
        let ends = range.end % align == 0 || range.end == self.size;
        if range.is_empty() || (starts && ends) {
            return Ok(());
        }
        Err(Error::Unaligned { range: range.clone(), align })
    }

    pub fn set(&mut self, range: &Range<u64>) -> Result<bool, Error> {
        self.within(range)?;
        let before = self.bits.len();
        self.bits.extend(self.touched(range));
        Ok(self.bits.len() != before)
    }

    pub fn reset(&mut self, range: &Range<u64>, align: u64) -> Result<bool, Error> {
        self.aligned(range, align)?;
        let (before, touched) = (self.bits.len(), self.touched(range));
        self.bits.retain(|bit| !touched.contains(bit));
        Ok(self.bits.len() != before)
    }

    pub fn clear(&mut self) {
        self.bits.clear();
    }

    pub fn truncate(&mut self, size: u64) {
        self.size = size;
        self.bits.retain(|bit| bit * self.granularity < size);
    }

    pub fn dirty(&self, item: u64) -> bool {
        self.bits.contains(&(item / self.granularity))
    }

    pub fn get(&self, item: u64) -> Result<bool, Error> {
        self.within(&(item..item.saturating_add(1)))?;
        match item < self.size {
            true => Ok(self.dirty(item)),
            false => Err(Error::OutOfRange { range: item..item, size: self.size }),
        }
    }

    /// The first item of a range, cut to the bitmap, that is dirty or that is not.
    pub fn next(&self, range: &Range<u64>, dirty: bool) -> Option<u64> {
        let end = range.end.min(self.size);
        let mut item = range.start;
        while item < end {
            if self.dirty(item) == dirty {
                return Some(item);
            }
            item = (item / self.granularity + 1) * self.granularity;
        }
        None
    }

    pub fn next_area(&self, range: &Range<u64>, max: u64) -> Option<Range<u64>> {
        let start = self.next(range, true)?;
        let end = range.end.min(self.size);
        let end = start + (end - start).min(max);
        let end = self.next(&(start..end), false).unwrap_or(end);
        (start < end).then_some(start..end)
    }

    pub fn status(&self, range: &Range<u64>) -> Result<Extent, Error> {
        self.within(range)?;
        if range.is_empty() {
            return Err(Error::OutOfRange { range: range.clone(), size: self.size });
        }
        let dirty = self.dirty(range.start);
        let end = self.next(range, !dirty).unwrap_or(range.end);
        Ok(Extent { range: range.start..end, dirty })
    }

    pub fn areas(&self, range: &Range<u64>) -> Vec<Range<u64>> {
        let (mut areas, mut left) = (Vec::new(), range.clone());
        while let Some(area) = self.next_area(&left, u64::MAX) {
            left.start = area.end;
            areas.push(area);
        }
        areas
    }

    pub fn merge(&mut self, other: &Model) {
        for bit in &other.bits {
            let start = bit * other.granularity;
            let end = (start + other.granularity).min(self.size);
            self.bits.extend(self.touched(&(start..end)));
        }
    }

    /// The bytes of a part that starts at a multiple of 64 bits.
    pub fn bytes(&self, range: &Range<u64>) -> Vec<u8> {
        let touched = self.touched(range);
        let mut bytes = vec![0; (touched.end - touched.start).div_ceil(64) as usize * 8];
        for bit in self.bits.iter().filter(|bit| touched.contains(bit)) {
            let at = bit - touched.start;
            bytes[at as usize / 8] |= 1 << (at % 8);
        }
        bytes
    }

    /// Loads bytes that may have bits past the end.
    pub fn load(&mut self, range: &Range<u64>, bytes: &[u8]) {
        let touched = self.touched(range);
        self.bits.retain(|bit| !touched.contains(bit));
        let loaded = touched.filter(|bit| {
            let at = (bit - range.start / self.granularity) as usize;
            bytes[at / 8] >> (at % 8) & 1 != 0
        });
        self.bits.extend(loaded);
    }

    /// Checks that a bitmap is what this model says.
    #[track_caller]
    pub fn check(&self, bitmap: &HBitmap) {
        assert_eq!((bitmap.size(), bitmap.granularity()), (self.size, self.granularity));
        assert_eq!(bitmap.bits(), self.size.div_ceil(self.granularity));
        assert_eq!(bitmap.count(), self.bits.len() as u64 * self.granularity);
        assert_eq!(bitmap.is_empty(), self.bits.is_empty());
        assert!(bitmap.iter().eq(self.bits.iter().map(|bit| bit * self.granularity)));
    }
}
