// SPDX-License-Identifier: GPL-2.0-or-later
//! Reading and changing what a bitmap records. Offsets and lengths are in bytes.

use std::sync::atomic::Ordering;

use super::locked_cell::ContentAccess;
use super::write_filter::Change;
use super::{BdrvDirtyBitmap, Locked};
use crate::assertion::abi_assert;
use crate::hbitmap::HBitmap;
use crate::host::trace;

impl BdrvDirtyBitmap {
    /// The content, to read.
    #[inline]
    pub(crate) fn content<'a>(&'a self, locked: &'a Locked<'_>) -> &'a HBitmap {
        self.content.get(&locked.content)
    }

    /// Copies what readers without the lock want to know of the content. Called after every change
    /// of it.
    #[inline]
    pub(super) fn note_content(&self, content: &HBitmap) {
        self.dirty.store(content.count(), Ordering::Relaxed);
    }

    /// Changes the content; `kind` says what that may do.
    #[inline(always)]
    pub(super) fn change<R>(
        &self,
        access: &mut ContentAccess<'_>,
        kind: Change,
        change: impl FnOnce(&mut HBitmap) -> R,
    ) -> R {
        let announced = self.announce(access, kind);
        let content = self.content.get_mut(access, announced);
        let result = change(content);
        self.note_content(content);
        result
    }

    /// Replaces the content by `new` and returns the old one. An iterator on the old one notices.
    pub(super) fn replace_content(
        &self,
        locked: &mut Locked<'_>,
        mut new: Box<HBitmap>,
    ) -> Box<HBitmap> {
        new.bump_generation(self.content(locked));
        self.granularity_log2.store(new.granularity(), Ordering::Relaxed);
        self.note_content(&new);
        let announced = self.announce(&locked.content, Change::Replaces);
        let old = std::mem::replace(self.content.get_mut(&mut locked.content, announced), new);
        locked.note_states();
        old
    }

    /// Takes the node's lock and panics, saying what is wrong, unless the content's invariants hold
    /// ([`HBitmap::check_invariants`]), the copies that are read without the lock are true, and the
    /// node's write filter claims nothing that is not so. For tests and fuzzers.
    #[cfg(any(test, qdb_internals))]
    pub fn check_invariants(&self) {
        let locked = self.lock();
        let content = self.content(&locked);
        content.check_invariants();
        assert_eq!(self.dirty_count(), content.count(), "the copy of the dirty count");
        assert_eq!(self.granularity(), 1 << content.granularity(), "the copy of the granularity");
        locked.check_filter();
    }

    /// Whether the byte at `offset` is dirty (C: `bdrv_dirty_bitmap_get_locked`).
    ///
    /// # Panics
    /// If `offset` is past the last bit.
    #[must_use]
    pub fn get(&self, locked: &Locked<'_>, offset: u64) -> bool {
        self.content(locked).get(offset)
    }

    /// Marks a range dirty (C: `bdrv_set_dirty_bitmap_locked`).
    ///
    /// # Panics
    /// If the bitmap is read-only or the range ends past the last bit.
    #[inline]
    pub fn set(&self, locked: &mut Locked<'_>, offset: u64, bytes: u64) {
        abi_assert!(
            !self.readonly(),
            "bdrv_set_dirty_bitmap_locked",
            "!bdrv_dirty_bitmap_readonly(bitmap)"
        );
        self.record(&mut locked.content, offset, bytes);
    }

    /// Marks a range dirty whatever state the bitmap is in.
    #[inline]
    pub(super) fn record(&self, access: &mut ContentAccess<'_>, offset: u64, bytes: u64) {
        self.change(access, Change::Adds, |content| {
            trace::set(content, offset, bytes);
            content.set(offset, bytes)
        });
    }

    /// Marks a range clean (C: `bdrv_reset_dirty_bitmap_locked`).
    ///
    /// # Panics
    /// If the bitmap is read-only, the range ends past the last bit, or is not aligned to the
    /// granularity (the end of the bitmap is).
    #[inline]
    pub fn reset(&self, locked: &mut Locked<'_>, offset: u64, bytes: u64) {
        abi_assert!(
            !self.readonly(),
            "bdrv_reset_dirty_bitmap_locked",
            "!bdrv_dirty_bitmap_readonly(bitmap)"
        );
        self.change(&mut locked.content, Change::Cleans { offset, bytes }, |content| {
            trace::reset(content, offset, bytes);
            content.reset(offset, bytes)
        });
    }

    /// Marks everything clean (C: `bdrv_clear_dirty_bitmap` without `out`).
    ///
    /// # Panics
    /// If the bitmap is read-only.
    pub fn clear(&self, locked: &mut Locked<'_>) {
        self.assert_clearable();
        self.change(&mut locked.content, Change::Replaces, HBitmap::reset_all);
    }

    /// Replaces the content by a clean one and gives back the old one (C: `bdrv_clear_dirty_bitmap`
    /// with `out`).
    ///
    /// # Panics
    /// If the bitmap is read-only.
    #[must_use]
    pub fn clear_and_keep(&self, locked: &mut Locked<'_>) -> Box<HBitmap> {
        self.assert_clearable();
        let clean = Box::new(HBitmap::new(self.size() as u64, self.content(locked).granularity()));
        self.replace_content(locked, clean)
    }

    fn assert_clearable(&self) {
        abi_assert!(
            !self.readonly(),
            "bdrv_clear_dirty_bitmap",
            "!bdrv_dirty_bitmap_readonly(bitmap)"
        );
    }

    /// Puts back a content that [`clear_and_keep`](Self::clear_and_keep) or a merge gave, and
    /// returns the one that was there (C: `bdrv_restore_dirty_bitmap`, which drops it).
    ///
    /// # Panics
    /// If the bitmap is read-only, or the content's granularity is one that no dirty bitmap can
    /// have.
    pub fn restore(&self, locked: &mut Locked<'_>, content: Box<HBitmap>) -> Box<HBitmap> {
        const FUNCTION: &str = "bdrv_restore_dirty_bitmap";
        abi_assert!(!self.readonly(), FUNCTION, "!bdrv_dirty_bitmap_readonly(bitmap)");
        abi_assert!(
            content.granularity() < u32::BITS,
            FUNCTION,
            "hbitmap_granularity(backup) < 32"
        );
        self.replace_content(locked, content)
    }

    /// The first dirty byte in a range (C: `bdrv_dirty_bitmap_next_dirty`).
    #[must_use]
    pub fn next_dirty(&self, locked: &Locked<'_>, offset: u64, bytes: u64) -> Option<u64> {
        let content = self.content(locked);
        trace::search(content, offset, bytes);
        content.next_dirty(offset, bytes)
    }

    /// The first clean byte in a range (C: `bdrv_dirty_bitmap_next_zero`).
    #[must_use]
    pub fn next_zero(&self, locked: &Locked<'_>, offset: u64, bytes: u64) -> Option<u64> {
        self.content(locked).next_zero(offset, bytes)
    }

    /// The first dirty run in `start..end`, cut to `max` bytes: its start and length (C:
    /// `bdrv_dirty_bitmap_next_dirty_area`).
    #[must_use]
    pub fn next_dirty_area(
        &self,
        locked: &Locked<'_>,
        start: u64,
        end: u64,
        max: u64,
    ) -> Option<(u64, u64)> {
        let content = self.content(locked);
        trace::search(content, start, end.saturating_sub(start));
        content.next_dirty_area(start, end, max)
    }

    /// Whether the byte at `offset` is dirty, and how many of the `bytes` from there on are the
    /// same (C: `bdrv_dirty_bitmap_status`).
    ///
    /// # Panics
    /// If `bytes` is 0 or the range ends past the end.
    #[must_use]
    pub fn status(&self, locked: &Locked<'_>, offset: u64, bytes: u64) -> (bool, u64) {
        let content = self.content(locked);
        trace::status(content, offset, bytes);
        content.status(offset, bytes)
    }
}
