// SPDX-License-Identifier: GPL-2.0-or-later
//! The list of a node's bitmaps: linked through the bitmaps, newest first.
//!
//! The list owns a reference to every bitmap in it. It begins in the node's [`NodeBitmaps`], which
//! is there as long as there is a bitmap.

use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use super::head::{Head, NodeBitmaps};
use super::{BdrvDirtyBitmap, Locked};
use crate::assertion::abi_assert;
use crate::host::{BlockDriverState, CurrentHost, Host};

/// A bitmap's link in the list of its node.
pub(super) struct Link {
    next: AtomicPtr<BdrvDirtyBitmap>,
    previous: AtomicPtr<BdrvDirtyBitmap>,
    attached: AtomicBool,
}

impl Link {
    /// Not in a list.
    pub(super) fn new() -> Self {
        Self {
            next: AtomicPtr::new(ptr::null_mut()),
            previous: AtomicPtr::new(ptr::null_mut()),
            attached: AtomicBool::new(false),
        }
    }

    /// Whether the bitmap is in a list.
    pub(super) fn is_attached(&self) -> bool {
        self.attached.load(Ordering::Relaxed)
    }
}

/// The proof that the list of a node does not change but by the holder of this.
///
/// Invariant of all lists: every pointer in one is NULL or comes from `Arc::into_raw` of a bitmap
/// in it.
pub struct ListAccess<'n> {
    node: &'n BlockDriverState,
}

impl<'n> ListAccess<'n> {
    /// The proof, on the caller's word.
    ///
    /// # Safety
    /// As long as the proof lives, nobody else adds a bitmap to the list of `node` or removes one:
    /// this thread holds the node's lock or, in QEMU, the big lock. In the latter case the proof is
    /// used to read alone.
    #[must_use]
    pub unsafe fn assume(node: &'n BlockDriverState) -> Self {
        Self { node }
    }

    /// What the node has while it has bitmaps.
    #[inline]
    pub(super) fn bitmaps(&self) -> Option<&NodeBitmaps> {
        // SAFETY: the node's word is NULL or points to an object that goes with the last bitmap.
        // Removing that would take this proof mutably.
        unsafe { Head::of(self.node).bitmaps().as_ref() }
    }

    /// The bitmap that a pointer of the list stands for.
    #[inline]
    fn resolve(&self, pointer: *mut BdrvDirtyBitmap) -> Option<&BdrvDirtyBitmap> {
        // SAFETY: by the list's invariant the pointer is NULL or a bitmap in the list, whose
        // reference the list owns. It stays in the list as long as this proof is borrowed, because
        // removing it would take the proof mutably.
        unsafe { pointer.as_ref() }
    }

    /// The newest bitmap.
    #[inline]
    #[must_use]
    pub fn first(&self) -> Option<&BdrvDirtyBitmap> {
        self.resolve(self.bitmaps()?.first.load(Ordering::Acquire))
    }

    /// The bitmap after `bitmap`, the next older one; `None` after the last one, and for a bitmap
    /// that was released.
    #[inline]
    #[must_use]
    pub fn next(&self, bitmap: &BdrvDirtyBitmap) -> Option<&BdrvDirtyBitmap> {
        abi_assert!(
            ptr::eq(bitmap.node(), self.node),
            "bdrv_dirty_bitmap_next",
            "bitmap->bs == bs"
        );
        self.resolve(bitmap.link.next.load(Ordering::Acquire))
    }

    /// All bitmaps, newest first.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = &BdrvDirtyBitmap> {
        std::iter::successors(self.first(), |bitmap| {
            self.resolve(bitmap.link.next.load(Ordering::Acquire))
        })
    }
}

impl Locked<'_> {
    /// Puts a new bitmap in front.
    pub(super) fn insert(&mut self, bitmap: Arc<BdrvDirtyBitmap>) {
        abi_assert!(
            ptr::eq(bitmap.node(), self.node()),
            "bdrv_create_dirty_bitmap",
            "bitmap->bs == bs"
        );
        abi_assert!(
            !bitmap.link.attached.swap(true, Ordering::Relaxed),
            "bdrv_create_dirty_bitmap",
            "!QLIST_IS_INSERTED(bitmap, list)"
        );
        let list = &self.list;
        let old =
            list.bitmaps().map_or(ptr::null_mut(), |bitmaps| bitmaps.first.load(Ordering::Relaxed));
        bitmap.link.next.store(old, Ordering::Relaxed);
        let raw = Arc::into_raw(bitmap).cast_mut();
        if let Some(old) = list.resolve(old) {
            old.link.previous.store(raw, Ordering::Relaxed);
        }
        match list.bitmaps() {
            // Release: whoever loads the pointer finds a whole bitmap.
            Some(bitmaps) => bitmaps.first.store(raw, Ordering::Release),
            None => {
                Head::of(self.node()).set_bitmaps(Box::into_raw(Box::new(NodeBitmaps::new(raw))))
            }
        }
        self.note_states();
    }

    /// Takes a bitmap out and gives back the list's reference.
    pub(super) fn remove(&mut self, bitmap: &BdrvDirtyBitmap) -> Arc<BdrvDirtyBitmap> {
        const FUNCTION: &str = "bdrv_release_dirty_bitmap_locked";
        abi_assert!(ptr::eq(bitmap.node(), self.node()), FUNCTION, "bitmap->bs == bs");
        abi_assert!(
            bitmap.link.attached.swap(false, Ordering::Relaxed),
            FUNCTION,
            "QLIST_IS_INSERTED(bitmap, list)"
        );
        let list = &self.list;
        let next = bitmap.link.next.swap(ptr::null_mut(), Ordering::Relaxed);
        let previous = bitmap.link.previous.swap(ptr::null_mut(), Ordering::Relaxed);
        if let Some(next) = list.resolve(next) {
            next.link.previous.store(previous, Ordering::Relaxed);
        }
        let to_bitmap = match list.resolve(previous) {
            Some(previous) => Some(&previous.link.next),
            None => list.bitmaps().map(|bitmaps| &bitmaps.first),
        };
        let Some(to_bitmap) = to_bitmap else {
            unreachable!("a bitmap in the list of a node that has none")
        };
        let raw = to_bitmap.swap(next, Ordering::AcqRel);
        self.note_states();
        if self.list.first().is_none() {
            let head = Head::of(self.node());
            let bitmaps = head.bitmaps();
            head.set_bitmaps(ptr::null_mut());
            // SAFETY: the word's pointers come from Box::into_raw; this one was just taken out of
            // it, so nobody finds it any more.
            unsafe {
                CurrentHost::retire(bitmaps);
            }
        }
        // SAFETY: the bitmap was in this node's list, so the pointer that led to it came from
        // `Arc::into_raw`; it was just replaced, so its reference is taken back once.
        unsafe { Arc::from_raw(raw) }
    }
}
