// SPDX-License-Identifier: GPL-2.0-or-later
//! Iterators over the dirty bytes of a bitmap.

use std::ptr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{BdrvDirtyBitmap, Locked};
use crate::assertion::abi_assert;
use crate::hbitmap::Cursor;
use crate::host::trace;

/// Where an iterator stands.
#[derive(Debug)]
enum Position {
    /// At the start of the bitmap, whose content nobody has looked at yet: iterators are made
    /// without the lock.
    Start,
    /// Inside the content.
    At(Cursor),
}

/// Walks the dirty granularity units of a bitmap. As long as one lives, its bitmap can't be
/// released or truncated.
///
/// It always walks the bitmap's present content, also after that was replaced by a merge or a
/// restore.
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
        Self { bitmap: bitmap.handle(), position: Position::Start }
    }

    /// The bitmap that is walked.
    #[must_use]
    pub fn bitmap(&self) -> &BdrvDirtyBitmap {
        &self.bitmap
    }

    /// The offset of the next dirty unit, in bytes (C: `bdrv_dirty_iter_next`).
    pub fn next(&mut self, locked: &Locked<'_>) -> Option<u64> {
        let address = ptr::from_ref(self).cast();
        let content = self.bitmap.content(locked);
        if let Position::Start = self.position {
            self.position = Position::At(Cursor::new(content, 0));
        }
        let Position::At(cursor) = &mut self.position else { return None };
        trace::advance(content, cursor, address)
    }

    /// Moves to `offset` bytes: the next unit will be the first dirty one from there on (C:
    /// `bdrv_set_dirty_iter`).
    ///
    /// # Panics
    /// If `offset` is past the end.
    pub fn seek(&mut self, locked: &Locked<'_>, offset: u64) {
        self.position = Position::At(Cursor::new(self.bitmap.content(locked), offset));
    }
}

impl Drop for BdrvDirtyBitmapIter {
    fn drop(&mut self) {
        let before = self.bitmap.iterators.fetch_sub(1, Ordering::Relaxed);
        abi_assert!(before > 0, "bdrv_dirty_iter_free", "iter->bitmap->active_iterators > 0");
    }
}
