// SPDX-License-Identifier: GPL-2.0-or-later
//! A format driver for nodes, whose answers follow from its arguments, so that all implementations
//! must give the same.

use std::ffi::{CStr, c_char, c_int, c_void};

use crate::api::{Api, Handle};

/// How many drivers there are: none, one without functions, one with all of them.
pub const DRIVERS: u8 = 3;

/// C's `QdbDriver`.
#[repr(C)]
struct Table {
    supports_persistent: Option<unsafe extern "C" fn(Handle, *mut c_void) -> bool>,
    can_store:
        Option<unsafe extern "C" fn(Handle, *const c_char, u32, *mut c_void, *mut Handle) -> bool>,
    remove: Option<unsafe extern "C" fn(Handle, *const c_char, *mut c_void, *mut Handle) -> c_int>,
}

static WITHOUT: Table = Table { supports_persistent: None, can_store: None, remove: None };
static WITH: Table =
    Table { supports_persistent: Some(supports), can_store: Some(can_store), remove: Some(remove) };

/// The table of a driver, for `qdb_node_set_driver`.
#[must_use]
pub fn table(driver: u8) -> *const c_void {
    match driver {
        0 => std::ptr::null(),
        1 => (&raw const WITHOUT).cast(),
        _ => (&raw const WITH).cast(),
    }
}

/// What the driver with functions says to a bitmap that might be stored.
///
/// # Errors
/// Its message.
pub fn stores(granularity: u32) -> Result<(), &'static CStr> {
    if granularity > 65536 { Err(c"too coarse for this driver") } else { Ok(()) }
}

/// What the driver with functions says to a bitmap that is to be removed.
///
/// # Errors
/// Its message.
pub fn removes(name: &CStr) -> Result<c_int, &'static CStr> {
    match name.to_bytes().first() {
        Some(b'a') => Err(c"this driver keeps what begins with a"),
        _ => Ok(name.count_bytes() as c_int),
    }
}

unsafe extern "C" fn supports(_bs: Handle, opaque: *mut c_void) -> bool {
    !opaque.is_null()
}

unsafe extern "C" fn can_store(
    _bs: Handle,
    _name: *const c_char,
    granularity: u32,
    opaque: *mut c_void,
    errp: *mut Handle,
) -> bool {
    // SAFETY: `opaque` is the table of functions that the node's owner registered; `errp` is the
    // caller's.
    stores(granularity).map_err(|message| unsafe { complain(opaque, errp, message) }).is_ok()
}

unsafe extern "C" fn remove(
    _bs: Handle,
    name: *const c_char,
    opaque: *mut c_void,
    errp: *mut Handle,
) -> c_int {
    // SAFETY: the name is the caller's C string.
    let name = unsafe { CStr::from_ptr(name) };
    removes(name).unwrap_or_else(|message| {
        // SAFETY: as in can_store.
        unsafe { complain(opaque, errp, message) };
        -libc::EPERM
    })
}

/// # Safety
/// `opaque` is an `Api` that lives; `errp` is NULL or writable and empty.
unsafe fn complain(opaque: *mut c_void, errp: *mut Handle, message: &CStr) {
    // SAFETY: as the caller promises.
    unsafe { ((*opaque.cast::<Api>()).qdb_error_set)(errp, message.as_ptr()) }
}
