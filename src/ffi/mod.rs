// SPDX-License-Identifier: GPL-2.0-or-later
//! The C functions. They turn pointers into references, call the library, and turn the result into
//! what C expects.
//!
//! `include/qemu_dirty_bitmap.h` is generated from the documentation here (tools/generate).
//!
//! # Safety
//!
//! What holds for every function, and is not said again at each:
//!
//! * A pointer to an object (`HBitmap`, `BdrvDirtyBitmap`, `BlockDriverState`, …) came from this
//!   library (in QEMU, a node from QEMU) and was not freed or released. NULL is caught: the call
//!   aborts and names the argument.
//! * An out-parameter is NULL or points to writable memory of its type; a string is NUL-terminated;
//!   a buffer is as long as the matching `…_serialization_size` says.
//! * `errp` is NULL, or points to an `Error *` that is NULL.
//! * An `HBitmap` is used by one thread at a time, or read by several. For a `BdrvDirtyBitmap` each
//!   function says what lock it needs.

pub mod dirty_bitmap;
#[cfg(feature = "standalone")]
pub mod driver;
pub mod error;
pub mod hbitmap;
#[cfg(feature = "standalone")]
pub mod node;
mod range;

/// A reference to the object that a C pointer stands for: `object!(pointer, "function")`. NULL
/// aborts and names both.
macro_rules! object {
    ($pointer:ident, $function:literal) => {
        // SAFETY: the pointer is NULL or an object that lives, by the rules for all C functions
        // (see `ffi`); objects that others use at the same time have interior mutability or, if an
        // HBitmap, are only read.
        match unsafe { $pointer.as_ref() } {
            Some(object) => object,
            None => $crate::assertion::null_argument($function, stringify!($pointer)),
        }
    };
}

/// As `object!`, for an object that the call has for itself.
macro_rules! object_mut {
    ($pointer:ident, $function:literal) => {
        // SAFETY: the pointer is NULL or an object that lives and that this call alone uses, by the
        // rules for all C functions (see `ffi`).
        match unsafe { $pointer.as_mut() } {
            Some(object) => object,
            None => $crate::assertion::null_argument($function, stringify!($pointer)),
        }
    };
}

/// Writes to an out-parameter: `store!(pointer, value, "function")`. NULL aborts and names both.
macro_rules! store {
    ($pointer:ident, $value:expr, $function:literal) => {
        if $pointer.is_null() {
            $crate::assertion::null_argument($function, stringify!($pointer));
        } else {
            // SAFETY: an out-parameter that is not NULL is writable, by the rules for all C
            // functions (see `ffi`).
            unsafe { $pointer.write($value) }
        }
    };
}

pub(crate) use {object, object_mut, store};

/// The string that a C pointer stands for; `None` for NULL.
#[inline]
fn optional_string<'a>(pointer: *const std::ffi::c_char) -> Option<&'a std::ffi::CStr> {
    // SAFETY: a string that is not NULL is NUL-terminated and stays as it is during the call, by
    // the rules for all C functions.
    (!pointer.is_null()).then(|| unsafe { std::ffi::CStr::from_ptr(pointer) })
}
