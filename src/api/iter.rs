// SPDX-License-Identifier: GPL-2.0-or-later
//! Iterators over a bitmap that does not change meanwhile.

use std::iter::FusedIterator;
use std::ops::Range;

use crate::hbitmap::{self as engine, Cursor};

/// The dirty bits of a bitmap, ascending, each as its first item: what
/// [`HBitmap::iter`](crate::HBitmap::iter) gives.
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    bitmap: &'a engine::HBitmap,
    /// `None` if the start is past the end.
    cursor: Option<Cursor>,
}

impl<'a> Iter<'a> {
    pub(super) fn new(bitmap: &'a engine::HBitmap, first: u64) -> Self {
        Self { bitmap, cursor: (first < bitmap.size()).then(|| Cursor::new(bitmap, first)) }
    }
}

impl Iterator for Iter<'_> {
    type Item = u64;

    #[inline]
    fn next(&mut self) -> Option<u64> {
        self.cursor.as_mut()?.next(self.bitmap)
    }
}

impl FusedIterator for Iter<'_> {}

/// The dirty areas of a range, ascending: what [`HBitmap::areas`](crate::HBitmap::areas) gives.
#[derive(Clone, Debug)]
pub struct Areas<'a> {
    bitmap: &'a engine::HBitmap,
    left: Range<u64>,
}

impl<'a> Areas<'a> {
    pub(super) fn new(bitmap: &'a engine::HBitmap, range: Range<u64>) -> Self {
        Self { bitmap, left: range }
    }
}

impl Iterator for Areas<'_> {
    type Item = Range<u64>;

    fn next(&mut self) -> Option<Range<u64>> {
        next_area(self.bitmap, &mut self.left)
    }
}

impl FusedIterator for Areas<'_> {}

/// The first dirty area in what is left of a range, which then begins after it.
pub(super) fn next_area(bitmap: &engine::HBitmap, left: &mut Range<u64>) -> Option<Range<u64>> {
    let area = bitmap
        .next_dirty_area(left.start, left.end, u64::MAX)
        .map(|(start, count)| start..start + count);
    left.start = area.as_ref().map_or(left.end, |area| area.end);
    area
}
