// SPDX-License-Identifier: GPL-2.0-or-later
//! The C functions that ask a node's format driver about stored bitmaps. Inside QEMU the glue has
//! them, because they go through QEMU's driver table and coroutines.

#![allow(clippy::missing_safety_doc)] // One set of rules for all of them: see the parent module.

use std::ffi::{CStr, c_char, c_int};

use super::object;
use crate::host::{BlockDriverState, CurrentHost, Error, Failure, Host};

/// Whether the node's format can store bitmaps.
///
/// Lock: none. QEMU: block/dirty-bitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn bdrv_supports_persistent_dirty_bitmap(bs: *mut BlockDriverState) -> bool {
    match object!(bs, "bdrv_supports_persistent_dirty_bitmap").driver() {
        Some((driver, opaque)) => driver.supports_persistent.is_some_and(|supports| {
            // SAFETY: the host's function gets the node and the opaque pointer that it was
            // registered with.
            unsafe { supports(bs, opaque) }
        }),
        None => false,
    }
}

/// Whether the node's format could store one more bitmap.
///
/// @param name         Of the bitmap.
/// @param granularity  Bytes.
/// @param errp         Set on false: no driver ("No medium found"), a driver that can't store
///                     bitmaps ("Operation not supported"), or what the driver says.
///
/// Lock: none. QEMU: block/dirty-bitmap.c.
// header: not with QEMU's headers
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn bdrv_co_can_store_new_dirty_bitmap(
    bs: *mut BlockDriverState,
    name: *const c_char,
    granularity: u32,
    errp: *mut *mut Error,
) -> bool {
    let node = object!(bs, "bdrv_co_can_store_new_dirty_bitmap");
    let os_errno = match node.driver() {
        None => libc::ENOMEDIUM,
        Some((driver, opaque)) => match driver.can_store {
            // SAFETY: the host's function gets the arguments of this call and the pointer that
            // it was registered with.
            Some(can_store) => return unsafe { can_store(bs, name, granularity, opaque, errp) },
            None => libc::ENOTSUP,
        },
    };
    let parts: [&[u8]; 2] =
        [b"Can't store persistent bitmaps to ", node.name().map_or(b"", CStr::to_bytes)];
    let failure =
        Failure::new(c"bdrv_co_can_store_new_dirty_bitmap", &parts).with_os_errno(os_errno);
    // SAFETY: `errp` is NULL or writable, by the rules for all C functions.
    unsafe {
        CurrentHost::report(errp, &failure);
    }
    false
}

/// Removes a stored bitmap from the image, if it is there. The BdrvDirtyBitmap, if any, stays.
///
/// @return  0 (also without a driver, and if nothing is stored), or a negative errno with `errp`
///          set by the driver.
///
/// Lock: none. QEMU: block/dirty-bitmap.c.
// header: not with QEMU's headers
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn bdrv_co_remove_persistent_dirty_bitmap(
    bs: *mut BlockDriverState,
    name: *const c_char,
    errp: *mut *mut Error,
) -> c_int {
    match object!(bs, "bdrv_co_remove_persistent_dirty_bitmap").driver() {
        Some((driver, opaque)) => driver.remove.map_or(0, |remove| {
            // SAFETY: the host's function gets the arguments of this call and the pointer that
            // it was registered with.
            unsafe { remove(bs, name, opaque, errp) }
        }),
        None => 0,
    }
}

/// bdrv_co_can_store_new_dirty_bitmap() under the name that callers outside of coroutines use.
///
/// Lock: none. QEMU: block/dirty-bitmap.c in 7.2, generated in later versions.
// header: not with QEMU's headers
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn bdrv_can_store_new_dirty_bitmap(
    bs: *mut BlockDriverState,
    name: *const c_char,
    granularity: u32,
    errp: *mut *mut Error,
) -> bool {
    object!(bs, "bdrv_can_store_new_dirty_bitmap");
    // SAFETY: the same arguments, under the same rules.
    unsafe { bdrv_co_can_store_new_dirty_bitmap(bs, name, granularity, errp) }
}

/// bdrv_co_remove_persistent_dirty_bitmap() under the name that callers outside of coroutines use.
///
/// Lock: none. QEMU: block/dirty-bitmap.c in 7.2, generated in later versions.
// header: not with QEMU's headers
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn bdrv_remove_persistent_dirty_bitmap(
    bs: *mut BlockDriverState,
    name: *const c_char,
    errp: *mut *mut Error,
) -> c_int {
    object!(bs, "bdrv_remove_persistent_dirty_bitmap");
    // SAFETY: the same arguments, under the same rules.
    unsafe { bdrv_co_remove_persistent_dirty_bitmap(bs, name, errp) }
}
