// SPDX-License-Identifier: GPL-2.0-or-later
//! A block node for programs that have none: a length, a cluster size, a lock, a list of bitmaps.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicI64, AtomicPtr, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::lock_api::RawMutex as _;
use parking_lot::{Mutex, RawMutex};

use super::Error;

/// A handle to a node; the node lives as long as one of them.
pub type NodeHandle = Arc<BlockDriverState>;

// The documentation is that of the C header, which has no backticks.
#[allow(clippy::doc_markdown)]
/// How a node's format driver stores bitmaps. Any member may be NULL: the driver does not have that
/// function.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct QdbDriver {
    /// Whether bitmaps can be stored; asked by bdrv_supports_persistent_dirty_bitmap().
    pub supports_persistent:
        Option<unsafe extern "C" fn(bs: *mut BlockDriverState, opaque: *mut c_void) -> bool>,
    /// Whether one more bitmap of this name and granularity (bytes) could be stored; on false it
    /// sets `errp`. Asked by bdrv_co_can_store_new_dirty_bitmap().
    pub can_store: Option<
        unsafe extern "C" fn(
            bs: *mut BlockDriverState,
            name: *const c_char,
            granularity: u32,
            opaque: *mut c_void,
            errp: *mut *mut Error,
        ) -> bool,
    >,
    /// Removes the stored bitmap of this name. 0, or a negative errno with `errp` set. Absence of
    /// the bitmap is not an error. Called by bdrv_co_remove_persistent_dirty_bitmap().
    pub remove: Option<
        unsafe extern "C" fn(
            bs: *mut BlockDriverState,
            name: *const c_char,
            opaque: *mut c_void,
            errp: *mut *mut Error,
        ) -> c_int,
    >,
}

/// The driver of a node and what it wants to be given back.
#[derive(Clone, Copy, Debug)]
struct Driver {
    table: QdbDriver,
    opaque: *mut c_void,
}

// SAFETY: `opaque` is never looked into here; it is handed back to the host's functions, on the
// thread that calls into the library. Which threads those are is the host's choice (documented
// at qdb_node_set_driver).
unsafe impl Send for Driver {}

/// A block node: what bitmaps are attached to.
///
/// Attached bitmaps keep their node alive, so a node goes only after its bitmaps were released.
pub struct BlockDriverState {
    this: Weak<BlockDriverState>,
    mutex: RawMutex,
    head: AtomicPtr<()>,
    length: AtomicI64,
    cluster_size: i64,
    name: Option<Box<CStr>>,
    driver: Mutex<Option<Driver>>,
}

impl BlockDriverState {
    /// A node of `length` bytes; a negative `length` is the negative errno that asking for the
    /// length gives. `cluster_size` is in bytes, 0 if unknown. It is never checked: it only chooses
    /// the default granularity.
    #[must_use]
    pub fn new(length: i64, cluster_size: i64, name: Option<&CStr>) -> NodeHandle {
        Arc::new_cyclic(|this| Self {
            this: this.clone(),
            mutex: RawMutex::INIT,
            head: AtomicPtr::new(ptr::null_mut()),
            length: AtomicI64::new(length),
            cluster_size,
            name: name.map(Box::from),
            driver: Mutex::new(None),
        })
    }

    /// One more handle to this node.
    #[must_use]
    pub fn handle(&self) -> NodeHandle {
        match self.this.upgrade() {
            Some(handle) => handle,
            // A reference to a node borrows from a handle, so there is one to copy.
            None => unreachable!("a node without a handle"),
        }
    }

    /// The length in bytes, or a negative errno.
    #[must_use]
    pub fn length(&self) -> i64 {
        self.length.load(Ordering::Relaxed)
    }

    /// Sets what [`length`](Self::length) gives. Bitmaps keep their size: see
    /// `bdrv_dirty_bitmap_truncate`.
    pub fn set_length(&self, length: i64) {
        self.length.store(length, Ordering::Relaxed);
    }

    /// The cluster size in bytes; 0 or less if unknown.
    #[must_use]
    pub fn cluster_size(&self) -> i64 {
        self.cluster_size
    }

    /// The node's name.
    #[must_use]
    pub fn name(&self) -> Option<&CStr> {
        self.name.as_deref()
    }

    pub(crate) fn set_driver(&self, driver: Option<QdbDriver>, opaque: *mut c_void) {
        *self.driver.lock() = driver.map(|table| Driver { table, opaque });
    }

    /// The driver's functions and its `opaque`, copied, so that no lock is held while one runs.
    pub(crate) fn driver(&self) -> Option<(QdbDriver, *mut c_void)> {
        self.driver.lock().map(|driver| (driver.table, driver.opaque))
    }

    #[inline]
    pub(super) fn mutex(&self) -> &RawMutex {
        &self.mutex
    }

    #[inline]
    pub(super) fn head(&self) -> &AtomicPtr<()> {
        &self.head
    }
}

impl std::fmt::Debug for BlockDriverState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlockDriverState")
            .field("length", &self.length())
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
