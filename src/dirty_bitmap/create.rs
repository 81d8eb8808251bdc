// SPDX-License-Identifier: GPL-2.0-or-later
//! The beginning and the end of a bitmap.

use std::ffi::CStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64};

use parking_lot::Mutex;

use super::flags::Flags;
use super::list::Link;
use super::locked_cell::LockedCell;
use super::{BdrvDirtyBitmap, Locked, MAX_NAME_SIZE, find, lock_node};
use crate::assertion::abi_assert;
use crate::hbitmap::HBitmap;
use crate::host::{BitmapName, BlockDriverState, CurrentHost, Failure, Host};

/// The C function that all failures to create a bitmap are reported for.
const CREATE: &CStr = c"bdrv_create_dirty_bitmap";

/// The C function whose assertions keep a bitmap in use from being released.
const RELEASE: &str = "bdrv_release_dirty_bitmap_locked";

/// The smallest granularity, in bytes (QEMU's `BDRV_SECTOR_SIZE`).
const SECTOR_SIZE: u32 = 512;

/// The length of a node in bytes.
///
/// # Errors
/// The node's length can't be read; the failure has the errno.
pub(crate) fn length(node: &BlockDriverState) -> Result<i64, Failure> {
    match CurrentHost::length(node) {
        // QEMU hands an errno of int range around as an int64_t; C narrows it in the same way.
        length @ ..0 => Err(Failure::new(CREATE, &[b"could not get length of device"])
            .with_os_errno(length.wrapping_neg() as i32)),
        length => Ok(length),
    }
}

impl BdrvDirtyBitmap {
    /// A new, clean, enabled bitmap on `node` (C: `bdrv_create_dirty_bitmap`). Takes the node's
    /// lock.
    ///
    /// `granularity` is in bytes: a power of two, at least 512. Callers that create bitmaps of one
    /// name from several threads have to take turns, as QEMU's big lock makes them.
    ///
    /// # Errors
    /// The name is taken, or longer than [`MAX_NAME_SIZE`] bytes, or the node's length can't be
    /// read. Nothing has changed then.
    ///
    /// # Panics
    /// If the granularity is not allowed, or the node is too large for it.
    pub fn create(
        node: &BlockDriverState,
        granularity: u32,
        name: Option<&CStr>,
    ) -> Result<Arc<Self>, Failure> {
        abi_assert!(
            granularity.is_power_of_two() && granularity >= SECTOR_SIZE,
            "bdrv_create_dirty_bitmap",
            "is_power_of_2(granularity) && granularity >= BDRV_SECTOR_SIZE"
        );
        if let Some(name) = name {
            if find(&lock_node(node).list, name).is_some() {
                return Err(Failure::new(CREATE, &[b"Bitmap already exists: ", name.to_bytes()]));
            }
            if name.count_bytes() > MAX_NAME_SIZE {
                return Err(Failure::new(CREATE, &[b"Bitmap name too long: ", name.to_bytes()]));
            }
        }
        let bitmap =
            Self::build(node, length(node)?, granularity, name.map(BitmapName::from), false);
        lock_node(node).insert(Arc::clone(&bitmap));
        Ok(bitmap)
    }

    /// A new bitmap on `node` with a content of the node's length, of a granularity that a dirty
    /// bitmap can have. No other bitmap of the node has its name. Takes the node's lock.
    #[cfg(not(qdb_host = "qemu"))]
    pub(crate) fn create_with(
        node: &BlockDriverState,
        name: Option<&CStr>,
        content: HBitmap,
        enabled: bool,
        persistent: bool,
    ) -> Arc<Self> {
        let name = name.map(BitmapName::from);
        let bitmap = Self::build_around(node, Box::new(content), name, !enabled);
        let mut locked = lock_node(node);
        bitmap.set_persistent(&locked, persistent);
        locked.insert(Arc::clone(&bitmap));
        drop(locked);
        bitmap
    }

    /// A bitmap that is in no list yet. `size` and `granularity` are in bytes.
    pub(super) fn build(
        node: &BlockDriverState,
        size: i64,
        granularity: u32,
        name: Option<BitmapName>,
        disabled: bool,
    ) -> Arc<Self> {
        let content = Box::new(HBitmap::new(size as u64, granularity.trailing_zeros()));
        Self::build_around(node, content, name, disabled)
    }

    /// A bitmap with this content that is in no list yet.
    fn build_around(
        node: &BlockDriverState,
        content: Box<HBitmap>,
        name: Option<BitmapName>,
        disabled: bool,
    ) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            this: this.clone(),
            node: CurrentHost::handle(node),
            flags: Flags::new(disabled),
            granularity_log2: AtomicU32::new(content.granularity()),
            dirty: AtomicU64::new(content.count()),
            // At most i64::MAX.
            size: AtomicI64::new(content.size() as i64),
            content: LockedCell::new(node, content),
            iterators: AtomicU32::new(0),
            link: Link::new(),
            name: Mutex::new(name),
            successor: Mutex::new(None),
        })
    }

    /// Takes the bitmap off its node (C: `bdrv_release_dirty_bitmap`). The list's reference is
    /// given back; the bitmap's memory goes with the last one, which is best dropped after the
    /// lock.
    ///
    /// # Panics
    /// If the bitmap has iterators, is busy, has a successor, or was released before.
    pub fn release(&self, locked: &mut Locked<'_>) -> Arc<Self> {
        self.assert_releasable();
        locked.remove(self)
    }

    /// Checks that nobody uses the bitmap.
    pub(super) fn assert_releasable(&self) {
        self.assert_not_iterated();
        abi_assert!(!self.busy(), RELEASE, "!bdrv_dirty_bitmap_busy(bitmap)");
        abi_assert!(!self.has_successor(), RELEASE, "!bdrv_dirty_bitmap_has_successor(bitmap)");
    }

    /// Checks that no iterator walks the bitmap.
    pub(super) fn assert_not_iterated(&self) {
        abi_assert!(self.active_iterators() == 0, RELEASE, "!bitmap->active_iterators");
    }
}
