// SPDX-License-Identifier: GPL-2.0-or-later
//! The end of a bitmap.

use super::{DirtyBitmap, Error};
use crate::dirty_bitmap::BitmapCheckFlags;

impl DirtyBitmap {
    /// Takes the bitmap off its node. Other handles of it stay usable for reading, with what it
    /// recorded last; everything else is [`Error::Released`] from then on. QEMU:
    /// `bdrv_release_dirty_bitmap`.
    ///
    /// # Errors
    /// [`Error::Busy`], [`Error::Released`].
    ///
    /// ```
    /// # use qemu_dirty_bitmap::{Error, Node};
    /// let disk = Node::new(1 << 20)?;
    /// let bitmap = disk.create_bitmap("backup", 4096)?;
    /// bitmap.release()?;
    /// assert!(disk.find("backup").is_none());
    /// assert_eq!(bitmap.set(0..1), Err(Error::Released));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn release(&self) -> Result<(), Error> {
        let _control = self.node().control();
        let mut guard = self.state.lock();
        self.check_states(BitmapCheckFlags::BDRV_BITMAP_BUSY as u32)?;
        let released = self.state.release(&mut guard);
        // If this was the last reference, the bitmap's memory goes with the lock free again.
        drop(guard);
        drop(released);
        Ok(())
    }

    /// Whether the bitmap was released.
    #[must_use]
    pub fn is_released(&self) -> bool {
        !self.state.is_attached()
    }
}
