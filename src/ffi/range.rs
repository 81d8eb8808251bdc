// SPDX-License-Identifier: GPL-2.0-or-later
//! Signed ranges of C, checked with QEMU's texts.
//!
//! The texts name the functions of `util/hbitmap.c` also for those of `block/dirty-bitmap.c`, which
//! in QEMU pass their arguments on.

use crate::assertion::abi_assert;

/// An offset, or -1 for none. Offsets stay below 2^63, because sizes do.
#[inline]
pub(super) fn or_minus_one(offset: Option<u64>) -> i64 {
    offset.map_or(-1, |offset| offset as i64)
}

/// The range of a search by `function`: start and count.
#[inline]
pub(super) fn search(start: i64, count: i64, function: &str) -> (u64, u64) {
    abi_assert!(start >= 0 && count >= 0, function, "start >= 0 && count >= 0");
    (start as u64, count as u64)
}

/// The range of a search for a dirty area: start, end and longest area.
#[inline]
pub(super) fn area(start: i64, end: i64, max: i64) -> (u64, u64, u64) {
    abi_assert!(
        start >= 0 && end >= 0 && max > 0,
        "hbitmap_next_dirty_area",
        "start >= 0 && end >= 0 && max_dirty_count > 0"
    );
    (start as u64, end as u64, max as u64)
}

/// The range of a status query: start and count.
#[inline]
pub(super) fn status(start: i64, count: i64) -> (u64, u64) {
    abi_assert!(start >= 0, "hbitmap_status", "start >= 0");
    abi_assert!(count > 0, "hbitmap_status", "count > 0");
    (start as u64, count as u64)
}
