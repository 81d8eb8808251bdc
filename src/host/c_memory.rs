// SPDX-License-Identifier: GPL-2.0-or-later
//! Memory that C frees: it comes from malloc, never from Rust's allocator.

use std::ffi::{CStr, c_char};

use crate::assertion::fail;

/// malloc'ed memory that holds `value`.
#[cfg(not(qdb_host = "qemu"))]
pub(super) fn allocate<T>(value: T) -> *mut T {
    const { assert!(size_of::<T>() > 0 && align_of::<T>() <= 16) };
    // SAFETY: malloc may be called with any size but zero (where it may give NULL), which is
    // excluded above.
    let memory = unsafe { libc::malloc(size_of::<T>()) }.cast::<T>();
    if memory.is_null() {
        out_of_memory(size_of::<T>());
    }
    // SAFETY: malloc's memory is large enough, aligned for all types up to 16 bytes of alignment,
    // and nobody else's.
    unsafe {
        memory.write(value);
    }
    memory
}

/// A malloc'ed copy of a string.
pub(crate) fn copy_string(text: &CStr) -> *mut c_char {
    // SAFETY: `text` is a NUL-terminated string.
    let copy = unsafe { libc::strdup(text.as_ptr()) };
    if copy.is_null() {
        out_of_memory(text.count_bytes() + 1);
    }
    copy
}

/// malloc gave nothing: like glib's `g_malloc`, that ends the program.
#[cold]
fn out_of_memory(bytes: usize) -> ! {
    fail(format_args!("out of memory: failed to allocate {bytes} bytes"))
}
