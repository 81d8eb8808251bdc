// SPDX-License-Identifier: GPL-2.0-or-later
//! Iterators over a bitmap that may change meanwhile.

use std::ops::Range;

use super::DirtyBitmap;
use super::iter::next_area;
use crate::dirty_bitmap::position::Position;

/// The dirty bits of a [`DirtyBitmap`], ascending, each as its first byte: what
/// [`DirtyBitmap::iter`] gives.
///
/// It takes the node's lock for each step, and none in between, so the bitmap may change in any way
/// meanwhile. What it then guarantees: a bit that is clean when `next` is called is not returned; a
/// bit that is dirty all the time is; a bit that is made dirty ahead of it may be missed if it lies
/// among the 64 that it is in. It always walks what the bitmap records at the time; after a
/// [`swap`](DirtyBitmap::swap) for a content of another granularity an offset may come twice. For a
/// bitmap that must not change, iterate over a [`lock`](DirtyBitmap::lock)ed one, a
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

impl LiveIter {
    pub(super) fn new(bitmap: DirtyBitmap, offset: u64) -> Self {
        Self { bitmap, position: Position::at(offset) }
    }
}

impl Iterator for LiveIter {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let locked = self.bitmap.lock();
        self.position.next(&locked.0, |content, cursor| cursor.next(content))
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
