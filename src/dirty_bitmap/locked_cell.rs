// SPDX-License-Identifier: GPL-2.0-or-later
//! A cell whose content is reachable only with the proof that the right node's lock is held.
//!
//! The lock and what it protects live apart: the lock belongs to the host's node (in QEMU it is
//! a `QemuMutex` that C code also takes), the content belongs to a bitmap. A [`ContentAccess`] says
//! "the lock of this node is held"; the cell compares the node with its own and lends its content
//! for as long as the proof is borrowed.

use std::cell::UnsafeCell;
use std::ptr;

use super::write_filter::Announced;
use crate::assertion::fail;
use crate::host::BlockDriverState;

/// The proof that the lock of a node is held. At most one exists for a node at any time.
pub struct ContentAccess<'n> {
    node: &'n BlockDriverState,
}

impl<'n> ContentAccess<'n> {
    /// A proof without a lock.
    ///
    /// # Safety
    /// As long as the proof lives, no other proof for this node is used, in this thread or another:
    /// the lock of `node` is held by this thread, or the caller keeps everybody else away by other
    /// means.
    pub(super) unsafe fn assume(node: &'n BlockDriverState) -> Self {
        Self { node }
    }

    /// The node whose lock is held.
    #[inline]
    pub(super) fn node(&self) -> &'n BlockDriverState {
        self.node
    }
}

/// A value that the lock of one node protects.
pub(super) struct LockedCell<T> {
    /// The address of the node; only compared.
    owner: usize,
    value: UnsafeCell<T>,
}

// SAFETY: a shared cell gives `&T` and `&mut T` only to whoever holds the node's lock, one thread
// at a time, like a mutex.
unsafe impl<T: Send> Sync for LockedCell<T> {}

impl<T> LockedCell<T> {
    /// A cell that the lock of `node` protects. The owner of the cell keeps the node alive, so that
    /// the address stays the node's.
    pub(super) fn new(node: &BlockDriverState, value: T) -> Self {
        Self { owner: ptr::from_ref(node).addr(), value: UnsafeCell::new(value) }
    }

    /// Ends the call if `access` is for another node.
    #[inline]
    fn check(&self, access: &ContentAccess<'_>) {
        if ptr::from_ref(access.node).addr() != self.owner {
            fail(format_args!("a bitmap was used with the lock of another node"));
        }
    }

    /// The content, to read.
    #[inline]
    pub(super) fn get<'a>(&'a self, access: &'a ContentAccess<'_>) -> &'a T {
        self.check(access);
        // SAFETY: the one proof for this cell's node is borrowed as long as the result lives, and
        // nobody has it for writing: a `&mut` out of this cell borrows the proof mutably.
        unsafe { &*self.value.get() }
    }

    /// The content, to change as it was announced.
    #[inline]
    pub(super) fn get_mut<'a>(
        &'a self,
        access: &'a mut ContentAccess<'_>,
        _: Announced,
    ) -> &'a mut T {
        self.check(access);
        // SAFETY: the one proof for this cell's node is borrowed mutably as long as the result
        // lives, so no other reference into this cell exists.
        unsafe { &mut *self.value.get() }
    }

    /// The contents of this cell, to change as it was announced, and of another one under the same
    /// lock, to read. `None` if it is the same cell.
    pub(super) fn get_both<'a>(
        &'a self,
        other: &'a Self,
        access: &'a mut ContentAccess<'_>,
        _: Announced,
    ) -> Option<(&'a mut T, &'a T)> {
        self.check(access);
        other.check(access);
        if ptr::eq(self, other) {
            return None;
        }
        // SAFETY: the one proof for both cells is borrowed mutably as long as the results live, and
        // they are different cells.
        unsafe { Some((&mut *self.value.get(), &*other.value.get())) }
    }
}
