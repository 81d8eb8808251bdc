// SPDX-License-Identifier: GPL-2.0-or-later
//! How names of bitmaps appear in messages.

use std::ffi::CStr;

/// The bytes that C's `printf("%s", name)` writes.
pub(super) fn printed(name: Option<&CStr>) -> &[u8] {
    name.map_or(b"(null)", CStr::to_bytes)
}
