// SPDX-License-Identifier: GPL-2.0-or-later
//! Successors: an anonymous bitmap records writes while an operation uses its parent.

use std::ffi::CStr;
use std::ptr;
use std::sync::Arc;

use super::create::length;
use super::write_filter::Change;
use super::{BdrvDirtyBitmap, BitmapCheckFlags, Locked, lock_node};
use crate::assertion::abi_assert;
use crate::host::{Failure, trace};

impl BdrvDirtyBitmap {
    /// The bitmap that records in this one's place.
    #[must_use]
    pub fn successor(&self) -> Option<Arc<Self>> {
        self.successor.lock().clone()
    }

    /// Whether the bitmap has a successor (C: `bdrv_dirty_bitmap_has_successor`).
    #[must_use]
    pub fn has_successor(&self) -> bool {
        self.successor.lock().is_some()
    }

    /// Freezes the bitmap: it becomes busy and disabled, and a new anonymous bitmap of the same
    /// granularity records in its place if it was enabled (C:
    /// `bdrv_dirty_bitmap_create_successor`). Takes the node's lock.
    ///
    /// # Errors
    /// The bitmap is busy or has a successor, or the node's length can't be read. Nothing has
    /// changed then.
    pub fn create_successor(&self) -> Result<(), Failure> {
        const FUNCTION: &CStr = c"bdrv_dirty_bitmap_create_successor";
        self.check(BitmapCheckFlags::BDRV_BITMAP_BUSY as u32)?;
        if self.has_successor() {
            return Err(Failure::new(
                FUNCTION,
                &[b"Cannot create a successor for a bitmap that already has one"],
            ));
        }
        let length = length(&self.node)?;
        let (child, mut guard) = loop {
            let child = Self::build(&self.node, length, self.granularity(), None, true);
            let guard = self.lock();
            // Another content may have come meanwhile.
            if child.granularity() == self.granularity() {
                break (child, guard);
            }
        };

        // One locked step: no write to the node falls between the two bitmaps, or into both.
        if self.enabled() {
            child.enable(&guard);
        }
        // The other way round, two would record for a moment, and want a write filter.
        self.disable(&guard);
        guard.insert(Arc::clone(&child));
        self.set_busy(&guard, true);
        *self.successor.lock() = Some(child);
        Ok(())
    }

    /// Lets the successor record (C: `bdrv_dirty_bitmap_enable_successor`).
    ///
    /// # Panics
    /// If there is no successor.
    pub fn enable_successor(&self, locked: &Locked<'_>) {
        const FUNCTION: &str = "bdrv_dirty_bitmap_enable_successor";
        let successor = self.successor();
        abi_assert!(successor.is_some(), FUNCTION, "bitmap->successor != NULL");
        if let Some(successor) = successor {
            abi_assert!(
                ptr::eq(self.node(), successor.node()),
                FUNCTION,
                "bitmap->bs == bitmap->successor->bs"
            );
            successor.enable(locked);
        }
    }

    /// Replaces the bitmap by its successor, which takes over name and persistence; the bitmap is
    /// released (C: `bdrv_dirty_bitmap_abdicate`). Takes the node's lock.
    ///
    /// # Errors
    /// There is no successor. Nothing has changed then.
    ///
    /// # Panics
    /// If the bitmap has iterators.
    pub fn abdicate(&self) -> Result<Arc<Self>, Failure> {
        const FUNCTION: &CStr = c"bdrv_dirty_bitmap_abdicate";
        let node = self.node_handle();
        let (successor, old) = {
            let mut guard = lock_node(&node);
            let Some(successor) = self.successor() else {
                return Err(Failure::new(
                    FUNCTION,
                    &[b"Cannot relinquish control if there's no successor present"],
                ));
            };
            // The one thing that can keep the bitmap from being released: checked before anything
            // changes.
            self.assert_not_iterated();
            *self.successor.lock() = None;
            let name = self.name.lock().take();
            *successor.name.lock() = name;
            successor.set_persistent(&guard, self.persistent());
            self.set_persistent(&guard, false);
            self.set_busy(&guard, false);
            (successor, self.release(&mut guard))
        };
        // The old bitmap's memory goes here at the earliest, with the lock free again.
        drop(old);
        Ok(successor)
    }

    /// Takes the successor's content back into the bitmap and releases the successor; the bitmap is
    /// no longer busy, and records if the successor did (C: `bdrv_reclaim_dirty_bitmap_locked`).
    ///
    /// # Errors
    /// There is no successor. Nothing has changed then.
    ///
    /// # Panics
    /// If the successor has iterators, is busy, has a successor of its own, or is of another size.
    pub fn reclaim(&self, locked: &mut Locked<'_>) -> Result<(), Failure> {
        const FUNCTION: &CStr = c"bdrv_reclaim_dirty_bitmap_locked";
        let Some(successor) = self.successor() else {
            return Err(Failure::new(
                FUNCTION,
                &[b"Cannot reclaim a successor when none is present"],
            ));
        };
        // Checked before the merge, so that a panic that a Rust program survives leaves both
        // bitmaps as they were.
        successor.assert_releasable();
        let announced = self.announce(&locked.content, Change::Adds);
        if let Some((content, from)) =
            self.content.get_both(&successor.content, &mut locked.content, announced)
        {
            trace::merge(content, from, &raw const **content, content.granularity());
            content.merge_from(from);
            self.note_content(content);
        }
        // The other way round, two would record for a moment, and want a write filter.
        let released = successor.release(locked);
        self.flags.disabled.set(locked, !successor.enabled());
        self.set_busy(locked, false);
        *self.successor.lock() = None;
        drop(released);
        Ok(())
    }
}
