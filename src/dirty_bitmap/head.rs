// SPDX-License-Identifier: GPL-2.0-or-later
//! The word in a node that stands for its bitmaps.
//!
//! QEMU has one pointer for this library in its node, and looks only whether it is NULL. It is the
//! address of a [`NodeBitmaps`], or NULL for a node without bitmaps. The low bits of the address
//! are flags, so that a guest's write, which asks for them each time, need not follow the pointer.

use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use super::BdrvDirtyBitmap;
use super::locked_cell::ContentAccess;
use super::write_filter::WriteFilter;
use crate::host::{BlockDriverState, CurrentHost, Host};

/// A bitmap of the node is read-only.
const READONLY: usize = 1;
/// The node has a write filter.
const FILTER: usize = 2;
const FLAGS: usize = READONLY | FILTER;

static_assertions::const_assert!(align_of::<NodeBitmaps>() > FLAGS);

/// What a node has while it has bitmaps. Made with the first one, retired with the last one.
pub struct NodeBitmaps {
    /// The newest bitmap.
    pub(super) first: AtomicPtr<BdrvDirtyBitmap>,
    /// The thread that holds the node's lock on behalf of a C caller, by the number that it goes by
    /// in `lock`; or 0.
    pub(super) owner: AtomicUsize,
    /// The write filter, or NULL. Changed with the lock held; an old one is retired.
    filter: AtomicPtr<WriteFilter>,
}

impl NodeBitmaps {
    pub(super) fn new(first: *mut BdrvDirtyBitmap) -> Self {
        Self {
            first: AtomicPtr::new(first),
            owner: AtomicUsize::new(0),
            filter: AtomicPtr::new(ptr::null_mut()),
        }
    }
}

/// The word of one node.
#[derive(Clone, Copy)]
pub(super) struct Head<'n>(&'n AtomicPtr<()>);

impl<'n> Head<'n> {
    #[inline]
    pub(super) fn of(node: &'n BlockDriverState) -> Self {
        Self(CurrentHost::head(node))
    }

    /// Whether the node has no bitmap. Readable without the lock.
    #[inline]
    pub(super) fn is_empty(self) -> bool {
        self.0.load(Ordering::Relaxed).is_null()
    }

    /// Whether a bitmap of the node is read-only. Readable without the lock.
    #[inline]
    pub(super) fn has_readonly(self) -> bool {
        self.0.load(Ordering::Relaxed).addr() & READONLY != 0
    }

    /// Whether the node has a write filter. Readable without the lock.
    #[inline]
    pub(super) fn has_filter(self) -> bool {
        self.0.load(Ordering::Relaxed).addr() & FILTER != 0
    }

    /// What the word points to, or NULL.
    #[inline]
    pub(super) fn bitmaps(self) -> *mut NodeBitmaps {
        self.0.load(Ordering::Acquire).map_addr(|address| address & !FLAGS).cast()
    }

    /// Puts an object there, with no flag set, or NULL.
    pub(super) fn set_bitmaps(self, bitmaps: *mut NodeBitmaps) {
        // Release: whoever loads the word finds a whole object.
        self.0.store(bitmaps.cast(), Ordering::Release);
    }

    /// Sets the flags. There is an object.
    pub(super) fn set_flags(self, readonly: bool, filter: bool) {
        let flags = if readonly { READONLY } else { 0 } | if filter { FILTER } else { 0 };
        let bitmaps = self.bitmaps().map_addr(|address| address | flags);
        self.0.store(bitmaps.cast(), Ordering::Release);
    }

    /// The write filter, for a holder of the lock.
    #[inline]
    pub(super) fn filter<'a>(self, access: &'a ContentAccess<'_>) -> Option<&'a WriteFilter> {
        let _ = access;
        // SAFETY: the object and its filter are retired by a holder of the lock, and not by this
        // one: it borrows its proof.
        unsafe { self.bitmaps().as_ref()?.filter.load(Ordering::Relaxed).as_ref() }
    }

    /// The write filter, for a reader without the lock.
    #[inline]
    pub(super) fn filter_in(
        self,
        section: &<CurrentHost as Host>::ReadSection,
    ) -> Option<&WriteFilter> {
        let _ = section;
        // SAFETY: both the object and its filter were found in this section, so they are kept as
        // long as it lives.
        unsafe { self.bitmaps().as_ref()?.filter.load(Ordering::Acquire).as_ref() }
    }

    /// Replaces the write filter. Readers may still have the old one.
    pub(super) fn replace_filter(self, access: &ContentAccess<'_>, new: Option<Box<WriteFilter>>) {
        let _ = access;
        // SAFETY: as in `filter`.
        let Some(bitmaps) = (unsafe { self.bitmaps().as_ref() }) else { return };
        let old = bitmaps.filter.swap(new.map_or(ptr::null_mut(), Box::into_raw), Ordering::AcqRel);
        // SAFETY: a pointer in there comes from Box::into_raw, and this one was just taken out.
        unsafe { CurrentHost::retire(old) }
    }
}
