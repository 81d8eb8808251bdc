// SPDX-License-Identifier: GPL-2.0-or-later
//! Names of bitmaps, and how they appear in messages.

use std::ffi::CStr;
use std::sync::Arc;

/// The name of a bitmap. C reads it through a pointer that stays valid as long as the bitmap that
/// has the name, so a name is shared and never changed.
pub type BitmapName = Arc<CStr>;

/// The bytes that C's `printf("%s", name)` writes.
pub(super) fn printed(name: Option<&CStr>) -> &[u8] {
    name.map_or(b"(null)", CStr::to_bytes)
}
