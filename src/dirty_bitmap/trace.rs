// SPDX-License-Identifier: GPL-2.0-or-later
//! QEMU's trace events of `util/hbitmap.c`. Switched off, each costs a load and a branch inside QEMU and nothing elsewhere.

use std::ptr;

use crate::hbitmap::{Cursor, HBitmap};
use crate::host::{Embedder, Host};

/// The address that events know a bitmap by.
fn address(bitmap: &HBitmap) -> *const () {
    ptr::from_ref(bitmap).cast()
}

/// The last bit of a range that is not empty. C's arithmetic: it may wrap in calls that are about to be refused.
fn last_bit(bitmap: &HBitmap, start: u64, count: u64) -> u64 {
    start.wrapping_add(count).wrapping_sub(1) >> bitmap.granularity()
}

/// The items `start..start + count` are about to be set.
#[inline(always)]
pub(crate) fn set(bitmap: &HBitmap, start: u64, count: u64) {
    if Embedder::traces_set() && count != 0 {
        Embedder::trace_set(
            address(bitmap),
            start,
            count,
            start >> bitmap.granularity(),
            last_bit(bitmap, start, count),
        );
    }
}

/// The items `start..start + count` are about to be reset.
#[inline(always)]
pub(crate) fn reset(bitmap: &HBitmap, start: u64, count: u64) {
    if Embedder::traces_reset() && count != 0 {
        Embedder::trace_reset(
            address(bitmap),
            start,
            count,
            start >> bitmap.granularity(),
            last_bit(bitmap, start, count),
        );
    }
}

/// Moves a cursor to the next item, which it returns, and traces if that took it to another word.
/// `iterator` is the address that the event names.
#[inline(always)]
pub(crate) fn advance(bitmap: &HBitmap, cursor: &mut Cursor, iterator: *const ()) -> Option<u64> {
    if Embedder::traces_iter_skip_words() {
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
        Embedder::trace_iter_skip_words(address(bitmap), iterator, word, bitmap.word_from(item));
    }
    Some(item)
}

/// Tells what QEMU's search for the next dirty item at or after `start` tells, which there is done by an iterator.
#[inline(always)]
pub(crate) fn search(bitmap: &HBitmap, start: u64, count: u64) {
    if Embedder::traces_iter_skip_words() && start < bitmap.size() && count != 0 {
        let mut cursor = Cursor::new(bitmap, start);
        let address = ptr::from_ref(&cursor).cast();
        trace_advance(bitmap, &mut cursor, address);
    }
}
