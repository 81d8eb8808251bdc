// SPDX-License-Identifier: GPL-2.0-or-later
//! A dirty bitmap of a node: what it records, and its flags.

use std::ops::{Range, RangeBounds};
use std::sync::Arc;

use super::node::printed_name;
use super::{BitmapInfo, Error, Extent, HBitmap, LiveAreas, LiveIter, LockedBitmap, Node, range};
use crate::dirty_bitmap::{BdrvDirtyBitmap, BitmapCheckFlags, Locked, MAX_NAME_SIZE};

const BUSY: u32 = BitmapCheckFlags::BDRV_BITMAP_BUSY as u32;

/// A bitmap that records which bytes of its [`Node`] were written.
///
/// A `DirtyBitmap` is a handle: clones are the same bitmap, and two handles are equal if they are.
/// Any thread may use any handle.
///
/// # States
///
/// | state | what it means | who enters it |
/// | --- | --- | --- |
/// | enabled | writes to the node are recorded; a new bitmap is enabled | [`enable`](Self::enable), [`disable`](Self::disable) |
/// | busy | an operation owns the bitmap; others can only read it | [`freeze`](Self::freeze), [`claim`](Self::claim) |
/// | read-only | nobody may change it; while it is enabled, the node must not be written | [`set_readonly`](Self::set_readonly) |
/// | persistent | the program means to store it; the library stores nothing by itself | [`set_persistent`](Self::set_persistent) |
/// | inconsistent | it was stored improperly: it can only be released | [`mark_inconsistent`](Self::mark_inconsistent) |
///
/// A change that a state forbids is an [`Error`], which names the state. Reading is always allowed.
///
/// As in QEMU, a read-only bitmap can be frozen: its successor is not read-only and records, and
/// [`Frozen::reclaim`](super::Frozen::reclaim) adds what it recorded to the bitmap. A
/// [`Node::resize`] resizes it too.
///
/// # Locks
///
/// All bitmaps of a node share one lock. Each method takes it for itself, but those that ask for
/// the size, the granularity, the count or a state; [`lock`](Self::lock) takes it for several
/// steps. A thread that holds it must not call anything of the same node but through the guard: it
/// would wait for itself for ever.
///
/// ```
/// use qemu_dirty_bitmap::Node;
///
/// let disk = Node::new(1 << 30)?;
/// let bitmap = disk.create_bitmap("backup", 65536)?;
/// disk.record_write(0..512)?;
/// disk.record_write(65536..131_072)?;
///
/// // The backup: writes that come in meanwhile go to a successor.
/// let frozen = bitmap.freeze()?;
/// for area in frozen.bitmap().areas(0..disk.length()) {
///     assert_eq!(area, 0..131_072); // copy it
/// }
/// disk.record_write(1 << 20..(1 << 20) + 1)?;
///
/// // It succeeded: what was recorded meanwhile is the next backup's. (Dropping `frozen` would
/// // merge it back into the bitmap.)
/// let bitmap = frozen.abdicate();
/// assert_eq!(bitmap.areas(0..disk.length()).collect::<Vec<_>>(), [1 << 20..(1 << 20) + 65536]);
/// # Ok::<(), qemu_dirty_bitmap::Error>(())
/// ```
#[derive(Clone)]
pub struct DirtyBitmap {
    node: Node,
    pub(super) state: Arc<BdrvDirtyBitmap>,
}

impl DirtyBitmap {
    /// The longest name, in bytes.
    pub const MAX_NAME_SIZE: usize = MAX_NAME_SIZE;

    pub(super) fn new(node: Node, state: Arc<BdrvDirtyBitmap>) -> Self {
        Self { node, state }
    }

    /// The node that the bitmap belongs, or belonged, to.
    #[must_use]
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// The name; `None` if it was made without one, or gave it to its successor. One that a C
    /// program stored may not be UTF-8: what is not, is U+FFFD here. QEMU:
    /// `bdrv_dirty_bitmap_name`.
    #[must_use]
    pub fn name(&self) -> Option<String> {
        self.state.name().map(|name| name.to_string_lossy().into_owned())
    }

    /// The bytes that the bitmap covers: the length of its node. QEMU: `bdrv_dirty_bitmap_size`.
    #[must_use]
    pub fn size(&self) -> u64 {
        // Set from lengths of nodes, which are not negative.
        self.state.size() as u64
    }

    /// The bytes that one bit stands for. QEMU: `bdrv_dirty_bitmap_granularity`.
    #[must_use]
    pub fn granularity(&self) -> u64 {
        self.state.granularity().into()
    }

    /// Dirty bytes, counted in whole granularity units: of a disk that ends within one, this may be
    /// more than the disk has. The lengths of the [`areas`](Self::areas) add up to the bytes that
    /// there are. Does not take the lock. QEMU: `bdrv_get_dirty_count`.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.state.dirty_count()
    }

    /// Whether nothing is dirty. Does not take the lock.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count() == 0
    }

    /// Name, count, granularity and flags, as they are in one moment. Takes the lock. QEMU:
    /// `bdrv_query_dirty_bitmaps`.
    #[must_use]
    pub fn info(&self) -> BitmapInfo {
        let _locked = self.state.lock();
        self.state.info().into()
    }

    /// Takes the node's lock, for several steps that nobody may come between.
    ///
    /// ```
    /// # use qemu_dirty_bitmap::Node;
    /// # let disk = Node::new(1 << 20)?;
    /// # let bitmap = disk.create_bitmap("backup", 4096)?;
    /// // Take the first dirty area out of the bitmap, before another thread does.
    /// bitmap.set(5000..9000)?;
    /// let mut locked = bitmap.lock();
    /// let area = locked.next_area(0..locked.size(), 1 << 20);
    /// if let Some(area) = area.clone() {
    ///     locked.reset(area)?;
    /// }
    /// drop(locked);
    /// assert_eq!((area, bitmap.count()), (Some(4096..12288), 0));
    /// # Ok::<(), qemu_dirty_bitmap::Error>(())
    /// ```
    #[must_use = "the lock is released when the guard is dropped"]
    pub fn lock(&self) -> LockedBitmap<'_> {
        LockedBitmap::new(self, false)
    }

    /// [`LockedBitmap::set`], with the lock taken for it.
    ///
    /// # Errors
    /// As there.
    ///
    /// ```
    /// # use qemu_dirty_bitmap::Node;
    /// # let disk = Node::new(1 << 20)?;
    /// # let bitmap = disk.create_bitmap("backup", 4096)?;
    /// bitmap.set(0..1)?;
    /// assert!(bitmap.get(4095)?);
    /// # Ok::<(), qemu_dirty_bitmap::Error>(())
    /// ```
    pub fn set(&self, range: impl RangeBounds<u64>) -> Result<(), Error> {
        self.lock().set(range)
    }

    /// [`LockedBitmap::reset`], with the lock taken for it.
    ///
    /// # Errors
    /// As there.
    pub fn reset(&self, range: impl RangeBounds<u64>) -> Result<(), Error> {
        self.lock().reset(range)
    }

    /// [`LockedBitmap::clear`], with the lock taken for it.
    ///
    /// # Errors
    /// As there.
    pub fn clear(&self) -> Result<(), Error> {
        self.lock().clear()
    }

    /// [`LockedBitmap::take`], with the lock taken for it.
    ///
    /// # Errors
    /// As there.
    pub fn take(&self) -> Result<HBitmap, Error> {
        self.lock().take()
    }

    /// [`LockedBitmap::swap`], with the lock taken for it.
    ///
    /// # Errors
    /// As there.
    pub fn swap(&self, content: &mut HBitmap) -> Result<(), Error> {
        self.lock().swap(content)
    }

    /// [`LockedBitmap::deserialize`], with the lock taken for it.
    ///
    /// # Errors
    /// As there.
    pub fn deserialize(&self, range: impl RangeBounds<u64>, bytes: &[u8]) -> Result<(), Error> {
        self.lock().deserialize(range, bytes)
    }

    /// A copy of what is recorded now.
    #[must_use]
    pub fn snapshot(&self) -> HBitmap {
        self.lock().clone()
    }

    /// [`HBitmap::get`], with the node's lock taken for it. QEMU: `bdrv_dirty_bitmap_get`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`].
    pub fn get(&self, offset: u64) -> Result<bool, Error> {
        self.lock().get(offset)
    }

    /// [`HBitmap::contains`], with the node's lock taken for it.
    #[must_use]
    pub fn contains(&self, offset: u64) -> bool {
        self.lock().contains(offset)
    }

    /// [`HBitmap::next_dirty`], with the node's lock taken for it. QEMU:
    /// `bdrv_dirty_bitmap_next_dirty`.
    #[must_use]
    pub fn next_dirty(&self, range: impl RangeBounds<u64>) -> Option<u64> {
        self.lock().next_dirty(range)
    }

    /// [`HBitmap::next_clean`], with the node's lock taken for it. QEMU:
    /// `bdrv_dirty_bitmap_next_zero`.
    #[must_use]
    pub fn next_clean(&self, range: impl RangeBounds<u64>) -> Option<u64> {
        self.lock().next_clean(range)
    }

    /// [`HBitmap::next_area`], with the node's lock taken for it. QEMU:
    /// `bdrv_dirty_bitmap_next_dirty_area`.
    #[must_use]
    pub fn next_area(&self, range: impl RangeBounds<u64>, max: u64) -> Option<Range<u64>> {
        self.lock().next_area(range, max)
    }

    /// [`HBitmap::status`], with the node's lock taken for it. QEMU: `bdrv_dirty_bitmap_status`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`], for an empty range too.
    pub fn status(&self, range: impl RangeBounds<u64>) -> Result<Extent, Error> {
        self.lock().status(range)
    }

    /// The dirty bits, ascending, each as its first byte. The bitmap may change meanwhile: see
    /// [`LiveIter`]. QEMU: `bdrv_dirty_iter_new`, `bdrv_dirty_iter_next`.
    #[must_use]
    pub fn iter(&self) -> LiveIter {
        self.iter_from(0)
    }

    /// The dirty bits from the one that `offset` lies in on. QEMU: `bdrv_set_dirty_iter`.
    #[must_use]
    pub fn iter_from(&self, offset: u64) -> LiveIter {
        LiveIter::new(self.clone(), offset)
    }

    /// The dirty areas of a range, ascending. The bitmap may change meanwhile: see [`LiveAreas`].
    #[must_use]
    pub fn areas(&self, range: impl RangeBounds<u64>) -> LiveAreas {
        let range = range::resolve(&range, self.size());
        LiveAreas::new(self.clone(), range)
    }

    /// [`HBitmap::serialization_align`], in bytes of the disk. QEMU:
    /// `bdrv_dirty_bitmap_serialization_align`.
    #[must_use]
    pub fn serialization_align(&self) -> u64 {
        self.state.serialization_align()
    }

    /// The bytes of the disk that a number of bytes of serialised bitmap cover: 8 bits for each.
    /// `None` if `bytes` is not a multiple of 8, or it would be 2^64 or more. QEMU:
    /// `bdrv_dirty_bitmap_serialization_coverage`.
    ///
    /// ```
    /// # use qemu_dirty_bitmap::Node;
    /// let bitmap = Node::new(1 << 40)?.create_bitmap("backup", 65536)?;
    /// assert_eq!(bitmap.serialization_coverage(8), Some(bitmap.serialization_align()));
    /// assert_eq!(bitmap.serialization_coverage(12), None);
    /// # Ok::<(), qemu_dirty_bitmap::Error>(())
    /// ```
    #[must_use]
    pub fn serialization_coverage(&self, bytes: u64) -> Option<u64> {
        // Not the state machine's, which has the limits of C's int.
        (bytes % 8 == 0).then(|| bytes.checked_mul(8)?.checked_mul(self.granularity())).flatten()
    }

    /// [`HBitmap::serialize`], with the node's lock taken for it. QEMU:
    /// `bdrv_dirty_bitmap_serialize_part`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`], [`Error::Unaligned`].
    pub fn serialize(&self, range: impl RangeBounds<u64>) -> Result<Vec<u8>, Error> {
        self.lock().serialize(range)
    }

    /// [`HBitmap::sha256`], of a copy that is made with the lock held. QEMU:
    /// `bdrv_dirty_bitmap_sha256`.
    #[must_use]
    pub fn sha256(&self) -> String {
        self.state.sha256()
    }

    /// Whether writes to the node are recorded in this bitmap itself. QEMU:
    /// `bdrv_dirty_bitmap_enabled`.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.state.enabled()
    }

    /// Whether writes to the node are recorded in this bitmap or, while it is frozen, in its place.
    /// Takes the lock.
    #[must_use]
    pub fn is_recording(&self) -> bool {
        let _locked = self.state.lock();
        self.state.recording()
    }

    /// Starts to record. QEMU: `bdrv_enable_dirty_bitmap`.
    ///
    /// # Errors
    /// [`Error::Busy`], [`Error::Inconsistent`], [`Error::Released`].
    pub fn enable(&self) -> Result<(), Error> {
        self.change_flags(BitmapCheckFlags::ALLOW_RO, BdrvDirtyBitmap::enable)
    }

    /// Stops to record. QEMU: `bdrv_disable_dirty_bitmap`.
    ///
    /// # Errors
    /// [`Error::Busy`], [`Error::Inconsistent`], [`Error::Released`].
    pub fn disable(&self) -> Result<(), Error> {
        self.change_flags(BitmapCheckFlags::ALLOW_RO, BdrvDirtyBitmap::disable)
    }

    /// Whether an operation owns the bitmap.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.state.busy()
    }

    /// Whether another bitmap records in this one's place: it is [frozen](Self::freeze). QEMU:
    /// `bdrv_dirty_bitmap_has_successor`.
    #[must_use]
    pub fn has_successor(&self) -> bool {
        self.state.has_successor()
    }

    /// Whether the bitmap is read-only. QEMU: `bdrv_dirty_bitmap_readonly`.
    #[must_use]
    pub fn is_readonly(&self) -> bool {
        self.state.readonly()
    }

    /// Makes the bitmap read-only, or no longer: see [States](Self#states). QEMU:
    /// `bdrv_dirty_bitmap_set_readonly`.
    ///
    /// # Errors
    /// [`Error::Busy`], [`Error::Released`].
    ///
    /// ```
    /// # use qemu_dirty_bitmap::{Error, Node};
    /// let disk = Node::new(1 << 20)?;
    /// let bitmap = disk.create_bitmap("backup", 4096)?;
    /// bitmap.set_readonly(true)?;
    /// let error = disk.record_write(0..1).unwrap_err();
    /// assert_eq!(error.to_string(), "Bitmap 'backup' is readonly and cannot be modified");
    /// # Ok::<(), Error>(())
    /// ```
    pub fn set_readonly(&self, readonly: bool) -> Result<(), Error> {
        self.change_flags(BUSY, |state, locked| state.set_readonly(locked, readonly))
    }

    /// Whether the bitmap is one that outlives the program.
    #[must_use]
    pub fn is_persistent(&self) -> bool {
        self.state.persistent()
    }

    /// Whether the bitmap is to be stored now: it is persistent, and the store was not told to skip
    /// it. QEMU: `bdrv_dirty_bitmap_get_persistence`.
    #[must_use]
    pub fn is_to_be_stored(&self) -> bool {
        self.state.stored()
    }

    /// Says whether the bitmap is one that outlives the program. QEMU:
    /// `bdrv_dirty_bitmap_set_persistence`.
    ///
    /// # Errors
    /// [`Error::Busy`], [`Error::Released`].
    pub fn set_persistent(&self, persistent: bool) -> Result<(), Error> {
        self.change_flags(BUSY, |state, locked| state.set_persistent(locked, persistent))
    }

    /// Says whether the next store leaves the bitmap out, persistent as it is. QEMU:
    /// `bdrv_dirty_bitmap_skip_store`.
    ///
    /// # Errors
    /// [`Error::Busy`], [`Error::Released`].
    ///
    /// ```
    /// # use qemu_dirty_bitmap::Node;
    /// let bitmap = Node::new(1 << 20)?.create_bitmap("backup", 4096)?;
    /// bitmap.set_persistent(true)?;
    /// bitmap.set_skip_store(true)?;
    /// assert!(bitmap.is_persistent() && !bitmap.is_to_be_stored());
    /// # Ok::<(), qemu_dirty_bitmap::Error>(())
    /// ```
    pub fn set_skip_store(&self, skip: bool) -> Result<(), Error> {
        self.change_flags(BUSY, |state, locked| state.set_skip_store(locked, skip))
    }

    /// Whether the bitmap was stored improperly. QEMU: `bdrv_dirty_bitmap_inconsistent`.
    #[must_use]
    pub fn is_inconsistent(&self) -> bool {
        self.state.inconsistent()
    }

    /// Marks a persistent bitmap as one that was stored improperly, so that it may lack bits, and
    /// disables it. There is no way back: it can only be released. QEMU:
    /// `bdrv_dirty_bitmap_set_inconsistent`.
    ///
    /// # Errors
    /// [`Error::NotPersistent`], [`Error::Busy`], [`Error::Released`].
    ///
    /// ```
    /// # use qemu_dirty_bitmap::{Error, Node};
    /// let bitmap = Node::new(1 << 20)?.create_bitmap("backup", 4096)?;
    /// assert!(matches!(bitmap.mark_inconsistent(), Err(Error::NotPersistent { .. })));
    /// bitmap.set_persistent(true)?;
    /// bitmap.mark_inconsistent()?;
    /// assert!(matches!(bitmap.freeze(), Err(Error::Inconsistent { .. })));
    /// bitmap.release()?;
    /// # Ok::<(), Error>(())
    /// ```
    pub fn mark_inconsistent(&self) -> Result<(), Error> {
        // Freezing looks at the states before it takes the node's lock.
        let _control = self.node.control();
        let locked = self.state.lock();
        self.check_states(BUSY)?;
        if !self.state.persistent() {
            return Err(Error::NotPersistent { name: printed_name(&self.state) });
        }
        self.state.set_inconsistent(&locked);
        Ok(())
    }

    /// Refuses a bitmap that can't be changed: one that is busy, read-only or inconsistent. QEMU:
    /// `bdrv_dirty_bitmap_check` with `BDRV_BITMAP_DEFAULT`.
    ///
    /// Another thread may change the state meanwhile; calls that change the bitmap check it
    /// themselves.
    ///
    /// # Errors
    /// [`Error::Busy`], [`Error::ReadOnly`], [`Error::Inconsistent`], in this order;
    /// [`Error::Released`] before them.
    pub fn check(&self) -> Result<(), Error> {
        self.check_states(BitmapCheckFlags::DEFAULT)
    }

    /// Refuses a bitmap that can't be the source of a backup or a merge: one that is busy or
    /// inconsistent. QEMU: `bdrv_dirty_bitmap_check` with `BDRV_BITMAP_ALLOW_RO`.
    ///
    /// # Errors
    /// [`Error::Busy`], [`Error::Inconsistent`], in this order; [`Error::Released`] before them.
    pub fn check_as_source(&self) -> Result<(), Error> {
        self.check_states(BitmapCheckFlags::ALLOW_RO)
    }

    /// Refuses a bitmap that was released or is in one of the states that `flags` names: the state
    /// machine decides, here it gets a type.
    pub(super) fn check_states(&self, flags: u32) -> Result<(), Error> {
        if self.is_released() {
            return Err(Error::Released);
        }
        let named = |state: BitmapCheckFlags, error: fn(String) -> Error| {
            let refused = self.state.check(flags & state as u32);
            refused.map_err(|_| error(printed_name(&self.state)))
        };
        named(BitmapCheckFlags::BDRV_BITMAP_BUSY, |name| Error::Busy { name })?;
        named(BitmapCheckFlags::BDRV_BITMAP_RO, |name| Error::ReadOnly { name })?;
        named(BitmapCheckFlags::BDRV_BITMAP_INCONSISTENT, |name| Error::Inconsistent { name })
    }

    /// Changes flags under the lock, if the bitmap is in none of the states that `refuse` names.
    pub(super) fn change_flags(
        &self,
        refuse: u32,
        change: impl FnOnce(&BdrvDirtyBitmap, &Locked<'_>),
    ) -> Result<(), Error> {
        let locked = self.state.lock();
        self.check_states(refuse)?;
        change(&self.state, &locked);
        Ok(())
    }
}

impl PartialEq for DirtyBitmap {
    /// Whether both are handles of one bitmap.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.state, &other.state)
    }
}

impl Eq for DirtyBitmap {}

impl IntoIterator for &DirtyBitmap {
    type Item = u64;
    type IntoIter = LiveIter;

    fn into_iter(self) -> LiveIter {
        self.iter()
    }
}

impl std::fmt::Debug for DirtyBitmap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DirtyBitmap")
            .field("name", &self.name())
            .field("size", &self.size())
            .field("granularity", &self.granularity())
            .field("count", &self.count())
            .finish_non_exhaustive()
    }
}
