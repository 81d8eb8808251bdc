// SPDX-License-Identifier: GPL-2.0-or-later
//! A block node: what dirty bitmaps are attached to.

use std::ffi::CString;
use std::ops::RangeBounds;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use super::{BitmapInfo, DirtyBitmap, Error, range};
use crate::dirty_bitmap::write_filter::is_recorded;
use crate::dirty_bitmap::{self as machine, BdrvDirtyBitmap, MAX_NAME_SIZE, lock_node};
use crate::host::{BlockDriverState, NodeHandle};

/// The granularities that bitmaps of a node can have, in bytes (QEMU keeps them in 32 bits).
pub(super) const GRANULARITIES: (u64, u64) = (512, 1 << 31);

/// A virtual disk, as far as dirty bitmaps care: a length, and the bitmaps that record what is
/// written to it.
///
/// It does not do the writing: the program tells it of each write with
/// [`record_write`](Self::record_write). Offsets and lengths are in bytes.
///
/// A `Node` is a handle: clones are the same node, and two handles are equal if they are. Any
/// thread may use any handle. The node owns its bitmaps; they go when they are
/// [released](DirtyBitmap::release), or with the node: when no handle of it, or of a bitmap of it,
/// is left.
///
/// ```
/// use qemu_dirty_bitmap::Node;
///
/// let disk = Node::new(10 << 30)?;
/// let bitmap = disk.create_bitmap("monday", disk.default_granularity())?;
/// disk.record_write(1_000_000..1_000_512)?;
/// assert_eq!(bitmap.count(), 65536);
/// # Ok::<(), qemu_dirty_bitmap::Error>(())
/// ```
#[derive(Clone)]
pub struct Node {
    shared: Arc<Shared>,
}

struct Shared {
    state: NodeHandle,
    /// Held by the steps that QEMU's big lock keeps apart. Taken before the node's lock.
    control: Mutex<()>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        // Bitmaps keep the state machine's node alive, and its list keeps them alive: here the
        // circle is cut.
        let bitmaps = machine::node::detach_all(&mut lock_node(&self.state));
        drop(bitmaps);
    }
}

impl Node {
    /// A node of `length` bytes without a bitmap.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] if `length` is above `i64::MAX`.
    pub fn new(length: u64) -> Result<Self, Error> {
        Self::with_clusters(length, 0)
    }

    /// The same, with the size of the clusters that its format allocates, in bytes: it chooses the
    /// [default granularity](Self::default_granularity).
    ///
    /// # Errors
    /// [`Error::OutOfRange`] if `length` is above `i64::MAX`; [`Error::Granularity`] if
    /// `cluster_size` is not a power of two up to 2^62.
    pub fn with_cluster_size(length: u64, cluster_size: u64) -> Result<Self, Error> {
        range::granularity_log2(cluster_size, 1, 1 << 62)?;
        Self::with_clusters(length, cluster_size as i64)
    }

    fn with_clusters(length: u64, cluster_size: i64) -> Result<Self, Error> {
        let state = BlockDriverState::new(signed(length)?, cluster_size, None);
        Ok(Self { shared: Arc::new(Shared { state, control: Mutex::new(()) }) })
    }

    /// The length in bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        // Never negative: it is set by `with_clusters` and `resize` alone.
        self.state().length() as u64
    }

    /// The granularity, in bytes, that suits the node: its cluster size, but at least 4096 and at
    /// most 65536; 65536 if it has none. QEMU: `bdrv_get_default_bitmap_granularity`.
    ///
    /// ```
    /// # use qemu_dirty_bitmap::Node;
    /// assert_eq!(Node::new(1 << 30)?.default_granularity(), 65536);
    /// assert_eq!(Node::with_cluster_size(1 << 30, 512)?.default_granularity(), 4096);
    /// # Ok::<(), qemu_dirty_bitmap::Error>(())
    /// ```
    #[must_use]
    pub fn default_granularity(&self) -> u64 {
        machine::default_granularity(self.state()).into()
    }

    /// Records a write in all [enabled](DirtyBitmap::is_enabled) bitmaps of the node, busy or not.
    /// QEMU: `bdrv_set_dirty`.
    ///
    /// When the data reaches the disk is the program's affair. If a backup runs beside the writes,
    /// record each after its data is written and before the guest is told so, whether it succeeded
    /// or not, as QEMU does. Recorded first, it may get into the bitmap that a backup
    /// [freezes](DirtyBitmap::freeze), and its data onto the disk after the backup has read that
    /// block: no backup has it then. A program whose writes and backups never overlap, and that
    /// stores the bitmap at each write, records first: a crash in between costs nothing but a block
    /// that is copied in vain.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] if the range does not lie within the node; [`Error::ReadOnly`] if an
    /// enabled bitmap is read-only: then the node must not be written.
    ///
    /// ```
    /// # use qemu_dirty_bitmap::Node;
    /// let disk = Node::new(1 << 20)?;
    /// let (old, new) = (disk.create_bitmap("old", 512)?, disk.create_bitmap("new", 65536)?);
    /// old.disable()?;
    /// disk.record_write(4096..8192)?;
    /// assert_eq!((old.count(), new.count()), (0, 65536));
    /// assert!(disk.record_write(0..1 << 21).is_err());
    /// # Ok::<(), qemu_dirty_bitmap::Error>(())
    /// ```
    pub fn record_write(&self, range: impl RangeBounds<u64>) -> Result<(), Error> {
        let range = range::resolve(&range, self.length());
        if machine::node::has_none_to_record(self.state()) {
            return range::within(&range, self.length()).map(|_| ());
        }
        // What is in the bitmaps is within the node.
        if range.start < range.end
            && is_recorded(self.state(), range.start, range.end - range.start)
        {
            return Ok(());
        }
        let mut locked = lock_node(self.state());
        // Under the lock, because a resize changes length and bitmaps together.
        let bytes = range::within(&range, self.length())?;
        if let Some(bitmap) =
            locked.list().iter().find(|bitmap| bitmap.enabled() && bitmap.readonly())
        {
            return Err(Error::ReadOnly { name: printed_name(bitmap) });
        }
        machine::record_write(&mut locked, range.start, bytes);
        Ok(())
    }

    /// Gives the node, and all its bitmaps, another length in bytes. What is added is clean. QEMU:
    /// `bdrv_dirty_bitmap_truncate`.
    ///
    /// # Errors
    /// [`Error::Busy`] if a bitmap is in use; [`Error::TooLarge`] if one can't be so large;
    /// [`Error::OutOfRange`] if `length` is above `i64::MAX`.
    ///
    /// ```
    /// # use qemu_dirty_bitmap::Node;
    /// let disk = Node::new(1 << 20)?;
    /// let bitmap = disk.create_bitmap("bitmap", 512)?;
    /// disk.resize(1 << 30)?;
    /// assert_eq!(bitmap.size(), 1 << 30);
    /// # Ok::<(), qemu_dirty_bitmap::Error>(())
    /// ```
    pub fn resize(&self, length: u64) -> Result<(), Error> {
        let signed_length = signed(length)?;
        let _control = self.control();
        let mut locked = lock_node(self.state());
        for bitmap in locked.list().iter() {
            if bitmap.busy() {
                return Err(Error::Busy { name: printed_name(bitmap) });
            }
            range::size(length, bitmap.granularity().into())?;
        }
        machine::truncate(&mut locked, signed_length);
        self.state().set_length(signed_length);
        Ok(())
    }

    /// A new bitmap: clean and enabled, neither busy, read-only, persistent nor inconsistent. QEMU:
    /// `bdrv_create_dirty_bitmap`.
    ///
    /// `name` has at most [`DirtyBitmap::MAX_NAME_SIZE`] bytes. `granularity` is in bytes: a power
    /// of two from 512 to 2^31.
    ///
    /// # Errors
    /// [`Error::Granularity`], [`Error::NameTaken`], [`Error::NameTooLong`], [`Error::NameHasNul`];
    /// [`Error::TooLarge`] if the node is too long for the granularity.
    ///
    /// ```
    /// # use qemu_dirty_bitmap::{Error, Node};
    /// let disk = Node::new(1 << 40)?;
    /// let bitmap = disk.create_bitmap("backup", 65536)?;
    /// assert_eq!(bitmap.name().as_deref(), Some("backup"));
    /// let refused = disk.create_bitmap("other", 1000);
    /// assert!(matches!(refused, Err(Error::Granularity { min: 512, .. })));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn create_bitmap(&self, name: &str, granularity: u64) -> Result<DirtyBitmap, Error> {
        let owned = || name.to_string();
        let c_name = CString::new(name).map_err(|_| Error::NameHasNul { name: owned() })?;
        self.create(Some(&c_name), granularity, |too_long| match too_long {
            true => Error::NameTooLong { name: owned() },
            false => Error::NameTaken { name: owned() },
        })
    }

    /// A new bitmap without a name, which [`find`](Self::find) does not find and
    /// [`release_named`](Self::release_named) leaves alone: for an operation's own use.
    ///
    /// # Errors
    /// As [`create_bitmap`](Self::create_bitmap).
    pub fn create_anonymous_bitmap(&self, granularity: u64) -> Result<DirtyBitmap, Error> {
        self.create(None, granularity, |_| {
            unreachable!("a bitmap without a name is refused for its name")
        })
    }

    /// Makes a bitmap. The state machine refuses names alone; `refused` says how, from whether the
    /// name is too long.
    fn create(
        &self,
        name: Option<&CString>,
        granularity: u64,
        refused: impl FnOnce(bool) -> Error,
    ) -> Result<DirtyBitmap, Error> {
        let (min, max) = GRANULARITIES;
        range::granularity_log2(granularity, min, max)?;
        let _control = self.control();
        range::size(self.length(), granularity)?;
        match BdrvDirtyBitmap::create(self.state(), granularity as u32, name.map(CString::as_c_str))
        {
            Ok(bitmap) => Ok(DirtyBitmap::new(self.clone(), bitmap)),
            Err(_) => Err(refused(name.is_some_and(|name| name.as_bytes().len() > MAX_NAME_SIZE))),
        }
    }

    /// The bitmap with this name. QEMU: `bdrv_find_dirty_bitmap`.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<DirtyBitmap> {
        let name = CString::new(name).ok()?;
        let bitmap = machine::find(lock_node(self.state()).list(), &name)?.handle();
        Some(DirtyBitmap::new(self.clone(), bitmap))
    }

    /// All bitmaps, newest first, but for the successors of
    /// [frozen](DirtyBitmap::freeze) ones. QEMU: `bdrv_dirty_bitmap_first`,
    /// `bdrv_dirty_bitmap_next`.
    ///
    /// ```
    /// # use qemu_dirty_bitmap::Node;
    /// let disk = Node::new(1 << 20)?;
    /// disk.create_bitmap("a", 512)?;
    /// disk.create_bitmap("b", 512)?;
    /// let names: Vec<_> = disk.bitmaps().iter().filter_map(|bitmap| bitmap.name()).collect();
    /// assert_eq!(names, ["b", "a"]);
    /// # Ok::<(), qemu_dirty_bitmap::Error>(())
    /// ```
    #[must_use]
    pub fn bitmaps(&self) -> Vec<DirtyBitmap> {
        let locked = lock_node(self.state());
        // A successor belongs to its parent's `Frozen`: nobody else may release it.
        let successors: Vec<_> =
            locked.list().iter().filter_map(BdrvDirtyBitmap::successor).collect();
        let is_successor = |bitmap: &BdrvDirtyBitmap| {
            successors.iter().any(|other| std::ptr::eq(&**other, bitmap))
        };
        let own = locked.list().iter().filter(|bitmap| !is_successor(bitmap));
        own.map(|bitmap| DirtyBitmap::new(self.clone(), bitmap.handle())).collect()
    }

    /// What all bitmaps look like, newest first; the successors of [frozen](DirtyBitmap::freeze)
    /// ones are there too, as bitmaps without a name. QEMU:
    /// `bdrv_query_dirty_bitmaps`.
    #[must_use]
    pub fn query(&self) -> Vec<BitmapInfo> {
        machine::query(&lock_node(self.state())).map(BitmapInfo::from).collect()
    }

    /// Whether a bitmap of the node has a name. QEMU: `bdrv_has_named_bitmaps`.
    #[must_use]
    pub fn has_named_bitmaps(&self) -> bool {
        machine::has_named(self.state())
    }

    /// Whether a bitmap of the node is read-only. QEMU: `bdrv_has_readonly_bitmaps`.
    #[must_use]
    pub fn has_readonly_bitmaps(&self) -> bool {
        machine::has_readonly(self.state())
    }

    /// Releases all bitmaps that have a name. QEMU: `bdrv_release_named_dirty_bitmaps`.
    ///
    /// # Errors
    /// [`Error::Busy`] if one of them is in use; none is released then.
    pub fn release_named(&self) -> Result<(), Error> {
        let _control = self.control();
        let mut locked = lock_node(self.state());
        if let Some(bitmap) = locked.list().iter().find(|bitmap| bitmap.is_named() && bitmap.busy())
        {
            return Err(Error::Busy { name: printed_name(bitmap) });
        }
        let released = machine::release_named(&mut locked);
        // Their memory goes with the lock free again.
        drop(locked);
        drop(released);
        Ok(())
    }

    /// Takes the lock that stands for QEMU's big one.
    pub(super) fn control(&self) -> MutexGuard<'_, ()> {
        self.shared.control.lock()
    }

    pub(super) fn state(&self) -> &BlockDriverState {
        &self.shared.state
    }
}

/// A length as the state machine wants it.
fn signed(length: u64) -> Result<i64, Error> {
    i64::try_from(length).map_err(|_| Error::OutOfRange { range: 0..length, size: i64::MAX as u64 })
}

/// A bitmap's name as QEMU's messages have it.
pub(super) fn printed_name(bitmap: &BdrvDirtyBitmap) -> String {
    bitmap.name().map_or_else(|| "(null)".to_string(), |name| name.to_string_lossy().into_owned())
}

impl PartialEq for Node {
    /// Whether both are handles of one node.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}

impl Eq for Node {}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node").field("length", &self.length()).finish_non_exhaustive()
    }
}
