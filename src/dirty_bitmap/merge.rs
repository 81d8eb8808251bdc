// SPDX-License-Identifier: GPL-2.0-or-later
//! Merging: what one bitmap records is added to another one.

use std::ffi::CStr;
use std::ptr;

use super::write_filter::Change;
use super::{BdrvDirtyBitmap, BitmapCheckFlags, PairLocked, lock_pair};
use crate::assertion::abi_assert;
use crate::hbitmap::HBitmap;
use crate::host::{Failure, sizes_match, trace};

/// Whether a merge gives back what the destination recorded before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backup {
    /// The destination's content is changed in place.
    None,
    /// The destination gets a new content, and the old one is given back.
    Keep,
}

/// A merge that was done, with the old content of the destination if it was asked for.
pub type Merged = Option<Box<HBitmap>>;

impl BdrvDirtyBitmap {
    /// Adds `src` to this bitmap (C: `bdrv_merge_dirty_bitmap`). Takes the locks of both nodes.
    ///
    /// # Errors
    /// This bitmap is busy, read-only or inconsistent; `src` is busy or inconsistent; or they
    /// differ in size. Nothing has changed then.
    pub fn merge(&self, src: &Self, backup: Backup) -> Result<Merged, Failure> {
        const FUNCTION: &CStr = c"bdrv_merge_dirty_bitmap";
        let mut pair = lock_pair(self.node(), src.node());
        self.check(BitmapCheckFlags::DEFAULT)?;
        src.check(BitmapCheckFlags::ALLOW_RO)?;
        let (own, other) = (self.size(), src.size());
        let merged = if own == other { self.merge_internal(src, &mut pair, backup) } else { None };
        merged.ok_or_else(|| {
            let text = format!(
                "Bitmaps are of different sizes (destination size is {own}, source size is \
                 {other}) and can't be merged"
            );
            Failure::new(FUNCTION, &[text.as_bytes()])
        })
    }

    /// Adds `src` to this bitmap, for the owner of a busy bitmap (C:
    /// `bdrv_dirty_bitmap_merge_internal`). `None` if they differ in size and the host does not
    /// want that to abort; nothing has changed then.
    ///
    /// # Panics
    /// If this bitmap is read-only or inconsistent, or `src` is inconsistent; or if they differ in
    /// size and the host is QEMU.
    #[must_use]
    pub fn merge_internal(
        &self,
        src: &Self,
        pair: &mut PairLocked<'_>,
        backup: Backup,
    ) -> Option<Merged> {
        const FUNCTION: &str = "bdrv_dirty_bitmap_merge_internal";
        abi_assert!(!self.readonly(), FUNCTION, "!bdrv_dirty_bitmap_readonly(dest)");
        abi_assert!(!self.inconsistent(), FUNCTION, "!bdrv_dirty_bitmap_inconsistent(dest)");
        abi_assert!(!src.inconsistent(), FUNCTION, "!bdrv_dirty_bitmap_inconsistent(src)");
        if ptr::eq(self, src) {
            return Some(self.merge_with_itself(pair, backup));
        }
        let announced = self.announce(&pair.dest().content, Change::Adds);
        let (dest, from) = pair.contents(&self.content, &src.content, announced)?;
        if !sizes_match(from.size() == dest.size(), "b->orig_size == result->orig_size") {
            return None;
        }
        if backup == Backup::Keep {
            let union = Box::new(HBitmap::union(dest, from, dest.granularity()));
            trace::merge(dest, from, &raw const *union, union.granularity());
            return Some(Some(self.replace_content(pair.dest(), union)));
        }
        trace::merge(dest, from, &raw const **dest, dest.granularity());
        dest.merge_from(from);
        self.note_content(dest);
        Some(None)
    }

    /// A merge of a bitmap with itself changes nothing; the backup is a copy.
    fn merge_with_itself(&self, pair: &mut PairLocked<'_>, backup: Backup) -> Merged {
        match backup {
            Backup::None => None,
            Backup::Keep => {
                let locked = pair.dest();
                let content = self.content(locked);
                let copy = Box::new(HBitmap::union(content, content, content.granularity()));
                Some(self.replace_content(locked, copy))
            }
        }
    }
}
