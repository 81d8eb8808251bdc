// SPDX-License-Identifier: GPL-2.0-or-later
//! QEMU's trace events of `util/hbitmap.c`. Switched off, each costs a load and a branch inside
//! QEMU and nothing elsewhere.

use std::ptr;

use super::{CurrentHost, Host};
use crate::hbitmap::{Cursor, HBitmap};

/// The address that events know a bitmap by.
fn address(bitmap: &HBitmap) -> *const () {
    ptr::from_ref(bitmap).cast()
}

/// Tells an event of a range of items, with the bits that it touches. The last bit is C's
/// arithmetic: it may wrap in calls that are about to be refused.
#[inline(always)]
fn tell(
    event: impl Fn(*const (), u64, u64, u64, u64),
    bitmap: *const (),
    granularity: u32,
    start: u64,
    count: u64,
) {
    let last = start.wrapping_add(count).wrapping_sub(1);
    event(bitmap, start, count, start >> granularity, last >> granularity);
}

/// The items `start..start + count` are about to be set.
#[inline(always)]
pub(crate) fn set(bitmap: &HBitmap, start: u64, count: u64) {
    if CurrentHost::traces_set() && count != 0 {
        tell(CurrentHost::trace_set, address(bitmap), bitmap.granularity(), start, count);
    }
}

/// The items `start..start + count` are about to be reset.
#[inline(always)]
pub(crate) fn reset(bitmap: &HBitmap, start: u64, count: u64) {
    if CurrentHost::traces_reset() && count != 0 {
        tell_reset(bitmap, start, count);
    }
}

/// QEMU's assertions about the alignment come before the event, that about the end after it.
#[cold]
#[inline(never)]
fn tell_reset(bitmap: &HBitmap, start: u64, count: u64) {
    let within = (1 << bitmap.granularity()) - 1;
    if start & within == 0 && (count & within == 0 || start.wrapping_add(count) == bitmap.size()) {
        tell(CurrentHost::trace_reset, address(bitmap), bitmap.granularity(), start, count);
    }
}

/// `bitmap` is about to get `size` items: what that cuts off is reset in QEMU.
#[inline]
pub(crate) fn truncate(bitmap: &HBitmap, size: u64) {
    // A size that is out of range is refused before anything is reset.
    if CurrentHost::traces_reset() && size <= i64::MAX as u64 {
        // A granule that stays in part is not reset. Neither end is above 2^63.
        let first = size.next_multiple_of(1 << bitmap.granularity());
        let end = bitmap.bits() << bitmap.granularity();
        if first < end {
            tell_reset(bitmap, first, end - first);
        }
    }
}

/// `a` and `b` are merged into the bitmap of `granularity` at `result`, which may be one of them.
/// Across granularities QEMU does that by setting each dirty area of a source; bitmaps of one
/// granularity it merges by words, of which no event tells.
#[inline]
pub(crate) fn merge(a: &HBitmap, b: &HBitmap, result: *const HBitmap, granularity: u32) {
    // Different sizes are refused before anything is set.
    if CurrentHost::traces_set() && a.granularity() != b.granularity() && a.size() == b.size() {
        for source in [a, b] {
            if !ptr::eq(source, result) {
                tell_areas(source, result.cast(), granularity);
            }
        }
    }
}

#[cold]
#[inline(never)]
fn tell_areas(source: &HBitmap, result: *const (), granularity: u32) {
    let mut from = 0;
    while let Some((start, count)) = source.next_dirty_area(from, source.size(), i64::MAX as u64) {
        from = start + count;
        tell(CurrentHost::trace_set, result, granularity, start, count);
    }
}

/// Moves a cursor to the next item, which it returns, and traces if that took it to another word.
/// `iterator` is the address that the event names.
#[inline(always)]
pub(crate) fn advance(bitmap: &HBitmap, cursor: &mut Cursor, iterator: *const ()) -> Option<u64> {
    if CurrentHost::traces_iter_skip_words() {
        return trace_advance(bitmap, cursor, iterator);
    }
    cursor.next(bitmap)
}

/// [`advance`] while the event is switched on.
#[inline(never)]
fn trace_advance(bitmap: &HBitmap, cursor: &mut Cursor, iterator: *const ()) -> Option<u64> {
    let before = cursor.word();
    let item = cursor.next(bitmap)?;
    let word = cursor.word();
    if word != before {
        CurrentHost::trace_iter_skip_words(address(bitmap), iterator, word, bitmap.word_from(item));
    }
    Some(item)
}

/// The same for a search that is refused first if the range ends past the end.
#[inline(always)]
pub(crate) fn status(bitmap: &HBitmap, start: u64, count: u64) {
    if CurrentHost::traces_iter_skip_words() && start.saturating_add(count) <= bitmap.size() {
        search(bitmap, start, count);
    }
}

/// Tells what QEMU's search for the next dirty item at or after `start` tells, which there is done
/// by an iterator.
#[inline(always)]
pub(crate) fn search(bitmap: &HBitmap, start: u64, count: u64) {
    if CurrentHost::traces_iter_skip_words() && start < bitmap.size() && count != 0 {
        let mut cursor = Cursor::new(bitmap, start);
        let address = ptr::from_ref(&cursor).cast();
        trace_advance(bitmap, &mut cursor, address);
    }
}
