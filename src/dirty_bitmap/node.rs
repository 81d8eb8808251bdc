// SPDX-License-Identifier: GPL-2.0-or-later
//! Calls that concern all bitmaps of a node.

use std::ffi::CStr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::head::Head;
use super::write_filter::{Change, fence_with_data, is_recorded};
use super::{BdrvDirtyBitmap, ListAccess, Locked, lock_node};
use crate::assertion::abi_assert;
use crate::host::{BlockDriverState, CurrentHost, Host, trace};

/// Whether the node has no bitmap. Readable without the lock.
#[inline]
pub(crate) fn is_empty(node: &BlockDriverState) -> bool {
    Head::of(node).is_empty()
}

/// Whether a write, whose data is written, is in no bitmap because the node has none. Takes no
/// lock. A bitmap that is made at the same time comes before the write, or after its data: a disk
/// that is copied after that has it.
#[inline]
pub(crate) fn has_none_to_record(node: &BlockDriverState) -> bool {
    let has_none = || is_empty(node);
    has_none()
        && (CurrentHost::WRITES_HAVE_BARRIERS || {
            fence_with_data();
            has_none()
        })
}

/// The bitmap with this name (C: `bdrv_find_dirty_bitmap`).
pub fn find<'a>(list: &'a ListAccess<'_>, name: &CStr) -> Option<&'a BdrvDirtyBitmap> {
    list.iter().find(|bitmap| bitmap.name().as_deref() == Some(name))
}

/// Records a write to the node in all its enabled bitmaps (C: `bdrv_set_dirty`). Takes the node's
/// lock, unless the write filter knows that all of them have it.
///
/// # Panics
/// If an enabled bitmap is read-only, or the range ends past the last bit of one.
#[inline]
pub fn set_dirty(node: &BlockDriverState, offset: u64, bytes: u64) {
    if !has_none_to_record(node) && !is_recorded(node, offset, bytes) {
        record_write(&mut lock_node(node), offset, bytes);
    }
}

/// [`set_dirty`] for a caller who holds the lock.
///
/// # Panics
/// As `set_dirty`.
#[inline]
pub fn record_write(locked: &mut Locked<'_>, offset: u64, bytes: u64) {
    let Locked { list, content, .. } = locked;
    let mut added = 0;
    for bitmap in list.iter() {
        if bitmap.enabled() {
            abi_assert!(
                !bitmap.readonly(),
                "bdrv_set_dirty",
                "!bdrv_dirty_bitmap_readonly(bitmap)"
            );
            let before = bitmap.dirty_count();
            bitmap.record(content, offset, bytes);
            added |= bitmap.dirty_count() - before;
        }
    }
    if added == 0 {
        locked.note_write(offset, bytes);
    }
}

/// Whether a bitmap of the node is read-only (C: `bdrv_has_readonly_bitmaps`). Readable without the
/// lock: every write asks.
#[inline]
#[must_use]
pub fn has_readonly(node: &BlockDriverState) -> bool {
    Head::of(node).has_readonly()
}

/// Whether a bitmap of the node has a name (C: `bdrv_has_named_bitmaps`). Takes the node's lock, if
/// there is a bitmap.
#[must_use]
pub fn has_named(node: &BlockDriverState) -> bool {
    !is_empty(node) && lock_node(node).list.iter().any(BdrvDirtyBitmap::is_named)
}

/// Gives all bitmaps of the node a new size in bytes (C: `bdrv_dirty_bitmap_truncate`). New bytes
/// are clean.
///
/// # Panics
/// If a bitmap is busy, or has a successor or iterators, or `bytes` is negative or too large for
/// its granularity.
pub fn truncate(locked: &mut Locked<'_>, bytes: i64) {
    const FUNCTION: &str = "bdrv_dirty_bitmap_truncate";
    let Locked { list, content, .. } = locked;
    for bitmap in list.iter() {
        abi_assert!(!bitmap.busy(), FUNCTION, "!bdrv_dirty_bitmap_busy(bitmap)");
        abi_assert!(!bitmap.has_successor(), FUNCTION, "!bdrv_dirty_bitmap_has_successor(bitmap)");
        abi_assert!(bitmap.active_iterators() == 0, FUNCTION, "!bitmap->active_iterators");
    }
    // Only now, so that a panic that a Rust program survives leaves no bitmap of another size than
    // the rest.
    for bitmap in list.iter() {
        // A negative size becomes one that the engine refuses, as in C.
        bitmap.change(content, Change::Replaces, |hbitmap| {
            trace::truncate(hbitmap, bytes as u64);
            hbitmap.truncate(bytes as u64);
        });
        bitmap.size.store(bytes, Ordering::Relaxed);
    }
    locked.note_states();
}

/// Takes all bitmaps with a name off the node (C: `bdrv_release_named_dirty_bitmaps`) and gives
/// back the list's references, which are best dropped after the lock.
///
/// # Panics
/// If one of them has iterators, is busy, or has a successor.
pub fn release_named(locked: &mut Locked<'_>) -> Vec<Arc<BdrvDirtyBitmap>> {
    let named: Vec<_> = locked
        .list
        .iter()
        .filter(|bitmap| bitmap.is_named())
        .map(BdrvDirtyBitmap::handle)
        .collect();
    named.iter().map(|bitmap| bitmap.release(locked)).collect()
}

/// Takes all bitmaps off the node, whatever state they are in, and gives back the list's
/// references: for the end of a node that nobody else has any more.
pub(crate) fn detach_all(locked: &mut Locked<'_>) -> Vec<Arc<BdrvDirtyBitmap>> {
    let all: Vec<_> = locked.list.iter().map(BdrvDirtyBitmap::handle).collect();
    all.iter().map(|bitmap| locked.remove(bitmap)).collect()
}

/// The granularity, in bytes, that suits the node: its cluster size, but at least 4 KiB and at most
/// 64 KiB, which is also what a node without a known cluster size gets (C:
/// `bdrv_get_default_bitmap_granularity`).
#[must_use]
pub fn default_granularity(node: &BlockDriverState) -> u32 {
    match CurrentHost::cluster_size(node) {
        ..=0 => 65536,
        size => size.clamp(4096, 65536) as u32,
    }
}
