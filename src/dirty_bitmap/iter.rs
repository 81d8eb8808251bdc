// SPDX-License-Identifier: GPL-2.0-or-later
//! Iterators over the dirty bytes of a bitmap.

use std::ptr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::position::Position;
use super::{BdrvDirtyBitmap, Locked};
use crate::assertion::abi_assert;
use crate::host::trace;

/// Walks the dirty granularity units of a bitmap. As long as one lives, its bitmap can't be
/// released or truncated.
///
/// It always walks the bitmap's present content, also after that was replaced by a merge or a
/// restore. Where that has another granularity, an offset may come twice.
#[derive(Debug)]
pub struct BdrvDirtyBitmapIter {
    bitmap: Arc<BdrvDirtyBitmap>,
    position: Position,
}

impl BdrvDirtyBitmapIter {
    /// An iterator at the start of `bitmap` (C: `bdrv_dirty_iter_new`).
    ///
    /// # Panics
    /// If the bitmap's size is 0.
    #[must_use]
    pub fn new(bitmap: &BdrvDirtyBitmap) -> Self {
        abi_assert!(bitmap.size() > 0, "hbitmap_iter_init", "pos < hb->size");
        bitmap.iterators.fetch_add(1, Ordering::Relaxed);
        Self { bitmap: bitmap.handle(), position: Position::at(0) }
    }

    /// The bitmap that is walked.
    #[must_use]
    pub fn bitmap(&self) -> &BdrvDirtyBitmap {
        &self.bitmap
    }

    /// The offset of the next dirty unit, in bytes (C: `bdrv_dirty_iter_next`).
    pub fn next(&mut self, locked: &Locked<'_>) -> Option<u64> {
        let address = ptr::from_ref(self).cast();
        self.position.next(self.bitmap.content(locked), |content, cursor| {
            trace::advance(content, cursor, address)
        })
    }

    /// Moves to `offset` bytes: the next unit will be the first dirty one from there on (C:
    /// `bdrv_set_dirty_iter`).
    ///
    /// # Panics
    /// If `offset` is past the last bit.
    pub fn seek(&mut self, locked: &Locked<'_>, offset: u64) {
        self.position = Position::in_content(self.bitmap.content(locked), offset);
    }
}

impl Drop for BdrvDirtyBitmapIter {
    fn drop(&mut self) {
        let before = self.bitmap.iterators.fetch_sub(1, Ordering::Relaxed);
        abi_assert!(before > 0, "bdrv_dirty_iter_free", "iter->bitmap->active_iterators > 0");
    }
}
