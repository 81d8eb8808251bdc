// SPDX-License-Identifier: GPL-2.0-or-later
//! What the library asks of its host, the program that it is part of.
//!
//! One trait, [`Host`], with two implementations of which one is compiled in: the stand-alone one
//! makes the library whole by itself, the one of `--cfg qdb_host="qemu"` asks QEMU. Calls are
//! static: there is no table of function pointers between a guest's write and the bitmap.

use std::ffi::CStr;
use std::ops::Deref;
use std::sync::atomic::AtomicPtr;

use crate::assertion::abi_assert;

mod c_memory;
mod dirty_info;
mod failure;
#[cfg(qdb_host = "qemu")]
mod qemu;
#[cfg(not(qdb_host = "qemu"))]
mod standalone;
pub(crate) mod trace;

pub(crate) use c_memory::copy_string;
pub use dirty_info::{BitmapName, DirtyInfo};
pub use failure::Failure;
#[cfg(qdb_host = "qemu")]
pub use qemu::{BlockDirtyInfoList, BlockDriverState, Error, NodeHandle, Qemu as CurrentHost};
#[cfg(not(qdb_host = "qemu"))]
pub use standalone::{
    BlockDirtyInfoList, BlockDriverState, Error, NodeHandle, QdbDriver, Standalone as CurrentHost,
};
#[cfg(not(qdb_host = "qemu"))]
pub(crate) use standalone::{free_error, free_info_list, report_message};

/// The host: block nodes, their locks and lists, errors, tracing.
///
/// The items take a node by reference: whoever holds a reference promises that the node lives. In
/// QEMU that is the rule that a node outlives its bitmaps.
pub trait Host {
    /// A block node (C: `BlockDriverState`).
    type Node;
    /// A handle that a bitmap keeps to find its node again.
    type NodeHandle: Deref<Target = Self::Node> + Clone + Send + Sync;
    /// See [`read_section`](Host::read_section).
    type ReadSection;
    /// An error object (C: `Error`).
    type Error;
    /// A list of bitmap descriptions (C: `BlockDirtyInfoList`).
    type DirtyInfoList;

    /// What a merge of bitmaps of different sizes does when the caller's prototype may return
    /// nothing: `true` aborts as QEMU's assertion does, `false` returns `false` with everything
    /// untouched.
    const SIZE_MISMATCH_ABORTS: bool;

    /// Whether a full memory barrier lies between a write's data and the call that records it.
    const WRITES_HAVE_BARRIERS: bool;

    /// A handle to `node`.
    fn handle(node: &Self::Node) -> Self::NodeHandle;

    /// Takes the lock of the node's bitmaps. Not recursive.
    fn lock(node: &Self::Node);

    /// Releases the lock of the node's bitmaps.
    ///
    /// # Safety
    /// The calling thread holds the lock.
    unsafe fn unlock(node: &Self::Node);

    /// Where the node keeps the word that stands for its bitmaps; NULL if it has none. What it
    /// points to is the state machine's.
    fn head(node: &Self::Node) -> &AtomicPtr<()>;

    /// Keeps what is [retired](Host::retire) from now on alive as long as the section lives.
    /// Sections are short, and wait for nobody.
    fn read_section() -> Self::ReadSection;

    /// Drops an object once no read section is left that is open now. NULL is nothing.
    ///
    /// # Safety
    /// `object` is NULL or came from `Box::into_raw` and is given up; who enters a read section
    /// from now on does not find it.
    unsafe fn retire<T: Send + 'static>(object: *mut T);

    /// The node's length in bytes, or the negative errno that asking for it gave.
    fn length(node: &Self::Node) -> i64;

    /// The node's cluster size in bytes; zero or negative if it has none or it can't be asked.
    fn cluster_size(node: &Self::Node) -> i64;

    /// Checks that the caller runs in QEMU's main thread with the big lock held. `function` is the
    /// C function that asks.
    fn assert_global_state(function: &'static CStr);

    /// Stores `failure` as an error object in `*errp`, with its hint.
    ///
    /// `errp` may be NULL (the caller does not care) or the address of one of the host's
    /// special errors, which end the process.
    ///
    /// # Safety
    /// `errp` is NULL or points to a writable `Error *`.
    unsafe fn report(errp: *mut *mut Self::Error, failure: &Failure);

    /// Appends a description to a list whose last `next` field is at `*tail`, and moves `tail` on.
    ///
    /// # Safety
    /// `*tail` points to a writable, NULL list pointer.
    unsafe fn append_info(tail: &mut *mut *mut Self::DirtyInfoList, info: &DirtyInfo);

    /// Whether [`trace_set`](Host::trace_set) is wanted. Asked on every change of a bitmap, so it
    /// must cost next to nothing.
    #[inline(always)]
    fn traces_set() -> bool {
        false
    }

    /// Whether [`trace_reset`](Host::trace_reset) is wanted.
    #[inline(always)]
    fn traces_reset() -> bool {
        false
    }

    /// Whether [`trace_iter_skip_words`](Host::trace_iter_skip_words) is wanted.
    #[inline(always)]
    fn traces_iter_skip_words() -> bool {
        false
    }

    /// The trace event `hbitmap_set`: items `start` to `start + count`, which are the bits `first`
    /// to `last` inclusive.
    fn trace_set(_bitmap: *const (), _start: u64, _count: u64, _first: u64, _last: u64) {}

    /// The trace event `hbitmap_reset`, with the arguments of [`trace_set`](Host::trace_set).
    fn trace_reset(_bitmap: *const (), _start: u64, _count: u64, _first: u64, _last: u64) {}

    /// The trace event `hbitmap_iter_skip_words`: an iterator moved on to the word with index
    /// `position`, in which it will visit `bits`.
    fn trace_iter_skip_words(_bitmap: *const (), _iterator: *const (), _position: u64, _bits: u64) {
    }
}

/// Checks that bitmaps that are merged are of one size. QEMU's assertion `condition` is violated if
/// they are not: that aborts where the host's prototypes have no way to say no, and is `false`
/// elsewhere.
#[inline]
pub(crate) fn sizes_match(matches: bool, condition: &str) -> bool {
    if CurrentHost::SIZE_MISMATCH_ABORTS {
        abi_assert!(matches, "hbitmap_merge", condition);
    }
    matches
}
