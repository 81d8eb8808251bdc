// SPDX-License-Identifier: GPL-2.0-or-later
//! The C functions of QEMU's `block/dirty-bitmap.c`. Offsets and lengths are in bytes of the disk.

#![allow(clippy::missing_safety_doc)] // One set of rules for all of them: see the parent module.

use std::ffi::{c_char, c_int};
use std::ptr;

use super::error::or_report;
use super::hbitmap::{buffer, buffer_mut, hexadecimal};
use super::{object, object_mut, optional_string, range, store};
use crate::assertion::{abi_assert, assertion_failed, null_argument};
use crate::dirty_bitmap::{
    self, Backup, BdrvDirtyBitmap, BdrvDirtyBitmapIter, ListAccess, Locked, Merged, PairLocked,
    lock, lock_node, lock_pair,
};
use crate::hbitmap::HBitmap;
use crate::host::{BlockDirtyInfoList, BlockDriverState, CurrentHost, Error, Host};

/// The longest name of a dirty bitmap, in bytes without the terminating NUL.
#[allow(dead_code)] // Rust 1.85 does not count the assertion below.
pub const BDRV_BITMAP_MAX_NAME_SIZE: usize = 1023;

static_assertions::const_assert_eq!(BDRV_BITMAP_MAX_NAME_SIZE, dirty_bitmap::MAX_NAME_SIZE);

/// The address that C knows a bitmap by.
#[inline]
fn address(bitmap: &BdrvDirtyBitmap) -> *mut BdrvDirtyBitmap {
    ptr::from_ref(bitmap).cast_mut()
}

/// The token of a C caller who holds the lock of the bitmap's node.
#[inline(always)]
fn locked_by_caller(bitmap: &BdrvDirtyBitmap) -> Locked<'_> {
    // SAFETY: the C functions that use this say that their caller holds the lock. A C function
    // makes one token, and drops it before it returns.
    unsafe { Locked::assume(bitmap.node()) }
}

/// Reads with the lock of the bitmap's node held: the caller's, or one that is taken here. QEMU's
/// block-copy.c and copy-before-write.c read under a lock of their own, which keeps nobody away who
/// writes to the node.
#[inline]
fn reading<R>(bitmap: &BdrvDirtyBitmap, read: impl FnOnce(&Locked<'_>) -> R) -> R {
    if lock::held_by_caller(bitmap) {
        read(&locked_by_caller(bitmap))
    } else {
        read(&bitmap.lock())
    }
}

/// The list of a node, for a C caller who may read it.
#[inline(always)]
fn list_of(bs: &BlockDriverState) -> ListAccess<'_> {
    // SAFETY: the C functions that use this say that their caller holds the node's lock or (in
    // QEMU) the big lock, and so nobody changes the list meanwhile. They only read it.
    unsafe { ListAccess::assume(bs) }
}

/// Takes the lock of the bitmap's node. It protects all bitmaps of the node, and is not recursive.
///
/// QEMU: block/dirty-bitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn bdrv_dirty_bitmap_lock(bitmap: *mut BdrvDirtyBitmap) {
    lock::lock_for_caller(object!(bitmap, "bdrv_dirty_bitmap_lock"));
}

/// Releases the lock of the bitmap's node.
///
/// Lock: held by the calling thread, or it aborts. QEMU: block/dirty-bitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn bdrv_dirty_bitmap_unlock(bitmap: *mut BdrvDirtyBitmap) {
    lock::unlock_for_caller(object!(bitmap, "bdrv_dirty_bitmap_unlock"));
}

/// The bitmap of a node with this name, or NULL.
///
/// @param name  Not NULL.
///
/// Lock: the node's lock or the big lock. QEMU: block/dirty-bitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn bdrv_find_dirty_bitmap(
    bs: *mut BlockDriverState,
    name: *const c_char,
) -> *mut BdrvDirtyBitmap {
    let Some(name) = optional_string(name) else {
        assertion_failed("bdrv_find_dirty_bitmap", "name");
    };
    let list = list_of(object!(bs, "bdrv_find_dirty_bitmap"));
    dirty_bitmap::find(&list, name).map_or(ptr::null_mut(), address)
}

/// Makes a clean, enabled bitmap of the node's length and attaches it to the node.
///
/// @param granularity  Bytes that one bit stands for: a power of two, at least 512, or it aborts.
///                     It aborts as well if there would be more than 2^41 bits, or there is no
///                     memory for them: qdb_check_geometry() tells before.
/// @param name         Copied. NULL for a bitmap without a name. Unique on its node; at most
///                     BDRV_BITMAP_MAX_NAME_SIZE bytes.
/// @param errp         "Bitmap already exists: NAME", "Bitmap name too long: NAME", or "could not
///                     get length of device: REASON" (and then errno is set as well).
/// @return             The bitmap; bdrv_release_dirty_bitmap() ends it. NULL on error, and then
///                     nothing has changed.
///
/// Lock: taken here; the big lock is held. QEMU: block/dirty-bitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn bdrv_create_dirty_bitmap(
    bs: *mut BlockDriverState,
    granularity: u32,
    name: *const c_char,
    errp: *mut *mut Error,
) -> *mut BdrvDirtyBitmap {
    let created = BdrvDirtyBitmap::create(
        object!(bs, "bdrv_create_dirty_bitmap"),
        granularity,
        optional_string(name),
    );
    // SAFETY: `errp` is NULL or writable, by the rules for all C functions. The node's list keeps
    // the bitmap alive.
    unsafe { or_report(created, errp) }.map_or(ptr::null_mut(), |bitmap| address(&bitmap))
}

/// The bytes that a bitmap covers: the node's length when the bitmap was made, or that of the last
/// bdrv_dirty_bitmap_truncate().
///
/// Lock: none. QEMU: block/dirty-bitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn bdrv_dirty_bitmap_size(bitmap: *const BdrvDirtyBitmap) -> i64 {
    object!(bitmap, "bdrv_dirty_bitmap_size").size()
}

/// The name of a bitmap, or NULL. It belongs to the bitmap (after bdrv_dirty_bitmap_abdicate(): to
/// the successor).
///
/// Lock: none. QEMU: block/dirty-bitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn bdrv_dirty_bitmap_name(bitmap: *const BdrvDirtyBitmap) -> *const c_char {
    object!(bitmap, "bdrv_dirty_bitmap_name").name().map_or(ptr::null(), |name| name.as_ptr())
}

/// Whether a bitmap has a successor.
///
/// Lock: the big lock. QEMU: block/dirty-bitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn bdrv_dirty_bitmap_has_successor(bitmap: *mut BdrvDirtyBitmap) -> bool {
    object!(bitmap, "bdrv_dirty_bitmap_has_successor").has_successor()
}

/// Marks a bitmap as used by an operation, or no longer. A busy bitmap can't be released, truncated
/// or merged into.
///
/// Lock: taken here. QEMU: block/dirty-bitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn bdrv_dirty_bitmap_set_busy(bitmap: *mut BdrvDirtyBitmap, busy: bool) {
    let bitmap = object!(bitmap, "bdrv_dirty_bitmap_set_busy");
    bitmap.set_busy(&bitmap.lock(), busy);
}

/// Whether a bitmap records the writes to its node (itself: a successor does not count).
///
/// Lock: none. QEMU: block/dirty-bitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn bdrv_dirty_bitmap_enabled(bitmap: *mut BdrvDirtyBitmap) -> bool {
    object!(bitmap, "bdrv_dirty_bitmap_enabled").enabled()
}

/// Refuses a bitmap that is in a state it must not be in.
///
/// @param flags  Of enum BitmapCheckFlags; looked at in that order.
/// @param errp   "Bitmap 'NAME' is currently in use by another operation and cannot be used",
///               "Bitmap 'NAME' is readonly and cannot be modified", or "Bitmap 'NAME' is
///               inconsistent and cannot be used" with a hint.
/// @return       0, or -1 if it is refused.
///
/// Lock: none. QEMU: block/dirty-bitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn bdrv_dirty_bitmap_check(
    bitmap: *const BdrvDirtyBitmap,
    flags: u32,
    errp: *mut *mut Error,
) -> c_int {
    let checked = object!(bitmap, "bdrv_dirty_bitmap_check").check(flags);
    // SAFETY: `errp` is NULL or writable, by the rules for all C functions.
    unsafe { or_report(checked, errp) }.map_or(-1, |()| 0)
}

/// Freezes a bitmap: it becomes busy and disabled, and a new bitmap without a name, its successor,
/// records if it did.
///
/// @param errp  As for bdrv_dirty_bitmap_check() of a busy bitmap; "Cannot create a successor for a
///              bitmap that already has one"; "could not get length of device: REASON" (and then
///              errno is set as well).
/// @return      0, or -1 on error, and then nothing has changed.
///
/// Lock: taken here; the big lock is held. QEMU: block/dirty-bitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn bdrv_dirty_bitmap_create_successor(
    bitmap: *mut BdrvDirtyBitmap,
    errp: *mut *mut Error,
) -> c_int {
    let created = object!(bitmap, "bdrv_dirty_bitmap_create_successor").create_successor();
    // SAFETY: `errp` is NULL or writable, by the rules for all C functions.
    unsafe { or_report(created, errp) }.map_or(-1, |()| 0)
}

/// bdrv_enable_dirty_bitmap() for a caller who holds the lock. NULL aborts.
///
/// Lock: held. QEMU: block/dirty-bitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn bdrv_enable_dirty_bitmap_locked(bitmap: *mut BdrvDirtyBitmap) {
    let bitmap = object!(bitmap, "bdrv_enable_dirty_bitmap_locked");
    bitmap.enable(&locked_by_caller(bitmap));
}

/// Lets the successor of a bitmap record. Aborts if there is none.
///
/// Lock: taken here; the big lock is held. QEMU: block/dirty-bitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn bdrv_dirty_bitmap_enable_successor(bitmap: *mut BdrvDirtyBitmap) {
    let bitmap = object!(bitmap, "bdrv_dirty_bitmap_enable_successor");
    bitmap.enable_successor(&bitmap.lock());
}

/// Replaces a bitmap by its successor, which takes over name and persistence. The bitmap is
/// released.
///
/// @param errp  "Cannot relinquish control if there's no successor present".
/// @return      The successor; NULL on error, and then nothing has changed.
///
/// Aborts if the bitmap has iterators. Lock: taken here; the big lock is held. QEMU:
/// block/dirty-bitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn bdrv_dirty_bitmap_abdicate(
    bitmap: *mut BdrvDirtyBitmap,
    errp: *mut *mut Error,
) -> *mut BdrvDirtyBitmap {
    // Alive during the call, although the node's list gives its reference up.
    let bitmap = object!(bitmap, "bdrv_dirty_bitmap_abdicate").handle();
    // SAFETY: `errp` is NULL or writable, by the rules for all C functions. The node's list keeps
    // the successor alive.
    unsafe { or_report(bitmap.abdicate(), errp) }
        .map_or(ptr::null_mut(), |successor| address(&successor))
}

/// Takes what the successor of a bitmap recorded back into the bitmap, and releases the successor.
/// The bitmap is no longer busy, and records if the successor did.
///
/// @param errp  "Cannot reclaim a successor when none is present".
/// @return      The bitmap; NULL on error, and then nothing has changed.
///
/// Aborts if the successor has iterators, is busy, or has a successor. Lock: held; the big lock is
/// held. QEMU: block/dirty-bitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn bdrv_reclaim_dirty_bitmap_locked(
    parent: *mut BdrvDirtyBitmap,
    errp: *mut *mut Error,
) -> *mut BdrvDirtyBitmap {
    let bitmap = object!(parent, "bdrv_reclaim_dirty_bitmap_locked");
    let reclaimed = bitmap.reclaim(&mut locked_by_caller(bitmap));
    // SAFETY: `errp` is NULL or writable, by the rules for all C functions.
    unsafe { or_report(reclaimed, errp) }.map_or(ptr::null_mut(), |()| parent)
}

/// bdrv_reclaim_dirty_bitmap_locked() for a caller who does not hold the lock.
///
/// Lock: taken here; the big lock is held. QEMU: block/dirty-bitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn bdrv_reclaim_dirty_bitmap(
    parent: *mut BdrvDirtyBitmap,
    errp: *mut *mut Error,
) -> *mut BdrvDirtyBitmap {
    let bitmap = object!(parent, "bdrv_reclaim_dirty_bitmap");
    let reclaimed = bitmap.reclaim(&mut bitmap.lock());
    // SAFETY: `errp` is NULL or writable, by the rules for all C functions.
    unsafe { or_report(reclaimed, errp) }.map_or(ptr::null_mut(), |()| parent)
}

/// Gives all bitmaps of a node a new size. What is added is clean.
///
/// @param bytes  Not negative.
///
/// Aborts if a bitmap is busy, or has a successor or iterators. Lock: taken here; the big lock is
/// held. QEMU: block/dirty-bitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn bdrv_dirty_bitmap_truncate(bs: *mut BlockDriverState, bytes: i64) {
    dirty_bitmap::truncate(&mut lock_node(object!(bs, "bdrv_dirty_bitmap_truncate")), bytes);
}

/// Takes a bitmap off its node and frees it. What is stored in the image stays there.
///
/// Aborts if the bitmap has iterators, is busy, or has a successor. Lock: taken here; the big lock
/// is held. QEMU: block/dirty-bitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn bdrv_release_dirty_bitmap(bitmap: *mut BdrvDirtyBitmap) {
    // Alive during the call, although the node's list gives its reference up. The content is freed
    // with the lock free again.
    let bitmap = object!(bitmap, "bdrv_release_dirty_bitmap").handle();
    drop(bitmap.release(&mut bitmap.lock()));
}

/// Releases all bitmaps of a node that have a name. What is stored in the image stays there.
///
/// Aborts if one of them has iterators, is busy, or has a successor. Lock: taken here; the big lock
/// is held. QEMU: block/dirty-bitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn bdrv_release_named_dirty_bitmaps(bs: *mut BlockDriverState) {
    let released = dirty_bitmap::release_named(&mut lock_node(object!(
        bs,
        "bdrv_release_named_dirty_bitmaps"
    )));
    drop(released);
}

/// Stops a bitmap from recording the writes to its node. NULL does nothing but warn on stderr:
/// QEMU's blockdev.c passes it when it undoes the enabling of a bitmap that does not exist.
///
/// Lock: taken here. QEMU: block/dirty-bitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn bdrv_disable_dirty_bitmap(bitmap: *mut BdrvDirtyBitmap) {
    if let Some(bitmap) = unless_null(bitmap, "bdrv_disable_dirty_bitmap") {
        bitmap.disable(&bitmap.lock());
    }
}

/// Makes a bitmap record the writes to its node. NULL does nothing but warn on stderr, as in
/// bdrv_disable_dirty_bitmap().
///
/// Lock: taken here. QEMU: block/dirty-bitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn bdrv_enable_dirty_bitmap(bitmap: *mut BdrvDirtyBitmap) {
    if let Some(bitmap) = unless_null(bitmap, "bdrv_enable_dirty_bitmap") {
        bitmap.enable(&bitmap.lock());
    }
}

/// The bitmap, or `None` and a warning for a NULL that QEMU is known to pass.
fn unless_null<'a>(bitmap: *mut BdrvDirtyBitmap, function: &str) -> Option<&'a BdrvDirtyBitmap> {
    // SAFETY: the pointer is NULL or a bitmap that lives, by the rules for all C functions.
    let bitmap = unsafe { bitmap.as_ref() };
    if bitmap.is_none() {
        eprintln!("warning: {function}: there is no bitmap (NULL); nothing is done");
    }
    bitmap
}

/// Descriptions of all bitmaps of a node, newest first.
///
/// @return  A list from malloc(); qdb_dirty_info_list_free() (in QEMU:
///          qapi_free_BlockDirtyInfoList()) frees it. NULL if there is none.
///
/// Lock: taken here. QEMU: block/dirty-bitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn bdrv_query_dirty_bitmaps(
    bs: *mut BlockDriverState,
) -> *mut BlockDirtyInfoList {
    let guard = lock_node(object!(bs, "bdrv_query_dirty_bitmaps"));
    let mut list = ptr::null_mut();
    let mut tail = &raw mut list;
    for info in dirty_bitmap::query(&guard) {
        // SAFETY: `tail` points to `list` or to the `next` of its last entry, which are NULL.
        unsafe {
            CurrentHost::append_info(&mut tail, &info);
        }
    }
    list
}

/// bdrv_dirty_bitmap_get() for a caller who may hold the lock.
///
/// Lock: taken here, unless the calling thread holds it. QEMU: block/dirty-bitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn bdrv_dirty_bitmap_get_locked(
    bitmap: *mut BdrvDirtyBitmap,
    offset: i64,
) -> bool {
    let bitmap = object!(bitmap, "bdrv_dirty_bitmap_get_locked");
    reading(bitmap, |locked| bitmap.get(locked, offset as u64))
}

/// Whether a byte is dirty.
///
/// @param offset  Aborts if it is negative or past the last bit.
///
/// Lock: taken here. QEMU: block/dirty-bitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn bdrv_dirty_bitmap_get(bitmap: *mut BdrvDirtyBitmap, offset: i64) -> bool {
    let bitmap = object!(bitmap, "bdrv_dirty_bitmap_get");
    bitmap.get(&bitmap.lock(), offset as u64)
}

/// The granularity, in bytes, that suits a node: its cluster size, but at least 4096 and at most
/// 65536; 65536 if it has none.
///
/// Lock: none. QEMU: block/dirty-bitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn bdrv_get_default_bitmap_granularity(bs: *mut BlockDriverState) -> u32 {
    dirty_bitmap::default_granularity(object!(bs, "bdrv_get_default_bitmap_granularity"))
}

/// The bytes that one bit of a bitmap stands for.
///
/// Lock: none. QEMU: block/dirty-bitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn bdrv_dirty_bitmap_granularity(bitmap: *const BdrvDirtyBitmap) -> u32 {
    object!(bitmap, "bdrv_dirty_bitmap_granularity").granularity()
}

/// Makes an iterator at the start of a bitmap. As long as it lives, the bitmap can't be released or
/// truncated. It walks what the bitmap records at the time, also after a merge with a backup or
/// bdrv_restore_dirty_bitmap(). After a restore of a content of another granularity, an offset may
/// come twice.
///
/// @return  The iterator; bdrv_dirty_iter_free() frees it.
///
/// Aborts if the bitmap's size is 0. Lock: none. QEMU: block/dirty-bitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn bdrv_dirty_iter_new(
    bitmap: *mut BdrvDirtyBitmap,
) -> *mut BdrvDirtyBitmapIter {
    Box::into_raw(Box::new(BdrvDirtyBitmapIter::new(object!(bitmap, "bdrv_dirty_iter_new"))))
}

/// Frees an iterator; NULL does nothing.
///
/// Lock: none. QEMU: block/dirty-bitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn bdrv_dirty_iter_free(iter: *mut BdrvDirtyBitmapIter) {
    if !iter.is_null() {
        // SAFETY: every iterator that C has comes from Box::into_raw, and the caller gives this one
        // up.
        drop(unsafe { Box::from_raw(iter) });
    }
}

/// The offset of the next dirty granularity unit, or -1 at the end.
///
/// Lock: held. QEMU: block/dirty-bitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn bdrv_dirty_iter_next(iter: *mut BdrvDirtyBitmapIter) -> i64 {
    let iter = object_mut!(iter, "bdrv_dirty_iter_next");
    let bitmap = ptr::from_ref(iter.bitmap());
    // SAFETY: the iterator keeps the bitmap alive, and lives longer than this call.
    let locked = locked_by_caller(unsafe { &*bitmap });
    range::or_minus_one(iter.next(&locked))
}

/// bdrv_set_dirty_bitmap() for a caller who holds the lock.
///
/// Lock: held. QEMU: block/dirty-bitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn bdrv_set_dirty_bitmap_locked(
    bitmap: *mut BdrvDirtyBitmap,
    offset: i64,
    bytes: i64,
) {
    let bitmap = object!(bitmap, "bdrv_set_dirty_bitmap_locked");
    bitmap.set(&mut locked_by_caller(bitmap), offset as u64, bytes as u64);
}

/// Marks a range dirty, whether the bitmap is enabled or not.
///
/// @param offset  Of the first byte.
/// @param bytes   0 does nothing.
///
/// Aborts if the bitmap is read-only, or the range is negative or ends past the last bit. Lock:
/// taken here. QEMU: block/dirty-bitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn bdrv_set_dirty_bitmap(
    bitmap: *mut BdrvDirtyBitmap,
    offset: i64,
    bytes: i64,
) {
    let bitmap = object!(bitmap, "bdrv_set_dirty_bitmap");
    bitmap.set(&mut bitmap.lock(), offset as u64, bytes as u64);
}

/// bdrv_reset_dirty_bitmap() for a caller who holds the lock.
///
/// Lock: held. QEMU: block/dirty-bitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn bdrv_reset_dirty_bitmap_locked(
    bitmap: *mut BdrvDirtyBitmap,
    offset: i64,
    bytes: i64,
) {
    let bitmap = object!(bitmap, "bdrv_reset_dirty_bitmap_locked");
    bitmap.reset(&mut locked_by_caller(bitmap), offset as u64, bytes as u64);
}

/// Marks a range clean.
///
/// @param offset  Of the first byte, a multiple of the granularity.
/// @param bytes   A multiple of the granularity unless the range ends exactly at the bitmap's end;
///                0 does nothing.
///
/// Aborts if the bitmap is read-only, or the range is not aligned so, is negative, or ends past the
/// last bit. Lock: taken here. QEMU: block/dirty-bitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn bdrv_reset_dirty_bitmap(
    bitmap: *mut BdrvDirtyBitmap,
    offset: i64,
    bytes: i64,
) {
    let bitmap = object!(bitmap, "bdrv_reset_dirty_bitmap");
    bitmap.reset(&mut bitmap.lock(), offset as u64, bytes as u64);
}

/// Marks everything clean.
///
/// @param out  If not NULL, receives what was recorded, for bdrv_restore_dirty_bitmap() or
///             hbitmap_free(); the bitmap gets a new, clean HBitmap.
///
/// Aborts if the bitmap is read-only. Lock: taken here. QEMU: block/dirty-bitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn bdrv_clear_dirty_bitmap(
    bitmap: *mut BdrvDirtyBitmap,
    out: *mut *mut HBitmap,
) {
    let bitmap = object!(bitmap, "bdrv_clear_dirty_bitmap");
    if out.is_null() {
        bitmap.clear(&mut bitmap.lock());
    } else {
        let old = bitmap.clear_and_keep(&mut bitmap.lock());
        store!(out, Box::into_raw(old), "bdrv_clear_dirty_bitmap");
    }
}

/// Puts back what bdrv_clear_dirty_bitmap() or a merge gave, and frees what the bitmap recorded
/// since.
///
/// @param backup  Taken over by the bitmap; not NULL.
///
/// Aborts if the bitmap is read-only. Lock: taken here; the big lock is held. QEMU:
/// block/dirty-bitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn bdrv_restore_dirty_bitmap(
    bitmap: *mut BdrvDirtyBitmap,
    backup: *mut HBitmap,
) {
    let bitmap = object!(bitmap, "bdrv_restore_dirty_bitmap");
    abi_assert!(
        !bitmap.readonly(),
        "bdrv_restore_dirty_bitmap",
        "!bdrv_dirty_bitmap_readonly(bitmap)"
    );
    CurrentHost::assert_global_state(c"bdrv_restore_dirty_bitmap");
    if backup.is_null() {
        null_argument("bdrv_restore_dirty_bitmap", "backup");
    }
    // SAFETY: every HBitmap that C has comes from Box::into_raw, and the caller gives this one up.
    let backup = unsafe { Box::from_raw(backup) };
    let replaced = bitmap.restore(&mut bitmap.lock(), backup);
    drop(replaced);
}

/// The bytes that a serialised part of a bitmap takes.
///
/// @param offset  A multiple of bdrv_dirty_bitmap_serialization_align().
/// @param bytes   A multiple of it, unless the part ends in the last bit; 0 takes no bytes.
///
/// Aborts if the part is not aligned so, or ends past the last bit. Lock: taken here. QEMU:
/// block/dirty-bitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn bdrv_dirty_bitmap_serialization_size(
    bitmap: *const BdrvDirtyBitmap,
    offset: u64,
    bytes: u64,
) -> u64 {
    let bitmap = object!(bitmap, "bdrv_dirty_bitmap_serialization_size");
    bitmap.serialization_size_as_in_c(&bitmap.lock(), offset, bytes)
}

/// The bytes of the disk that serialised parts start at and end at a multiple of: 64 granularity
/// units.
///
/// Lock: none. QEMU: block/dirty-bitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn bdrv_dirty_bitmap_serialization_align(
    bitmap: *const BdrvDirtyBitmap,
) -> u64 {
    object!(bitmap, "bdrv_dirty_bitmap_serialization_align").serialization_align()
}

/// The bytes of the disk that a chunk of serialised bitmap covers.
///
/// @param serialized_chunk_size  Bytes: a multiple of 8, not negative, at most INT_MAX / 8, or it
///                               aborts.
///
/// Lock: none. QEMU: block/dirty-bitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn bdrv_dirty_bitmap_serialization_coverage(
    serialized_chunk_size: c_int,
    bitmap: *const BdrvDirtyBitmap,
) -> u64 {
    object!(bitmap, "bdrv_dirty_bitmap_serialization_coverage")
        .serialization_coverage(serialized_chunk_size)
}

/// Writes a part of a bitmap to memory, in the format of hbitmap_serialize_part().
///
/// @param buf  bdrv_dirty_bitmap_serialization_size() bytes.
///
/// Offset, length and aborts as bdrv_dirty_bitmap_serialization_size(). Lock: taken here. QEMU:
/// block/dirty-bitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn bdrv_dirty_bitmap_serialize_part(
    bitmap: *const BdrvDirtyBitmap,
    buf: *mut u8,
    offset: u64,
    bytes: u64,
) {
    let bitmap = object!(bitmap, "bdrv_dirty_bitmap_serialize_part");
    let locked = bitmap.lock();
    let length = bitmap.serialization_size(&locked, offset, bytes);
    // SAFETY: the buffer is the caller's, with the bytes that bdrv_dirty_bitmap_serialization_size
    // says.
    if let Some(buf) = unsafe { buffer_mut(buf, length, "bdrv_dirty_bitmap_serialize_part") } {
        bitmap.serialize_part(&locked, buf, offset, bytes);
    }
}

/// Reads a part of a bitmap from memory. Set bits past the end of the bitmap are dropped.
///
/// @param buf     bdrv_dirty_bitmap_serialization_size() bytes, as
///                bdrv_dirty_bitmap_serialize_part() wrote them.
/// @param finish  Whether this is the last part. The bitmap is usable after every part here; QEMU's
///                needs the finish.
///
/// Offset, length and aborts as bdrv_dirty_bitmap_serialization_size(). Lock: taken here. QEMU:
/// block/dirty-bitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn bdrv_dirty_bitmap_deserialize_part(
    bitmap: *mut BdrvDirtyBitmap,
    buf: *mut u8,
    offset: u64,
    bytes: u64,
    finish: bool,
) {
    let bitmap = object!(bitmap, "bdrv_dirty_bitmap_deserialize_part");
    let mut locked = bitmap.lock();
    let length = bitmap.serialization_size(&locked, offset, bytes);
    // SAFETY: the buffer is the caller's, with the bytes that bdrv_dirty_bitmap_serialization_size
    // says.
    if let Some(buf) = unsafe { buffer(buf, length, "bdrv_dirty_bitmap_deserialize_part") } {
        bitmap.deserialize_part(&mut locked, buf, offset, bytes);
        finish_if(bitmap, &mut locked, finish);
    }
}

/// Makes a part of a bitmap clean.
///
/// Arguments and aborts as bdrv_dirty_bitmap_deserialize_part(). Lock: taken here. QEMU:
/// block/dirty-bitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn bdrv_dirty_bitmap_deserialize_zeroes(
    bitmap: *mut BdrvDirtyBitmap,
    offset: u64,
    bytes: u64,
    finish: bool,
) {
    let bitmap = object!(bitmap, "bdrv_dirty_bitmap_deserialize_zeroes");
    let mut locked = bitmap.lock();
    bitmap.deserialize_zeroes(&mut locked, offset, bytes);
    finish_if(bitmap, &mut locked, finish);
}

/// Makes a part of a bitmap dirty, up to the bitmap's end and not beyond.
///
/// Arguments and aborts as bdrv_dirty_bitmap_deserialize_part(). Lock: taken here. QEMU:
/// block/dirty-bitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn bdrv_dirty_bitmap_deserialize_ones(
    bitmap: *mut BdrvDirtyBitmap,
    offset: u64,
    bytes: u64,
    finish: bool,
) {
    let bitmap = object!(bitmap, "bdrv_dirty_bitmap_deserialize_ones");
    let mut locked = bitmap.lock();
    bitmap.deserialize_ones(&mut locked, offset, bytes);
    finish_if(bitmap, &mut locked, finish);
}

/// Ends a series of deserialised parts.
///
/// Lock: taken here. QEMU: block/dirty-bitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn bdrv_dirty_bitmap_deserialize_finish(bitmap: *mut BdrvDirtyBitmap) {
    let bitmap = object!(bitmap, "bdrv_dirty_bitmap_deserialize_finish");
    bitmap.deserialize_finish(&mut bitmap.lock());
}

/// Ends a series of parts if the caller says so.
fn finish_if(bitmap: &BdrvDirtyBitmap, locked: &mut Locked<'_>, finish: bool) {
    if finish {
        bitmap.deserialize_finish(locked);
    }
}

/// Records a write to a node in all its enabled bitmaps.
///
/// @param bytes  0 does nothing.
///
/// Aborts if an enabled bitmap is read-only, or the range is negative or ends past the last bit of
/// one. Lock: taken here, unless the node has no bitmap, or all enabled ones are known to have the
/// write. QEMU: block/dirty-bitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn bdrv_set_dirty(bs: *mut BlockDriverState, offset: i64, bytes: i64) {
    dirty_bitmap::set_dirty(object!(bs, "bdrv_set_dirty"), offset as u64, bytes as u64);
}

/// Moves an iterator: the next unit it returns is the first dirty one that has `offset` or a later
/// byte.
///
/// @param offset  Aborts if it is negative or past the last bit.
///
/// Lock: held. QEMU: block/dirty-bitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn bdrv_set_dirty_iter(iter: *mut BdrvDirtyBitmapIter, offset: i64) {
    let iter = object_mut!(iter, "bdrv_set_dirty_iter");
    let bitmap = ptr::from_ref(iter.bitmap());
    // SAFETY: the iterator keeps the bitmap alive, and lives longer than this call.
    let locked = locked_by_caller(unsafe { &*bitmap });
    iter.seek(&locked, offset as u64);
}

/// Dirty bytes, counted in whole granularity units: of a disk that ends within one, this may be
/// more than the disk has. Areas and bdrv_dirty_bitmap_status() end at the end of the disk.
///
/// Lock: none is needed; without it the number may be outdated. QEMU: block/dirty-bitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn bdrv_get_dirty_count(bitmap: *mut BdrvDirtyBitmap) -> i64 {
    object!(bitmap, "bdrv_get_dirty_count").dirty_count() as i64
}

/// Whether a bitmap is read-only: see bdrv_dirty_bitmap_set_readonly().
///
/// Lock: none. QEMU: block/dirty-bitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn bdrv_dirty_bitmap_readonly(bitmap: *const BdrvDirtyBitmap) -> bool {
    object!(bitmap, "bdrv_dirty_bitmap_readonly").readonly()
}

/// Makes a bitmap read-only, or no longer. What sets, resets, clears, restores or merges into a
/// bitmap does not do so to a read-only one; what deserialises, truncates or reclaims one does, as
/// in QEMU. The node must not be written to while an enabled bitmap is read-only.
///
/// Lock: taken here; the big lock is held. QEMU: block/dirty-bitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn bdrv_dirty_bitmap_set_readonly(bitmap: *mut BdrvDirtyBitmap, value: bool) {
    let bitmap = object!(bitmap, "bdrv_dirty_bitmap_set_readonly");
    bitmap.set_readonly(&bitmap.lock(), value);
}

/// Whether a bitmap of a node is read-only.
///
/// Lock: none. QEMU: block/dirty-bitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn bdrv_has_readonly_bitmaps(bs: *mut BlockDriverState) -> bool {
    dirty_bitmap::has_readonly(object!(bs, "bdrv_has_readonly_bitmaps"))
}

/// Whether a bitmap of a node has a name.
///
/// Lock: taken here, if the node has a bitmap. QEMU: block/dirty-bitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn bdrv_has_named_bitmaps(bs: *mut BlockDriverState) -> bool {
    dirty_bitmap::has_named(object!(bs, "bdrv_has_named_bitmaps"))
}

/// Says whether a bitmap belongs in the image.
///
/// Lock: taken here; the big lock is held. QEMU: block/dirty-bitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn bdrv_dirty_bitmap_set_persistence(
    bitmap: *mut BdrvDirtyBitmap,
    persistent: bool,
) {
    let bitmap = object!(bitmap, "bdrv_dirty_bitmap_set_persistence");
    bitmap.set_persistent(&bitmap.lock(), persistent);
}

/// Marks a persistent bitmap as stored improperly: it stops recording, and can only be removed.
/// Aborts if it is not persistent.
///
/// Lock: taken here; the big lock is held. QEMU: block/dirty-bitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn bdrv_dirty_bitmap_set_inconsistent(bitmap: *mut BdrvDirtyBitmap) {
    let bitmap = object!(bitmap, "bdrv_dirty_bitmap_set_inconsistent");
    bitmap.set_inconsistent(&bitmap.lock());
}

/// Says whether the next store of the node's bitmaps leaves this one out (it migrates, or is being
/// deleted).
///
/// Lock: taken here; the big lock is held. QEMU: block/dirty-bitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn bdrv_dirty_bitmap_skip_store(bitmap: *mut BdrvDirtyBitmap, skip: bool) {
    let bitmap = object!(bitmap, "bdrv_dirty_bitmap_skip_store");
    bitmap.set_skip_store(&bitmap.lock(), skip);
}

/// Whether a bitmap is to be stored in the image: it is persistent and was not told to skip the
/// store.
///
/// Lock: none. QEMU: block/dirty-bitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn bdrv_dirty_bitmap_get_persistence(bitmap: *mut BdrvDirtyBitmap) -> bool {
    object!(bitmap, "bdrv_dirty_bitmap_get_persistence").stored()
}

/// Whether a bitmap was stored improperly.
///
/// Lock: none. QEMU: block/dirty-bitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn bdrv_dirty_bitmap_inconsistent(bitmap: *const BdrvDirtyBitmap) -> bool {
    object!(bitmap, "bdrv_dirty_bitmap_inconsistent").inconsistent()
}

/// The newest bitmap of a node, or NULL.
///
/// Lock: the node's lock or the big lock. QEMU: block/dirty-bitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn bdrv_dirty_bitmap_first(
    bs: *mut BlockDriverState,
) -> *mut BdrvDirtyBitmap {
    list_of(object!(bs, "bdrv_dirty_bitmap_first")).first().map_or(ptr::null_mut(), address)
}

/// The bitmap of the same node that is next older, or NULL.
///
/// Lock: the node's lock or the big lock. QEMU: block/dirty-bitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn bdrv_dirty_bitmap_next(
    bitmap: *mut BdrvDirtyBitmap,
) -> *mut BdrvDirtyBitmap {
    let bitmap = object!(bitmap, "bdrv_dirty_bitmap_next");
    list_of(bitmap.node()).next(bitmap).map_or(ptr::null_mut(), address)
}

/// The SHA-256 of what a bitmap records, as hbitmap_sha256(). A copy is hashed, so nobody waits for
/// that.
///
/// @return  A string from malloc(); free it with free() or g_free().
///
/// Lock: taken here, to copy. QEMU: block/dirty-bitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn bdrv_dirty_bitmap_sha256(
    bitmap: *const BdrvDirtyBitmap,
    errp: *mut *mut Error,
) -> *mut c_char {
    let _ = errp;
    let bitmap = object!(bitmap, "bdrv_dirty_bitmap_sha256");
    hexadecimal(bitmap.sha256())
}

/// The first dirty byte in a range, or -1.
///
/// @param offset  Not negative. One past the end finds nothing.
/// @param bytes   Not negative; cut at the end of the bitmap, so INT64_MAX means up to the end.
///
/// Aborts on negative arguments. Lock: taken here, unless the calling thread holds it. QEMU:
/// block/dirty-bitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn bdrv_dirty_bitmap_next_dirty(
    bitmap: *mut BdrvDirtyBitmap,
    offset: i64,
    bytes: i64,
) -> i64 {
    let bitmap = object!(bitmap, "bdrv_dirty_bitmap_next_dirty");
    let (offset, bytes) = range::search(offset, bytes, "hbitmap_next_dirty");
    range::or_minus_one(reading(bitmap, |locked| bitmap.next_dirty(locked, offset, bytes)))
}

/// The first clean byte in a range, or -1. Arguments and aborts as bdrv_dirty_bitmap_next_dirty().
///
/// Lock: taken here, unless the calling thread holds it. QEMU: block/dirty-bitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn bdrv_dirty_bitmap_next_zero(
    bitmap: *mut BdrvDirtyBitmap,
    offset: i64,
    bytes: i64,
) -> i64 {
    let bitmap = object!(bitmap, "bdrv_dirty_bitmap_next_zero");
    let (offset, bytes) = range::search(offset, bytes, "hbitmap_next_zero");
    range::or_minus_one(reading(bitmap, |locked| bitmap.next_zero(locked, offset, bytes)))
}

/// The first dirty run in `start` to `end`.
///
/// @param start            Not negative.
/// @param end              The byte after the last one, not negative; cut at the end of the bitmap.
/// @param max_dirty_count  The longest run to return, at least 1.
/// @param dirty_start      Where the run starts; untouched if there is none.
/// @param dirty_count      Its length; untouched if there is none.
/// @return                 Whether there is one.
///
/// Aborts on arguments out of range. Lock: taken here, unless the calling thread holds it. QEMU:
/// block/dirty-bitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn bdrv_dirty_bitmap_next_dirty_area(
    bitmap: *mut BdrvDirtyBitmap,
    start: i64,
    end: i64,
    max_dirty_count: i64,
    dirty_start: *mut i64,
    dirty_count: *mut i64,
) -> bool {
    let bitmap = object!(bitmap, "bdrv_dirty_bitmap_next_dirty_area");
    let (start, end, max) = range::area(start, end, max_dirty_count);
    let found = reading(bitmap, |locked| bitmap.next_dirty_area(locked, start, end, max));
    let Some((start, count)) = found else { return false };
    store!(dirty_start, start as i64, "bdrv_dirty_bitmap_next_dirty_area");
    store!(dirty_count, count as i64, "bdrv_dirty_bitmap_next_dirty_area");
    true
}

/// Whether a byte is dirty, and how many bytes from there on are the same.
///
/// @param offset  Not negative.
/// @param bytes   Bytes to look at, at least 1; `offset + bytes` is at most the bitmap's size.
/// @param count   How many bytes, 1 to `bytes`, are as the first one.
/// @return        Whether the byte at `offset` is dirty.
///
/// Aborts on arguments out of range. Lock: taken here, unless the calling thread holds it. QEMU:
/// block/dirty-bitmap.c (10.0; 7.2 returned false for a dirty run that ends inside the range).
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn bdrv_dirty_bitmap_status(
    bitmap: *mut BdrvDirtyBitmap,
    offset: i64,
    bytes: i64,
    count: *mut i64,
) -> bool {
    let bitmap = object!(bitmap, "bdrv_dirty_bitmap_status");
    let (offset, bytes) = range::status(offset, bytes);
    let (dirty, same) = reading(bitmap, |locked| bitmap.status(locked, offset, bytes));
    store!(count, same as i64, "bdrv_dirty_bitmap_status");
    dirty
}

/// Adds what one bitmap records to another one. They may be on different nodes and have different
/// granularities.
///
/// @param dest    Refused if it is busy, read-only or inconsistent.
/// @param src     Refused if it is busy or inconsistent. May be `dest`.
/// @param backup  If not NULL, receives what `dest` recorded before, for
///                bdrv_restore_dirty_bitmap() or hbitmap_free(). Untouched on error.
/// @param errp    As bdrv_dirty_bitmap_check(), or "Bitmaps are of different sizes (destination
///                size is BYTES, source size is BYTES) and can't be merged".
/// @return        Whether it was done; if not, both bitmaps are untouched.
///
/// Lock: both nodes' are taken here, in one order for the whole program. QEMU:
/// block/dirty-bitmap.c.
// header: not with QEMU's headers
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn bdrv_merge_dirty_bitmap(
    dest: *mut BdrvDirtyBitmap,
    src: *const BdrvDirtyBitmap,
    backup: *mut *mut HBitmap,
    errp: *mut *mut Error,
) -> bool {
    let dest = object!(dest, "bdrv_merge_dirty_bitmap");
    let src = object!(src, "bdrv_merge_dirty_bitmap");
    // SAFETY: `errp` is NULL or writable, by the rules for all C functions.
    let merged = unsafe { or_report(dest.merge(src, backup_wanted(backup)), errp) };
    // SAFETY: `backup` is NULL or writable, by the rules for all C functions.
    unsafe { hand_out(merged, backup) }
}

/// Adds what one bitmap records to another one, for the owner of a bitmap: busy bitmaps are fine.
///
/// @param dest    Aborts if it is read-only or inconsistent.
/// @param src     Aborts if it is inconsistent. May be `dest`.
/// @param backup  If not NULL, receives what `dest` recorded before. Untouched if nothing was done.
/// @param lock    Whether the locks of both nodes are taken here; else the caller holds them.
/// @return        true if it was done; false if the sizes differ, and then `dest` is untouched. (In
///                a QEMU build different sizes abort, because QEMU's prototype has no return
///                value.)
///
/// QEMU: block/dirty-bitmap.c.
// header: not with QEMU's headers
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn bdrv_dirty_bitmap_merge_internal(
    dest: *mut BdrvDirtyBitmap,
    src: *const BdrvDirtyBitmap,
    backup: *mut *mut HBitmap,
    lock: bool,
) -> bool {
    let dest = object!(dest, "bdrv_dirty_bitmap_merge_internal");
    let src = object!(src, "bdrv_dirty_bitmap_merge_internal");
    let merged = if lock {
        dest.merge_internal(src, &mut lock_pair(dest.node(), src.node()), backup_wanted(backup))
    } else {
        // SAFETY: the caller holds both locks, as it says by `lock`.
        dest.merge_internal(
            src,
            &mut unsafe { PairLocked::assume(dest.node(), src.node()) },
            backup_wanted(backup),
        )
    };
    // SAFETY: `backup` is NULL or writable, by the rules for all C functions.
    unsafe { hand_out(merged, backup) }
}

/// What a C caller's `backup` asks for.
fn backup_wanted(backup: *mut *mut HBitmap) -> Backup {
    if backup.is_null() { Backup::None } else { Backup::Keep }
}

/// Gives the old content of a merge to the caller. Whether there was a merge.
///
/// # Safety
/// `backup` is writable if the merge kept a backup.
unsafe fn hand_out(merged: Option<Merged>, backup: *mut *mut HBitmap) -> bool {
    if let Some(Some(old)) = merged {
        // SAFETY: a backup is kept only for a `backup` that is not NULL, and so is writable as the
        // caller promises.
        unsafe {
            backup.write(Box::into_raw(old));
        }
        return true;
    }
    merged.is_some()
}
