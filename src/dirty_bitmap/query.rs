// SPDX-License-Identifier: GPL-2.0-or-later
//! What the bitmaps of a node look like from outside.

use super::{BdrvDirtyBitmap, Locked};
use crate::host::DirtyInfo;

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
