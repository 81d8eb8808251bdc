// SPDX-License-Identifier: GPL-2.0-or-later
//! Iterators over a bitmap that may change meanwhile.

use std::ops::Range;

use super::DirtyBitmap;
use super::iter::next_area;
use crate::hbitmap::Cursor;

/// The dirty bits of a [`DirtyBitmap`], ascending, each as its first byte: what
/// [`DirtyBitmap::iter`] gives.
///
/// It takes the node's lock for each step, and none in between, so the bitmap may change in any way
/// meanwhile. What it then guarantees: a bit that is clean when `next` is called is not returned; a
/// bit that is dirty all the time is; a bit that is made dirty ahead of it may be missed if it lies
/// among the 64 that it is in. It always walks what the bitmap records at the time. For a bitmap
/// that must not change, iterate over a [`lock`](DirtyBitmap::lock)ed one, a
/// [`snapshot`](DirtyBitmap::snapshot), or [`freeze`](DirtyBitmap::freeze) it.
///
/// At the end it may be asked again: it looks on after what it returned last.
///
/// ```
/// use qemu_dirty_bitmap::Node;
///
/// let disk = Node::new(1 << 20)?;
/// let bitmap = disk.create_bitmap("copied", 4096)?;
/// bitmap.set(0..8192)?;
/// let mut copied = Vec::new();
/// for offset in &bitmap {
///     copied.push(offset);
///     bitmap.reset(offset..offset + bitmap.granularity())?;
/// }
/// assert_eq!((copied, bitmap.count()), (vec![0, 4096], 0));
/// # Ok::<(), qemu_dirty_bitmap::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct LiveIter {
    bitmap: DirtyBitmap,
    position: Position,
}

#[derive(Clone, Debug)]
enum Position {
    /// At an offset, with nothing read yet.
    Before(u64),
    /// Inside the content.
    At(Cursor),
}

impl LiveIter {
    pub(super) fn new(bitmap: DirtyBitmap, offset: u64) -> Self {
        Self { bitmap, position: Position::Before(offset) }
    }
}

impl Iterator for LiveIter {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let locked = self.bitmap.lock();
        let mut cursor = match self.position {
            Position::At(cursor) => cursor,
            // Nothing is there yet; after a resize there may be.
            Position::Before(offset) if offset >= locked.size() => return None,
            Position::Before(offset) => Cursor::new(&locked.0, offset),
        };
        let item = cursor.next(&locked.0);
        self.position = Position::At(cursor);
        item
    }
}

/// The dirty areas of a range of a [`DirtyBitmap`], ascending: what [`DirtyBitmap::areas`] gives.
///
/// It takes the node's lock for each step, and none in between. Each area is what is dirty when
/// `next` is called, so areas may touch if more became dirty after one that was returned.
#[derive(Clone, Debug)]
pub struct LiveAreas {
    bitmap: DirtyBitmap,
    left: Range<u64>,
}

impl LiveAreas {
    pub(super) fn new(bitmap: DirtyBitmap, range: Range<u64>) -> Self {
        Self { bitmap, left: range }
    }
}

impl Iterator for LiveAreas {
    type Item = Range<u64>;

    fn next(&mut self) -> Option<Range<u64>> {
        next_area(&self.bitmap.lock().0, &mut self.left)
    }
}

impl std::iter::FusedIterator for LiveAreas {}
