// SPDX-License-Identifier: GPL-2.0-or-later
//! Merging dirty bitmaps, of one node or two.

use super::locked::refused;
use super::{DirtyBitmap, Error, HBitmap};
use crate::dirty_bitmap::{Backup, BitmapCheckFlags, Merged, lock_pair};

impl DirtyBitmap {
    /// Makes dirty what is dirty in `src`, which may be of another granularity, on another node of
    /// the same length, and read-only. QEMU: `bdrv_merge_dirty_bitmap`.
    ///
    /// Both nodes are locked; merges in opposite directions at the same time do not wait for each
    /// other for ever.
    ///
    /// # Errors
    /// [`Error::SizeMismatch`]; the states of this bitmap: [`Error::Busy`], [`Error::ReadOnly`],
    /// [`Error::Inconsistent`], [`Error::Released`]; those of `src`: the same but for `ReadOnly`.
    ///
    /// ```
    /// # use qemu_dirty_bitmap::Node;
    /// let disk = Node::new(1 << 20)?;
    /// let monday = disk.create_bitmap("monday", 4096)?;
    /// let tuesday = disk.create_bitmap("tuesday", 4096)?;
    /// monday.set(0..1)?;
    /// tuesday.set(8192..8193)?;
    /// tuesday.merge(&monday)?;
    /// assert_eq!(tuesday.iter().collect::<Vec<_>>(), [0, 8192]);
    /// # Ok::<(), qemu_dirty_bitmap::Error>(())
    /// ```
    pub fn merge(&self, src: &DirtyBitmap) -> Result<(), Error> {
        merge(self, false, src, false, Backup::None).map(drop)
    }

    /// The same, and gives back what this bitmap recorded before, for [`swap`](Self::swap) to undo
    /// the merge. QEMU: `bdrv_merge_dirty_bitmap` with `backup`.
    ///
    /// # Errors
    /// As [`merge`](Self::merge).
    ///
    /// ```
    /// # use qemu_dirty_bitmap::Node;
    /// # let disk = Node::new(1 << 20)?;
    /// # let (a, b) = (disk.create_bitmap("a", 4096)?, disk.create_bitmap("b", 4096)?);
    /// a.set(0..1)?;
    /// let mut before = b.merge_with_backup(&a)?;
    /// assert_eq!(b.count(), 4096);
    /// b.swap(&mut before)?;
    /// assert_eq!(b.count(), 0);
    /// # Ok::<(), qemu_dirty_bitmap::Error>(())
    /// ```
    pub fn merge_with_backup(&self, src: &DirtyBitmap) -> Result<HBitmap, Error> {
        match merge(self, false, src, false, Backup::Keep)? {
            Some(before) => Ok(HBitmap(*before)),
            None => unreachable!("a merge that was to keep a backup has none"),
        }
    }
}

/// Merges `src` into `dest`. The flags say whose owner asks: busy bitmaps are their owner's alone.
pub(super) fn merge(
    dest: &DirtyBitmap,
    dest_owner: bool,
    src: &DirtyBitmap,
    src_owner: bool,
    backup: Backup,
) -> Result<Merged, Error> {
    let mut pair = lock_pair(dest.node().state(), src.node().state());
    dest.check_states(refused(dest_owner))?;
    src.check_states(refused(src_owner) & BitmapCheckFlags::ALLOW_RO)?;
    let mismatch = Error::SizeMismatch { dest: dest.size(), src: src.size() };
    if dest.size() != src.size() {
        return Err(mismatch);
    }
    dest.state.merge_internal(&src.state, &mut pair, backup).ok_or(mismatch)
}
