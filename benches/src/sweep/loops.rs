// SPDX-License-Identifier: GPL-2.0-or-later
//! Loops over a bitmap as QEMU's callers have them, each of a known number of calls.

use crate::api::Iter;
use crate::bits::Hb;
use crate::caller::Caller;

impl Hb {
    /// The next so many items of an iterator.
    pub fn iterate(&self, caller: &mut Caller, steps: usize) -> u64 {
        let (next, mut iter) = (self.api.hbitmap_iter_next, [0; 10]);
        self.start(&mut iter, 0);
        // SAFETY: the iterator is of this bitmap, which does not change.
        caller.sum(&vec![(); steps], |()| unsafe { next(&mut iter) } as u64)
    }

    /// Sets up an iterator.
    pub fn start(&self, iter: &mut Iter, first: u64) {
        // SAFETY: own bitmap; the iterator has the size and alignment of QEMU's.
        unsafe { (self.api.hbitmap_iter_init)(iter, self.raw, first) }
    }

    /// The next item of an iterator, or -1.
    #[inline]
    pub fn next(&self, iter: &mut Iter) -> i64 {
        // SAFETY: the callers have set up the iterator on this bitmap.
        unsafe { (self.api.hbitmap_iter_next)(iter) }
    }

    /// So many steps from a dirty area to the next, around the end of the bitmap.
    pub fn some_areas(&self, caller: &mut Caller, steps: usize) -> u64 {
        let mut at = 0;
        caller.sum(&vec![(); steps], |()| {
            if let Some((start, length)) = self.next_area(at, i64::MAX) {
                at = start + length;
                length
            } else {
                at = 0;
                1
            }
        })
    }

    /// The next dirty area, no longer than `most`.
    #[inline]
    pub fn next_area(&self, from: u64, most: i64) -> Option<(u64, u64)> {
        let (mut start, mut length, end) = (0, 0, self.size as i64);
        let next = self.api.hbitmap_next_dirty_area;
        // SAFETY: own bitmap, and the results go to two live integers.
        let found = unsafe { next(self.raw, from as i64, end, most, &mut start, &mut length) };
        found.then_some((start as u64, length as u64))
    }

    /// So many steps from an extent to the next, around the end of the bitmap.
    pub fn some_extents(&self, caller: &mut Caller, steps: usize) -> u64 {
        let (status, bitmap, size) = (self.api.hbitmap_status, self.raw, self.size as i64);
        let (mut at, mut length) = (0, 0);
        caller.sum(&vec![(); steps], |()| {
            // SAFETY: own bitmap, the range is within it, and the result goes to a live integer.
            let dirty = unsafe { status(bitmap, at, size - at, &mut length) };
            at += length;
            if at >= size {
                at = 0;
            }
            length as u64 + u64::from(dirty)
        })
    }

    /// The sum of what `hbitmap_next_zero` is at each of these offsets.
    pub fn next_zero_each(&self, caller: &mut Caller, offsets: &[u64]) -> u64 {
        let (next_zero, bitmap, size) = (self.api.hbitmap_next_zero, self.raw, self.size);
        // SAFETY: own bitmap; the offsets are within it.
        caller.sum(offsets, |&offset| unsafe {
            next_zero(bitmap, offset as i64, (size - offset) as i64)
        } as u64)
    }

    /// Asks for the count and for emptiness, so many times.
    pub fn count_each(&self, caller: &mut Caller, steps: usize) -> u64 {
        let (count, empty, bitmap) = (self.api.hbitmap_count, self.api.hbitmap_empty, self.raw);
        // SAFETY: own bitmap.
        caller.sum(&vec![(); steps], |()| unsafe { count(bitmap) + u64::from(empty(bitmap)) })
    }

    /// Unmarks each of these ranges.
    pub fn reset_ranges(&mut self, caller: &mut Caller, ranges: &[(u64, u64)]) {
        let (reset, bitmap) = (self.api.hbitmap_reset, self.raw);
        // SAFETY: own bitmap, exclusively borrowed; the ranges are whole granules of it.
        caller.each(ranges, move |&(offset, bytes)| unsafe { reset(bitmap, offset, bytes) });
    }

    /// Adds two bitmaps to a third of the same size.
    pub fn merge_of(&mut self, first: &Hb, second: &Hb) {
        // SAFETY: three bitmaps of one implementation.
        unsafe { (self.api.hbitmap_merge)(first.raw, second.raw, self.raw) }
    }

    /// Loads ones.
    pub fn load_ones(&mut self, offset: u64, bytes: u64) {
        // SAFETY: own bitmap, exclusively borrowed.
        unsafe { (self.api.hbitmap_deserialize_ones)(self.raw, offset, bytes, false) }
    }

    /// The first eight digits of the digest, as a number.
    pub fn sha256(&self) -> u64 {
        // SAFETY: own bitmap; the result is a string from malloc, of 64 digits, which is freed
        // here.
        unsafe {
            let digest = (self.api.hbitmap_sha256)(self.raw, std::ptr::null_mut());
            let digits = digest.cast::<u64>().read_unaligned();
            libc::free(digest.cast());
            digits
        }
    }
}
