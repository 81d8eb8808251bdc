// SPDX-License-Identifier: GPL-2.0-or-later
//! What a host is told of a bitmap.

use std::ffi::CStr;
use std::sync::Arc;

/// The name of a bitmap. C reads it through a pointer that stays valid as long as the bitmap that
/// has the name, so a name is shared and never changed.
pub type BitmapName = Arc<CStr>;

/// The description of a bitmap (C: `BlockDirtyInfo`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirtyInfo {
    /// The name, if any.
    pub name: Option<BitmapName>,
    /// Dirty bytes.
    pub count: i64,
    /// Bytes that one bit stands for.
    pub granularity: u32,
    /// Whether writes are recorded, in this bitmap or its successor.
    pub recording: bool,
    /// Whether an operation uses the bitmap.
    pub busy: bool,
    /// Whether the bitmap belongs in the image, also while it is told to skip the store.
    pub persistent: bool,
    /// Whether the bitmap was stored improperly.
    pub inconsistent: bool,
}
