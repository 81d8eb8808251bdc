// SPDX-License-Identifier: GPL-2.0-or-later
//! Checks of ranges and granularities, so that the engine's assertions hold.

use std::ops::{Bound, Range, RangeBounds};

use super::Error;
use crate::format::geometry;
use crate::hbitmap as engine;

/// A run of items that are all dirty or all clean.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Extent {
    /// The items.
    pub range: Range<u64>,
    /// Whether they are dirty.
    pub dirty: bool,
}

/// A range with both its ends: one that has no end goes to `size`. What is past the last number is
/// out of range all the same.
#[inline]
pub(super) fn resolve(range: &impl RangeBounds<u64>, size: u64) -> Range<u64> {
    let start = match range.start_bound() {
        Bound::Included(&start) => start,
        Bound::Excluded(&before) => before.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(&last) => last.saturating_add(1),
        Bound::Excluded(&end) => end,
        Bound::Unbounded => size,
    };
    start..end
}

/// The number of items of a range, which lies within `0..size`.
pub(super) fn within(range: &Range<u64>, size: u64) -> Result<u64, Error> {
    if range.start > range.end || range.end > size {
        return Err(Error::OutOfRange { range: range.clone(), size });
    }
    Ok(range.end - range.start)
}

/// The number of items of a range, for searches: they may reach past the end.
pub(super) fn length(range: &Range<u64>) -> u64 {
    range.end.saturating_sub(range.start)
}

/// The number of items of a range that lies within `0..size`, starts at a multiple of `align`, and
/// ends at one or at the end. An empty range may lie anywhere.
pub(super) fn aligned(range: &Range<u64>, size: u64, align: u64) -> Result<u64, Error> {
    let count = within(range, size)?;
    let misplaced = range.start % align != 0 || (range.end % align != 0 && range.end != size);
    if count != 0 && misplaced {
        return Err(Error::Unaligned { range: range.clone(), align });
    }
    Ok(count)
}

/// The number of items of a range that can be serialised.
pub(super) fn part(bitmap: &engine::HBitmap, range: &Range<u64>) -> Result<u64, Error> {
    aligned(range, bitmap.size(), serialization_align(bitmap)?)
}

/// What the parts of a serialised bitmap are aligned to, in items.
pub(super) fn serialization_align(bitmap: &engine::HBitmap) -> Result<u64, Error> {
    if !bitmap.is_serializable() {
        return Err(Error::NotSerializable { granularity: 1 << bitmap.granularity() });
    }
    Ok(bitmap.serialization_align())
}

/// Checks the length of a buffer for a part.
pub(super) fn buffer(
    bitmap: &engine::HBitmap,
    range: &Range<u64>,
    actual: usize,
) -> Result<u64, Error> {
    let count = part(bitmap, range)?;
    match bitmap.serialization_size(range.start, count) as usize {
        expected if expected != actual => Err(Error::BufferLength { expected, actual }),
        _ => Ok(count),
    }
}

/// log2 of a granularity, which is a power of two from `min` to `max`.
pub(super) fn granularity_log2(granularity: u64, min: u64, max: u64) -> Result<u32, Error> {
    if !geometry::is_granularity(granularity, min, max) {
        return Err(Error::Granularity { granularity, min, max });
    }
    Ok(granularity.trailing_zeros())
}

/// Checks that a bitmap can have this many items. `granularity` is a power of two.
pub(super) fn size(size: u64, granularity: u64) -> Result<(), Error> {
    if !geometry::is_size(size, granularity) {
        return Err(Error::TooLarge { size, granularity });
    }
    Ok(())
}
