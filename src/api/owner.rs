// SPDX-License-Identifier: GPL-2.0-or-later
//! Busy bitmaps, and what only their owner may do.

use super::{DirtyBitmap, Error};
use crate::dirty_bitmap::BitmapCheckFlags;

/// The methods of [`Claim`] and [`Frozen`](super::Frozen): what the owner of a busy bitmap may do.
/// `owned` is its field with the bitmap.
macro_rules! owner_methods {
    () => {
        /// The bitmap, to read. What changes it through this handle is refused: it is busy.
        #[must_use]
        pub fn bitmap(&self) -> &DirtyBitmap {
            &self.owned
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
        pub fn lock(&self) -> $crate::LockedBitmap<'_> {
            $crate::LockedBitmap::new(&self.owned, true)
        }

        /// [`DirtyBitmap::merge`](crate::DirtyBitmap::merge) into the busy bitmap. QEMU:
        /// `bdrv_dirty_bitmap_merge_internal`.
        ///
        /// # Errors
        /// As there, but that the bitmap is busy is no hindrance.
        pub fn merge(&self, src: &$crate::DirtyBitmap) -> Result<(), $crate::Error> {
            $crate::api::merge::merge(
                &self.owned,
                true,
                src,
                *src == self.owned,
                $crate::dirty_bitmap::Backup::None,
            )
            .map(drop)
        }

        /// [`DirtyBitmap::merge`](crate::DirtyBitmap::merge) of the busy bitmap into `dest`. QEMU:
        /// `bdrv_dirty_bitmap_merge_internal`.
        ///
        /// # Errors
        /// As there, but that the bitmap is busy is no hindrance.
        pub fn merge_into(&self, dest: &$crate::DirtyBitmap) -> Result<(), $crate::Error> {
            $crate::api::merge::merge(
                dest,
                *dest == self.owned,
                &self.owned,
                true,
                $crate::dirty_bitmap::Backup::None,
            )
            .map(drop)
        }

        /// Makes the busy bitmap itself record writes. QEMU: `bdrv_enable_dirty_bitmap`.
        ///
        /// # Errors
        /// [`Error::Inconsistent`](crate::Error::Inconsistent).
        pub fn enable(&self) -> Result<(), $crate::Error> {
            self.owned.change_flags(
                $crate::dirty_bitmap::BitmapCheckFlags::BDRV_BITMAP_INCONSISTENT as u32,
                $crate::dirty_bitmap::BdrvDirtyBitmap::enable,
            )
        }

        /// Stops the busy bitmap itself from recording writes. QEMU: `bdrv_disable_dirty_bitmap`.
        ///
        /// # Errors
        /// [`Error::Inconsistent`](crate::Error::Inconsistent).
        pub fn disable(&self) -> Result<(), $crate::Error> {
            self.owned.change_flags(
                $crate::dirty_bitmap::BitmapCheckFlags::BDRV_BITMAP_INCONSISTENT as u32,
                $crate::dirty_bitmap::BdrvDirtyBitmap::disable,
            )
        }
    };
}
pub(super) use owner_methods;

/// A busy bitmap, for as long as this lives: nobody else can change, freeze or release it. Writes
/// to the node are still recorded in it, if it is enabled.
///
/// Made by [`DirtyBitmap::claim`].
#[derive(Debug)]
#[must_use = "the bitmap is free again when the claim is dropped"]
pub struct Claim {
    owned: DirtyBitmap,
}

impl Claim {
    owner_methods!();
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
        Ok(Claim { owned: self.clone() })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let state = &self.owned.state;
        state.set_busy(&state.lock(), false);
    }
}
