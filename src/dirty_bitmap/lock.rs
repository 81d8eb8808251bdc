// SPDX-License-Identifier: GPL-2.0-or-later
//! Tokens that prove that a node's lock is held, and guards that take it.

use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::ptr;
use std::sync::atomic::Ordering;

use super::BdrvDirtyBitmap;
use super::list::ListAccess;
use super::locked_cell::{ContentAccess, LockedCell};
use super::write_filter::Announced;
use crate::assertion::fail;
use crate::host::{BlockDriverState, CurrentHost, Host};

/// The proof that the lock of a node's bitmaps is held.
///
/// It has two halves that can be borrowed apart: walking the list while the content of a bitmap in
/// it changes needs both.
pub struct Locked<'n> {
    node: &'n BlockDriverState,
    pub(super) list: ListAccess<'n>,
    pub(super) content: ContentAccess<'n>,
    /// A lock belongs to the thread that took it.
    _thread: PhantomData<*mut ()>,
}

impl<'n> Locked<'n> {
    /// The token for a lock that was taken elsewhere; it is not released at the end.
    ///
    /// # Safety
    /// As long as the token lives, no other token for `node` is used, in this thread or another:
    /// this thread holds the lock, or the caller keeps everybody else away by other means.
    #[must_use]
    pub unsafe fn assume(node: &'n BlockDriverState) -> Self {
        // SAFETY: whoever holds the lock is alone with the list and with the contents, as the
        // caller promises.
        unsafe {
            Self {
                node,
                list: ListAccess::assume(node),
                content: ContentAccess::assume(node),
                _thread: PhantomData,
            }
        }
    }

    /// The node whose lock is held.
    #[must_use]
    pub fn node(&self) -> &'n BlockDriverState {
        self.node
    }

    /// The node's bitmaps.
    #[must_use]
    pub fn list(&self) -> &ListAccess<'n> {
        &self.list
    }
}

/// Holds the lock of a node's bitmaps until it is dropped.
pub struct NodeGuard<'n> {
    locked: Locked<'n>,
}

/// Takes the lock of a node's bitmaps. A thread that already has it waits for ever, as in QEMU.
#[inline]
pub fn lock_node(node: &BlockDriverState) -> NodeGuard<'_> {
    CurrentHost::lock(node);
    // SAFETY: the lock was just taken, and it is not recursive, so no other guard for this node
    // lives.
    NodeGuard { locked: unsafe { Locked::assume(node) } }
}

impl Drop for NodeGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: lock_node took the lock, in this thread: a guard can't be sent to another one.
        unsafe { CurrentHost::unlock(self.locked.node) }
    }
}

impl<'n> Deref for NodeGuard<'n> {
    type Target = Locked<'n>;

    #[inline]
    fn deref(&self) -> &Locked<'n> {
        &self.locked
    }
}

impl DerefMut for NodeGuard<'_> {
    #[inline]
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.locked
    }
}

std::thread_local! {
    /// Its address is the number of a thread.
    static THREAD: u8 = const { 0 };
}

fn this_thread() -> usize {
    THREAD.with(|thread| ptr::from_ref(thread).addr())
}

/// The bitmaps of a node of which one is in the list, and stays there during the call.
fn of_attached(bitmap: &BdrvDirtyBitmap) -> ListAccess<'_> {
    // SAFETY: nothing of the list is read but what belongs to the node, which is there as long as a
    // bitmap is.
    unsafe { ListAccess::assume(bitmap.node()) }
}

/// Takes the lock of the bitmap's node for a C caller. Until [`unlock_for_caller`],
/// [`held_by_caller`] is true in this thread.
pub(crate) fn lock_for_caller(bitmap: &BdrvDirtyBitmap) {
    CurrentHost::lock(bitmap.node());
    if let Some(bitmaps) = of_attached(bitmap).bitmaps() {
        bitmaps.owner.store(this_thread(), Ordering::Relaxed);
    }
}

/// Releases the lock that [`lock_for_caller`] took; a thread that does not hold it ends the
/// process.
pub(crate) fn unlock_for_caller(bitmap: &BdrvDirtyBitmap) {
    if !held_by_caller(bitmap) {
        fail(format_args!(
            "bdrv_dirty_bitmap_unlock: the node's bitmaps are not locked by this thread"
        ));
    }
    if let Some(bitmaps) = of_attached(bitmap).bitmaps() {
        bitmaps.owner.store(0, Ordering::Relaxed);
    }
    // SAFETY: this thread took the lock, as was just seen.
    unsafe { CurrentHost::unlock(bitmap.node()) }
}

/// Whether a C caller in this thread holds the lock of the bitmap's node by [`lock_for_caller`].
/// (The guards need no such mark: nothing that runs while one lives comes back from C.)
#[inline]
pub(crate) fn held_by_caller(bitmap: &BdrvDirtyBitmap) -> bool {
    // Relaxed: a thread sees its own number only if it was the last one to store it.
    of_attached(bitmap)
        .bitmaps()
        .is_some_and(|bitmaps| bitmaps.owner.load(Ordering::Relaxed) == this_thread())
}

/// The proof that the locks of the nodes of two bitmaps are held, which may be one lock.
pub struct PairLocked<'n> {
    dest: Locked<'n>,
    /// The other node's lock; `None` if both bitmaps are on one node.
    src: Option<Locked<'n>>,
}

impl<'n> PairLocked<'n> {
    /// The token for locks that were taken elsewhere.
    ///
    /// # Safety
    /// As [`Locked::assume`], for both nodes.
    #[must_use]
    pub unsafe fn assume(dest: &'n BlockDriverState, src: &'n BlockDriverState) -> Self {
        let same = ptr::eq(dest, src);
        // SAFETY: as the caller promises. There is one token for each node: a second one is made
        // for a different node only.
        unsafe { Self { dest: Locked::assume(dest), src: (!same).then(|| Locked::assume(src)) } }
    }

    /// The content of a cell of the first node, to change as it was announced, and of a cell of the
    /// second one, to read. `None` if it is one cell.
    pub(super) fn contents<'a, T>(
        &'a mut self,
        dest: &'a LockedCell<T>,
        src: &'a LockedCell<T>,
        announced: Announced,
    ) -> Option<(&'a mut T, &'a T)> {
        match &self.src {
            Some(other) => {
                Some((dest.get_mut(&mut self.dest.content, announced), src.get(&other.content)))
            }
            None => dest.get_both(src, &mut self.dest.content, announced),
        }
    }

    /// The lock of the first node.
    pub(super) fn dest(&mut self) -> &mut Locked<'n> {
        &mut self.dest
    }
}

/// Holds the locks of two nodes until it is dropped.
pub struct PairGuard<'n> {
    pair: PairLocked<'n>,
}

/// Takes the locks of two nodes, in the order of their addresses, so that two calls with swapped
/// arguments can't wait for each other. If it is one node, its lock is taken once.
pub fn lock_pair<'n>(dest: &'n BlockDriverState, src: &'n BlockDriverState) -> PairGuard<'n> {
    if ptr::eq(dest, src) {
        CurrentHost::lock(dest);
    } else {
        let (first, second) = if ptr::from_ref(dest).addr() < ptr::from_ref(src).addr() {
            (dest, src)
        } else {
            (src, dest)
        };
        CurrentHost::lock(first);
        CurrentHost::lock(second);
    }
    // SAFETY: both locks were just taken, and they are not recursive, so no other guard for these
    // nodes lives.
    PairGuard { pair: unsafe { PairLocked::assume(dest, src) } }
}

impl Drop for PairGuard<'_> {
    fn drop(&mut self) {
        // SAFETY: lock_pair took these locks, in this thread, each once: a pair of one node has no
        // second token.
        unsafe {
            CurrentHost::unlock(self.pair.dest.node);
            if let Some(src) = &self.pair.src {
                CurrentHost::unlock(src.node);
            }
        }
    }
}

impl<'n> Deref for PairGuard<'n> {
    type Target = PairLocked<'n>;

    fn deref(&self) -> &PairLocked<'n> {
        &self.pair
    }
}

impl DerefMut for PairGuard<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.pair
    }
}
