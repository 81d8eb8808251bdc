// SPDX-License-Identifier: GPL-2.0-or-later
//! Frozen bitmaps: a backup reads them while a successor records.

use super::owner::owner_methods;
use super::{DirtyBitmap, Error};
use crate::dirty_bitmap::BitmapCheckFlags;

/// A bitmap that stands still while an operation works through it. Writes to the node are recorded
/// in a *successor* meanwhile.
///
/// In the end the successor takes the bitmap's place ([`abdicate`](Self::abdicate): the operation
/// succeeded, what the bitmap had is dealt with), or its content goes back into the bitmap
/// ([`reclaim`](Self::reclaim), or just a drop: it failed, and nothing is lost).
///
/// Made by [`DirtyBitmap::freeze`]. The bitmap is busy meanwhile.
#[derive(Debug)]
#[must_use = "a bitmap that is not frozen any longer takes its successor's content back"]
pub struct Frozen {
    owned: DirtyBitmap,
    /// Whether the successor is still there.
    open: bool,
}

impl DirtyBitmap {
    /// Freezes the bitmap. It becomes busy and disabled; a new bitmap without a name and of the
    /// same granularity records in its place, if it was enabled. No write falls between the two, or
    /// into both. QEMU: `bdrv_dirty_bitmap_create_successor`.
    ///
    /// # Errors
    /// [`Error::Busy`], [`Error::Inconsistent`], [`Error::Released`].
    ///
    /// ```
    /// # use qemu_dirty_bitmap::Node;
    /// let disk = Node::new(1 << 20)?;
    /// let bitmap = disk.create_bitmap("backup", 4096)?;
    /// disk.record_write(0..1)?;
    /// let frozen = bitmap.freeze()?;
    /// disk.record_write(8192..8193)?;
    /// assert_eq!(bitmap.iter().collect::<Vec<_>>(), [0]);
    /// drop(frozen); // the backup failed
    /// assert_eq!(bitmap.iter().collect::<Vec<_>>(), [0, 8192]);
    /// # Ok::<(), qemu_dirty_bitmap::Error>(())
    /// ```
    pub fn freeze(&self) -> Result<Frozen, Error> {
        let _control = self.node().control();
        // Nobody enters one of these states, or releases the bitmap, without `control`.
        self.check_states(BitmapCheckFlags::ALLOW_RO)?;
        match self.state.create_successor() {
            Ok(()) => Ok(Frozen { owned: self.clone(), open: true }),
            Err(_) => {
                unreachable!("a bitmap that is not busy, on a node with a length, got no successor")
            }
        }
    }
}

impl Frozen {
    owner_methods!();

    /// Makes the successor record, also if the bitmap was disabled when it was frozen. QEMU:
    /// `bdrv_dirty_bitmap_enable_successor`.
    pub fn enable_successor(&self) {
        let state = &self.bitmap().state;
        state.enable_successor(&state.lock());
    }

    /// Ends an operation that succeeded. The successor, which is returned, takes the bitmap's name
    /// and whether it is persistent; the bitmap is released. QEMU: `bdrv_dirty_bitmap_abdicate`.
    ///
    /// ```
    /// # use qemu_dirty_bitmap::Node;
    /// # let disk = Node::new(1 << 20)?;
    /// # let bitmap = disk.create_bitmap("backup", 4096)?;
    /// bitmap.set(0..1)?;
    /// let next = bitmap.freeze()?.abdicate();
    /// assert_eq!((next.name().as_deref(), next.count()), (Some("backup"), 0));
    /// assert_eq!(disk.find("backup"), Some(next));
    /// assert!(bitmap.is_released());
    /// # Ok::<(), qemu_dirty_bitmap::Error>(())
    /// ```
    #[must_use = "the bitmap that records from now on; its node finds it by its name, too"]
    pub fn abdicate(mut self) -> DirtyBitmap {
        let _control = self.owned.node().control();
        self.open = false;
        let bitmap = &self.owned;
        match bitmap.state.abdicate() {
            Ok(successor) => DirtyBitmap::new(bitmap.node().clone(), successor),
            Err(_) => unreachable!("a frozen bitmap has no successor"),
        }
    }

    /// Ends an operation that failed: the successor's content goes back into the bitmap, which is
    /// as it was before, with what was written meanwhile; it records if the successor did. QEMU:
    /// `bdrv_reclaim_dirty_bitmap`.
    ///
    /// Dropping does the same.
    pub fn reclaim(self) {
        drop(self);
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        if self.open {
            let _control = self.owned.node().control();
            let state = &self.owned.state;
            let reclaimed = state.reclaim(&mut state.lock());
            debug_assert!(reclaimed.is_ok(), "a frozen bitmap has no successor");
        }
    }
}
