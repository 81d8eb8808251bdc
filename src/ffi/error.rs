// SPDX-License-Identifier: GPL-2.0-or-later
//! Refused operations as C sees them: `Error **errp`, `errno`, and functions to read an error in
//! programs other than QEMU.

#![allow(clippy::missing_safety_doc)] // One set of rules for all of them: see the parent module.

use crate::host::{CurrentHost, Error, Failure, Host};

/// The value, or the failure stored in `*errp`.
///
/// # Safety
/// `errp` is NULL or points to a writable `Error *`.
#[inline]
pub(super) unsafe fn or_report<T>(result: Result<T, Failure>, errp: *mut *mut Error) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(failure) => {
            // SAFETY: as the caller promises.
            unsafe {
                CurrentHost::report(errp, &failure);
            }
            // QEMU sets errno when a node's length can't be read, whether or not anybody takes the
            // error.
            if failure.os_errno() != 0 {
                set_errno(failure.os_errno());
            }
            None
        }
    }
}

/// Sets C's errno.
fn set_errno(errno: i32) {
    #[cfg(any(target_os = "linux", target_os = "hurd"))]
    // SAFETY: gives the address of this thread's errno.
    let location = unsafe { libc::__errno_location() };
    #[cfg(any(target_vendor = "apple", target_os = "freebsd"))]
    // SAFETY: gives the address of this thread's errno.
    let location = unsafe { libc::__error() };
    #[cfg(any(target_os = "openbsd", target_os = "netbsd"))]
    // SAFETY: gives the address of this thread's errno.
    let location = unsafe { libc::__errno() };
    // SAFETY: the address of an int that is this thread's own.
    unsafe { location.write(errno) }
}

/// For Rust programs that call C functions: the fuzzers.
#[cfg(qdb_internals)]
pub use readers::*;

#[cfg(not(qdb_host = "qemu"))]
mod readers {
    use std::ffi::{CStr, c_char};
    use std::ptr;

    use crate::assertion::null_argument;
    use crate::ffi::{object, optional_string};
    use crate::host::{self, Error};

    /// The message of an error, without a newline. It belongs to the error.
    #[cfg_attr(qdb_c_names, unsafe(no_mangle))]
    pub unsafe extern "C" fn qdb_error_message(error: *const Error) -> *const c_char {
        object!(error, "qdb_error_message").message().as_ptr()
    }

    /// What can be done about an error: lines that end in newlines. NULL if there is no hint. It
    /// belongs to the error.
    #[cfg_attr(qdb_c_names, unsafe(no_mangle))]
    pub unsafe extern "C" fn qdb_error_hint(error: *const Error) -> *const c_char {
        object!(error, "qdb_error_hint").hint().map_or(ptr::null(), CStr::as_ptr)
    }

    /// Frees an error; NULL does nothing.
    #[cfg_attr(qdb_c_names, unsafe(no_mangle))]
    pub unsafe extern "C" fn qdb_error_free(error: *mut Error) {
        // SAFETY: the caller gives up an error of this library, or NULL.
        unsafe { host::free_error(error) }
    }

    /// Makes an error, for the functions of a QdbDriver.
    ///
    /// @param errp     As in all functions: NULL (nothing happens), the address of an `Error *`
    ///                 that is NULL, or a special error.
    /// @param message  The text, without a newline; it is copied.
    #[cfg_attr(qdb_c_names, unsafe(no_mangle))]
    pub unsafe extern "C" fn qdb_error_set(errp: *mut *mut Error, message: *const c_char) {
        let Some(message) = optional_string(message) else {
            null_argument("qdb_error_set", "message")
        };
        // SAFETY: `errp` is NULL or writable, by the rules for all C functions.
        unsafe { host::report_message(errp, c"qdb_error_set", message.to_bytes().to_vec(), None) }
    }
}
