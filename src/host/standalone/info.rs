// SPDX-License-Identifier: GPL-2.0-or-later
//! Lists of bitmap descriptions in QAPI's layout. Everything in them is malloc'ed, because C frees
//! it.

use std::ffi::c_char;
use std::ptr;

use super::super::c_memory::{allocate, copy_string};
use crate::host::DirtyInfo;

/// The description of a bitmap, as QEMU's QAPI lays it out (10.0).
#[repr(C)]
#[derive(Debug)]
pub struct BlockDirtyInfo {
    /// The name; NULL if the bitmap has none.
    pub name: *mut c_char,
    /// Dirty bytes.
    pub count: i64,
    /// Bytes that one bit stands for.
    pub granularity: u32,
    /// Whether writes of the guest are recorded, in this bitmap or its successor.
    pub recording: bool,
    /// Whether an operation uses the bitmap.
    pub busy: bool,
    /// Whether the bitmap is stored, or will be.
    pub persistent: bool,
    /// Whether `inconsistent` is valid: it is if the bitmap is inconsistent.
    pub has_inconsistent: bool,
    /// Whether the bitmap was stored improperly and can only be removed.
    pub inconsistent: bool,
}

/// A list of bitmap descriptions.
#[repr(C)]
#[derive(Debug)]
pub struct BlockDirtyInfoList {
    /// The rest of the list, or NULL.
    pub next: *mut BlockDirtyInfoList,
    /// The description.
    pub value: *mut BlockDirtyInfo,
}

/// Appends a description; see [`Host::append_info`](crate::host::Host::append_info).
///
/// # Safety
/// `*tail` points to a writable, NULL list pointer.
pub(super) unsafe fn append(tail: &mut *mut *mut BlockDirtyInfoList, info: &DirtyInfo) {
    let value = allocate(BlockDirtyInfo {
        name: info.name.as_deref().map_or(ptr::null_mut(), copy_string),
        count: info.count,
        granularity: info.granularity,
        recording: info.recording,
        busy: info.busy,
        persistent: info.persistent,
        has_inconsistent: info.inconsistent,
        inconsistent: info.inconsistent,
    });
    let entry = allocate(BlockDirtyInfoList { next: ptr::null_mut(), value });
    // SAFETY: `*tail` is writable, as the caller promises; `entry` is the new last entry, and its
    // `next` becomes the new tail.
    unsafe {
        **tail = entry;
        *tail = &raw mut (*entry).next;
    }
}

/// Frees a list with all that is in it; NULL is nothing.
///
/// # Safety
/// `list` is NULL or came from `bdrv_query_dirty_bitmaps` and was not freed.
pub(crate) unsafe fn free_info_list(mut list: *mut BlockDirtyInfoList) {
    while !list.is_null() {
        // SAFETY: the entry, its value and the name are malloc'ed and not freed yet, as the caller
        // promises; each is read before it is freed. free() takes a NULL name.
        unsafe {
            let BlockDirtyInfoList { next, value } = list.read();
            libc::free((*value).name.cast());
            libc::free(value.cast());
            libc::free(list.cast());
            list = next;
        }
    }
}
