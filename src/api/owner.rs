// SPDX-License-Identifier: GPL-2.0-or-later
//! Busy bitmaps, and what only their owner may do.

use std::ops::Deref;

use super::merge::merge;
use super::{DirtyBitmap, Error, LockedBitmap};
use crate::dirty_bitmap::{Backup, BdrvDirtyBitmap, BitmapCheckFlags};

/// What the owner of a busy bitmap may do with it: [`Claim`] and [`Frozen`](crate::Frozen) deref to
/// it.
pub struct Owner {
    bitmap: DirtyBitmap,
}

impl Owner {
    pub(super) fn new(bitmap: DirtyBitmap) -> Self {
        Self { bitmap }
    }

    /// The bitmap, to read. What changes it through this handle is refused: it is busy.
    #[must_use]
    pub fn bitmap(&self) -> &DirtyBitmap {
        &self.bitmap
    }

    /// Takes the node's lock, with the right to change the busy bitmap.
    ///
    /// ```
    /// # use qemu_dirty_bitmap::Node;
    /// # let disk = Node::new(1 << 20)?;
    /// # let bitmap = disk.create_bitmap("backup", 4096)?;
    /// let claim = bitmap.claim()?;
    /// assert!(bitmap.set(0..1).is_err());
    /// claim.lock().set(0..1)?;
    /// # Ok::<(), qemu_dirty_bitmap::Error>(())
    /// ```
    pub fn lock(&self) -> LockedBitmap<'_> {
        LockedBitmap::new(&self.bitmap, true)
    }

    /// [`DirtyBitmap::merge`] into the busy bitmap. QEMU: `bdrv_dirty_bitmap_merge_internal`.
    ///
    /// # Errors
    /// As there, but that the bitmap is busy is no hindrance.
    pub fn merge(&self, src: &DirtyBitmap) -> Result<(), Error> {
        merge(&self.bitmap, true, src, *src == self.bitmap, Backup::None).map(drop)
    }

    /// [`DirtyBitmap::merge`] of the busy bitmap into `dest`. QEMU:
    /// `bdrv_dirty_bitmap_merge_internal`.
    ///
    /// # Errors
    /// As there, but that the bitmap is busy is no hindrance.
    pub fn merge_into(&self, dest: &DirtyBitmap) -> Result<(), Error> {
        merge(dest, *dest == self.bitmap, &self.bitmap, true, Backup::None).map(drop)
    }

    /// Makes the busy bitmap itself record writes. QEMU: `bdrv_enable_dirty_bitmap`.
    ///
    /// # Errors
    /// [`Error::Inconsistent`].
    pub fn enable(&self) -> Result<(), Error> {
        self.bitmap.change_flags(
            BitmapCheckFlags::BDRV_BITMAP_INCONSISTENT as u32,
            BdrvDirtyBitmap::enable,
        )
    }

    /// Stops the busy bitmap itself from recording writes. QEMU: `bdrv_disable_dirty_bitmap`.
    ///
    /// # Errors
    /// [`Error::Inconsistent`].
    pub fn disable(&self) -> Result<(), Error> {
        self.bitmap.change_flags(
            BitmapCheckFlags::BDRV_BITMAP_INCONSISTENT as u32,
            BdrvDirtyBitmap::disable,
        )
    }
}

impl std::fmt::Debug for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Owner").field(&self.bitmap).finish()
    }
}

/// A busy bitmap, for as long as this lives: nobody else can change, freeze or release it. Writes
/// to the node are still recorded in it, if it is enabled.
///
/// Made by [`DirtyBitmap::claim`].
#[derive(Debug)]
#[must_use = "the bitmap is free again when the claim is dropped"]
pub struct Claim {
    owner: Owner,
}

impl DirtyBitmap {
    /// Makes the bitmap busy. QEMU: `bdrv_dirty_bitmap_set_busy`.
    ///
    /// # Errors
    /// [`Error::Busy`], [`Error::Released`].
    ///
    /// ```
    /// # use qemu_dirty_bitmap::{Error, Node};
    /// # let disk = Node::new(1 << 20)?;
    /// # let bitmap = disk.create_bitmap("backup", 4096)?;
    /// let claim = bitmap.claim()?;
    /// assert!(matches!(bitmap.claim(), Err(Error::Busy { .. })));
    /// assert!(matches!(bitmap.release(), Err(Error::Busy { .. })));
    /// drop(claim);
    /// bitmap.release()?;
    /// # Ok::<(), Error>(())
    /// ```
    pub fn claim(&self) -> Result<Claim, Error> {
        // Freezing looks whether the bitmap is busy before it takes the node's lock.
        let _control = self.node().control();
        self.change_flags(BitmapCheckFlags::BDRV_BITMAP_BUSY as u32, |state, locked| {
            state.set_busy(locked, true)
        })?;
        Ok(Claim { owner: Owner::new(self.clone()) })
    }
}

impl Deref for Claim {
    type Target = Owner;

    fn deref(&self) -> &Owner {
        &self.owner
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let state = &self.owner.bitmap.state;
        state.set_busy(&state.lock(), false);
    }
}
