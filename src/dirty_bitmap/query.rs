// SPDX-License-Identifier: GPL-2.0-or-later
//! What the bitmaps of a node look like from outside.

use super::{BdrvDirtyBitmap, BitmapName, Locked};

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

impl BdrvDirtyBitmap {
    /// The description of this bitmap.
    #[must_use]
    pub fn info(&self) -> DirtyInfo {
        DirtyInfo {
            name: self.name(),
            // At most 2^63 - 1 bytes rounded up to a unit: C hands the same number out as a signed
            // one.
            count: self.dirty_count() as i64,
            granularity: self.granularity(),
            recording: self.recording(),
            busy: self.busy(),
            persistent: self.persistent(),
            inconsistent: self.inconsistent(),
        }
    }
}

/// The descriptions of all bitmaps of a node, newest first (C: `bdrv_query_dirty_bitmaps`).
pub fn query<'a>(locked: &'a Locked<'_>) -> impl Iterator<Item = DirtyInfo> + 'a {
    locked.list.iter().map(BdrvDirtyBitmap::info)
}
