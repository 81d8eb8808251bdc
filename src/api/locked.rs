// SPDX-License-Identifier: GPL-2.0-or-later
//! A bitmap whose node's lock is held.

use std::ops::{Deref, RangeBounds};

use super::{DirtyBitmap, Error, HBitmap, range};
use crate::dirty_bitmap::{BitmapCheckFlags, NodeGuard};
use crate::hbitmap as engine;

/// A [`DirtyBitmap`] with the lock of its node held until this is dropped.
///
/// It derefs to what the bitmap records: all methods of [`HBitmap`] that read are there. Those that
/// change it are here, because a dirty bitmap may be in a state that forbids it. Items are bytes of
/// the disk.
///
/// Writes to the node wait meanwhile, so hold it shortly. The thread that holds it must not call
/// anything of the same node but through it. It stays on its thread.
///
/// ```
/// use qemu_dirty_bitmap::Node;
///
/// let disk = Node::new(1 << 20)?;
/// let bitmap = disk.create_bitmap("backup", 4096)?;
/// let mut locked = bitmap.lock();
/// locked.set(0..10_000)?;
/// locked.reset(4096..8192)?;
/// assert_eq!(locked.iter().collect::<Vec<_>>(), [0, 8192]);
/// # Ok::<(), qemu_dirty_bitmap::Error>(())
/// ```
#[must_use = "the lock is released when the guard is dropped"]
pub struct LockedBitmap<'a> {
    bitmap: &'a DirtyBitmap,
    guard: NodeGuard<'a>,
    /// Whether it is the owner of a busy bitmap who locked it.
    owner: bool,
}

impl<'a> LockedBitmap<'a> {
    pub(super) fn new(bitmap: &'a DirtyBitmap, owner: bool) -> Self {
        Self { bitmap, guard: bitmap.state.lock(), owner }
    }

    /// The bitmap. Its methods that take the lock must not be called.
    #[must_use]
    pub fn bitmap(&self) -> &'a DirtyBitmap {
        self.bitmap
    }

    /// Marks a range dirty, whether the bitmap is enabled or not. QEMU: `bdrv_set_dirty_bitmap`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`]; the bitmap's states: [`Error::Busy`] (unless its owner locked it),
    /// [`Error::ReadOnly`], [`Error::Inconsistent`], [`Error::Released`].
    pub fn set(&mut self, range: impl RangeBounds<u64>) -> Result<(), Error> {
        let range = range::resolve(&range, self.size());
        self.check_states()?;
        let bytes = range::within(&range, self.size())?;
        self.bitmap.state.set(&mut self.guard, range.start, bytes);
        Ok(())
    }

    /// Marks a range clean; it has to consist of whole bits. QEMU: `bdrv_reset_dirty_bitmap`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`]; [`Error::Unaligned`] as [`HBitmap::reset`]; the bitmap's states, as
    /// [`set`](Self::set).
    pub fn reset(&mut self, range: impl RangeBounds<u64>) -> Result<(), Error> {
        let range = range::resolve(&range, self.size());
        self.check_states()?;
        let bytes = range::aligned(&range, self.size(), self.granularity())?;
        self.bitmap.state.reset(&mut self.guard, range.start, bytes);
        Ok(())
    }

    /// Marks everything clean. QEMU: `bdrv_clear_dirty_bitmap` without `out`.
    ///
    /// # Errors
    /// The bitmap's states, as [`set`](Self::set).
    pub fn clear(&mut self) -> Result<(), Error> {
        self.check_states()?;
        self.bitmap.state.clear(&mut self.guard);
        Ok(())
    }

    /// Takes out what was recorded and leaves the bitmap clean. [`swap`](Self::swap) can put it
    /// back. QEMU: `bdrv_clear_dirty_bitmap` with `out`.
    ///
    /// # Errors
    /// The bitmap's states, as [`set`](Self::set).
    ///
    /// ```
    /// # use qemu_dirty_bitmap::Node;
    /// # let disk = Node::new(1 << 20)?;
    /// # let bitmap = disk.create_bitmap("backup", 4096)?;
    /// bitmap.set(0..4096)?;
    /// let mut taken = bitmap.lock().take()?;
    /// assert_eq!((taken.count(), bitmap.count()), (4096, 0));
    /// bitmap.swap(&mut taken)?;
    /// assert_eq!((taken.count(), bitmap.count()), (0, 4096));
    /// # Ok::<(), qemu_dirty_bitmap::Error>(())
    /// ```
    pub fn take(&mut self) -> Result<HBitmap, Error> {
        self.check_states()?;
        Ok(HBitmap(*self.bitmap.state.clear_and_keep(&mut self.guard)))
    }

    /// Exchanges what the bitmap records, and its granularity, for `content`: this puts back what
    /// [`take`](Self::take) or [`merge_with_backup`](DirtyBitmap::merge_with_backup) gave. QEMU:
    /// `bdrv_restore_dirty_bitmap`.
    ///
    /// # Errors
    /// [`Error::ContentSize`]; [`Error::Granularity`] if a dirty bitmap can't have that of
    /// `content`; the bitmap's states, as [`set`](Self::set).
    pub fn swap(&mut self, content: &mut HBitmap) -> Result<(), Error> {
        self.check_states()?;
        if content.size() != self.size() {
            return Err(Error::ContentSize { expected: self.size(), actual: content.size() });
        }
        let (min, max) = super::node::GRANULARITIES;
        range::granularity_log2(content.granularity(), min, max)?;
        let new = std::mem::replace(&mut content.0, engine::HBitmap::new(0, 0));
        content.0 = *self.bitmap.state.restore(&mut self.guard, Box::new(new));
        Ok(())
    }

    /// Replaces a part by what [`HBitmap::serialize`] made of one. The bytes may come from
    /// anywhere: bits past the end of the bitmap are dropped. Count and searches are right at once.
    /// QEMU: `bdrv_dirty_bitmap_deserialize_part`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`], [`Error::Unaligned`], [`Error::BufferLength`]; the bitmap's states,
    /// as [`set`](Self::set).
    pub fn deserialize(&mut self, range: impl RangeBounds<u64>, bytes: &[u8]) -> Result<(), Error> {
        let range = range::resolve(&range, self.size());
        self.check_states()?;
        let count = range::buffer(&self.0, &range, bytes.len())?;
        self.bitmap.state.deserialize_part(&mut self.guard, bytes, range.start, count);
        Ok(())
    }

    /// Makes a part clean, as bytes of zero would. QEMU: `bdrv_dirty_bitmap_deserialize_zeroes`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`], [`Error::Unaligned`]; the bitmap's states, as [`set`](Self::set).
    pub fn deserialize_zeroes(&mut self, range: impl RangeBounds<u64>) -> Result<(), Error> {
        let range = range::resolve(&range, self.size());
        self.check_states()?;
        let count = range::part(&self.0, &range)?;
        self.bitmap.state.deserialize_zeroes(&mut self.guard, range.start, count);
        Ok(())
    }

    /// Makes a part dirty, as bytes of 255 would. QEMU: `bdrv_dirty_bitmap_deserialize_ones`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`], [`Error::Unaligned`]; the bitmap's states, as [`set`](Self::set).
    pub fn deserialize_ones(&mut self, range: impl RangeBounds<u64>) -> Result<(), Error> {
        let range = range::resolve(&range, self.size());
        self.check_states()?;
        let count = range::part(&self.0, &range)?;
        self.bitmap.state.deserialize_ones(&mut self.guard, range.start, count);
        Ok(())
    }

    /// Refuses a bitmap that is in a state in which this guard may not change it.
    fn check_states(&self) -> Result<(), Error> {
        self.bitmap.check_states(refused(self.owner))
    }
}

/// The states in which a bitmap may not be changed, by its owner or by others.
pub(super) fn refused(owner: bool) -> u32 {
    match owner {
        true => BitmapCheckFlags::DEFAULT & !(BitmapCheckFlags::BDRV_BITMAP_BUSY as u32),
        false => BitmapCheckFlags::DEFAULT,
    }
}

impl Deref for LockedBitmap<'_> {
    type Target = HBitmap;

    fn deref(&self) -> &HBitmap {
        HBitmap::from_ref(self.bitmap.state.content(&self.guard))
    }
}

impl std::fmt::Debug for LockedBitmap<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("LockedBitmap").field(self.bitmap).finish()
    }
}
