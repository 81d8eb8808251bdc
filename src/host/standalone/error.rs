// SPDX-License-Identifier: GPL-2.0-or-later
//! Error objects, with the rules of QEMU's `Error **errp`.

use std::ffi::{CStr, CString, c_char};
use std::io::Write;
use std::ptr;
use std::sync::atomic::AtomicPtr;

use crate::assertion::abi_assert;
use crate::host::Failure;

/// What went wrong: a message, and perhaps a hint what to do about it.
#[derive(Debug)]
pub struct Error {
    message: CString,
    hint: Option<CString>,
}

impl Error {
    /// The message, without a newline.
    #[must_use]
    pub fn message(&self) -> &CStr {
        &self.message
    }

    /// The hint: lines that each end in a newline.
    #[must_use]
    pub fn hint(&self) -> Option<&CStr> {
        self.hint.as_deref()
    }
}

// Only the addresses of these two count: an `errp` that is equal to one of them asks for the end of
// the process.
/// Pass its address as `errp` where an error can't happen: one that does prints its message and
/// aborts.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
#[allow(non_upper_case_globals)]
pub(crate) static qdb_error_abort: AtomicPtr<Error> = AtomicPtr::new(ptr::null_mut());
/// Pass its address as `errp` where an error ends the program: it prints its message and exits with
/// status 1.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
#[allow(non_upper_case_globals)]
pub(crate) static qdb_error_fatal: AtomicPtr<Error> = AtomicPtr::new(ptr::null_mut());

/// The text that the C library has for an errno.
fn os_error_text(errno: i32) -> Vec<u8> {
    let mut buffer = [0u8; 256];
    // SAFETY: the buffer is writable for the length that is passed, and a length of 256 is enough
    // for the terminating NUL.
    let result =
        unsafe { libc::strerror_r(errno, buffer.as_mut_ptr().cast::<c_char>(), buffer.len()) };
    match CStr::from_bytes_until_nul(&buffer) {
        Ok(text) if result == 0 || !text.is_empty() => text.to_bytes().to_vec(),
        _ => format!("Unknown error {errno}").into_bytes(),
    }
}

/// Frees an error object; NULL is nothing.
///
/// # Safety
/// `error` is NULL or came from [`report_message`] and was not freed.
pub(crate) unsafe fn free_error(error: *mut Error) {
    if !error.is_null() {
        // SAFETY: the caller promises that the box is whole and that nobody else has it.
        drop(unsafe { Box::from_raw(error) });
    }
}

/// Stores `failure` in `*errp`, or ends the process where `errp` says so.
///
/// # Safety
/// `errp` is NULL or points to a writable `Error *`.
pub(super) unsafe fn report(errp: *mut *mut Error, failure: &Failure) {
    let mut message = failure.message().to_bytes().to_vec();
    if failure.os_errno() != 0 {
        message.extend_from_slice(b": ");
        message.extend_from_slice(&os_error_text(failure.os_errno()));
    }
    // SAFETY: as the caller promises.
    unsafe { report_message(errp, failure.function(), message, failure.hint()) }
}

/// Stores a message (bytes without NUL) in `*errp`, or ends the process where `errp` says so.
///
/// # Safety
/// `errp` is NULL or points to a writable `Error *`.
pub(crate) unsafe fn report_message(
    errp: *mut *mut Error,
    function: &CStr,
    message: Vec<u8>,
    hint: Option<&CStr>,
) {
    if errp.is_null() {
        return;
    }
    if ptr::eq(errp, qdb_error_abort.as_ptr()) {
        let _ = write_lines(
            &[b"Unexpected error in ", function.to_bytes(), b"():\n", &message, b"\n"],
            hint,
        );
        std::process::abort();
    }
    if ptr::eq(errp, qdb_error_fatal.as_ptr()) {
        let _ = write_lines(&[&message, b"\n"], hint);
        std::process::exit(1);
    }
    // SAFETY: `errp` is not NULL, so it points to a readable and writable pointer.
    let slot = unsafe { &mut *errp };
    abi_assert!(slot.is_null(), "error_setv", "*errp == NULL");
    // Bytes up to a NUL that should not be there: a cut message is better than none.
    let end = message.iter().position(|&byte| byte == 0).unwrap_or(message.len());
    let message = CString::new(&message[..end]).unwrap_or_default();
    *slot = Box::into_raw(Box::new(Error { message, hint: hint.map(CStr::to_owned) }));
}

/// Writes the parts and the hint to stderr in one go.
fn write_lines(parts: &[&[u8]], hint: Option<&CStr>) -> std::io::Result<()> {
    let mut text = parts.concat();
    text.extend_from_slice(hint.map_or(b"", CStr::to_bytes));
    std::io::stderr().write_all(&text)
}
