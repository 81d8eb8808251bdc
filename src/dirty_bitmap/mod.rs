// SPDX-License-Identifier: GPL-2.0-or-later
//! The state machine: named bitmaps on a block node.
//!
//! A [`BdrvDirtyBitmap`] records which bytes of its node were written. It has at most one `HBitmap`
//! ([`crate::hbitmap::HBitmap`]), a name (or none: then an operation of the host owns it), and
//! six flags:
//!
//! | flag | meaning |
//! | --- | --- |
//! | busy | an operation uses the bitmap; nobody else may |
//! | disabled | writes to the node are not recorded |
//! | read-only | nothing may change the bitmap; the node must not be written while it is enabled |
//! | persistent | the bitmap belongs in the image file |
//! | inconsistent | the stored bitmap was not closed properly; it can only be removed |
//! | skip-store | a persistent bitmap that is not to be stored now (it migrates, or is being deleted) |
//!
//! While a bitmap is busy, a *successor* may record the writes that come in meanwhile. In the end
//! the successor takes the bitmap's place (*abdicate*), or its content goes back into it
//! (*reclaim*).
//!
//! # Locks
//!
//! A node has one lock for its bitmaps. Functions that need it take a [`Locked`] token:
//! [`BdrvDirtyBitmap::lock`] and [`lock_node`] take the lock and give a guard that derefs to one.
//! Two nodes are locked in one global order ([`lock_pair`]). Flags, the dirty count, granularity
//! and size may be read without the lock: they are atomics, and such a read may be outdated by the
//! time it returns.
//!
//! The list of a node changes only with the lock held. QEMU also requires its big lock for that, so
//! a holder of the big lock may walk the list without the node's lock; see [`ListAccess::assume`].
//!
//! The behaviour is that of QEMU 10.0's `block/dirty-bitmap.c`.

mod content;
pub(crate) mod create;
mod flags;
mod head;
mod iter;
mod list;
pub(crate) mod lock;
mod locked_cell;
mod merge;
mod name;
pub(crate) mod node;
pub(crate) mod position;
mod query;
mod serialize;
mod successor;
pub(crate) mod write_filter;

#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use crate::hbitmap::HBitmap;
use crate::host::{BitmapName, BlockDriverState, NodeHandle};

pub use flags::BitmapCheckFlags;
pub use iter::BdrvDirtyBitmapIter;
pub use list::ListAccess;
pub use lock::{Locked, NodeGuard, PairLocked, lock_node, lock_pair};
pub use merge::{Backup, Merged};
pub use node::{
    default_granularity, find, has_named, has_readonly, record_write, release_named, set_dirty,
    truncate,
};
pub use query::query;

use flags::Flags;
use list::Link;
use locked_cell::LockedCell;

/// The longest name of a bitmap, in bytes.
pub const MAX_NAME_SIZE: usize = 1023;

/// A dirty bitmap on a block node.
///
/// Shared by reference count: the node's list has one reference from creation to release, iterators
/// have one each. A handle that Rust code keeps after the release stays valid, but the bitmap no
/// longer belongs to a list.
pub struct BdrvDirtyBitmap {
    this: Weak<BdrvDirtyBitmap>,
    node: NodeHandle,
    content: LockedCell<Box<HBitmap>>,
    flags: Flags,
    /// log2 of the bytes that one bit stands for; a copy of the content's, for readers without the
    /// lock.
    granularity_log2: AtomicU32,
    /// Dirty bytes; a copy of the content's, for readers without the lock.
    dirty: AtomicU64,
    /// Bytes that the bitmap covers.
    size: AtomicI64,
    iterators: AtomicU32,
    link: Link,
    name: Mutex<Option<BitmapName>>,
    successor: Mutex<Option<Arc<BdrvDirtyBitmap>>>,
}

impl BdrvDirtyBitmap {
    /// The node that the bitmap is attached to.
    #[must_use]
    pub fn node(&self) -> &BlockDriverState {
        &self.node
    }

    /// A handle to the node that the bitmap is attached to.
    #[must_use]
    pub fn node_handle(&self) -> NodeHandle {
        self.node.clone()
    }

    /// One more handle to this bitmap.
    #[must_use]
    pub fn handle(&self) -> Arc<Self> {
        match self.this.upgrade() {
            Some(handle) => handle,
            // A reference to a bitmap borrows from a handle, or from the list's own.
            None => unreachable!("a bitmap without a handle"),
        }
    }

    /// Takes the lock of the bitmap's node.
    #[inline]
    pub fn lock(&self) -> NodeGuard<'_> {
        lock_node(&self.node)
    }

    /// The bytes that the bitmap covers (C: `bdrv_dirty_bitmap_size`).
    #[must_use]
    pub fn size(&self) -> i64 {
        self.size.load(Ordering::Relaxed)
    }

    /// The bytes that one bit stands for (C: `bdrv_dirty_bitmap_granularity`).
    #[must_use]
    pub fn granularity(&self) -> u32 {
        1 << self.granularity_log2.load(Ordering::Relaxed)
    }

    /// Dirty bytes, counted in whole granularity units (C: `bdrv_get_dirty_count`).
    #[must_use]
    pub fn dirty_count(&self) -> u64 {
        self.dirty.load(Ordering::Relaxed)
    }

    /// The name; NULL bitmaps of the host's operations have none (C: `bdrv_dirty_bitmap_name`).
    #[must_use]
    pub fn name(&self) -> Option<BitmapName> {
        self.name.lock().clone()
    }

    /// Whether the bitmap has a name.
    #[must_use]
    pub fn is_named(&self) -> bool {
        self.name.lock().is_some()
    }

    /// Whether the bitmap is in its node's list: from its creation until its release.
    #[must_use]
    pub fn is_attached(&self) -> bool {
        self.link.is_attached()
    }

    /// How many iterators walk the bitmap.
    fn active_iterators(&self) -> u32 {
        self.iterators.load(Ordering::Relaxed)
    }
}

impl std::fmt::Debug for BdrvDirtyBitmap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BdrvDirtyBitmap")
            .field("name", &self.name())
            .field("size", &self.size())
            .field("granularity", &self.granularity())
            .field("dirty_count", &self.dirty_count())
            .finish_non_exhaustive()
    }
}
