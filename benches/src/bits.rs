// SPDX-License-Identifier: GPL-2.0-or-later
//! What rows ask of a bitmap, and a bitmap of the C ABI. Offsets and lengths are bytes of the
//! tracked disk.

use crate::api::{Api, Handle, Iter};
use crate::caller::{Caller, sum_of_items};

/// What this library, QEMU's C and `roaring` can all do.
pub trait Bits {
    /// Marks a range.
    fn set(&mut self, offset: u64, bytes: u64);
    /// Unmarks a range of whole granules.
    fn reset(&mut self, offset: u64, bytes: u64);
    /// Tells whether a byte's granule is marked.
    fn get(&self, offset: u64) -> bool;
    /// Marks each of these ranges.
    fn set_each(&mut self, caller: &mut Caller, ranges: &[(u64, u64)]) {
        caller.each(ranges, |&(offset, bytes)| self.set(offset, bytes));
    }
    /// Unmarks so many bytes at each of these offsets.
    fn reset_each(&mut self, caller: &mut Caller, offsets: &[u64], bytes: u64) {
        caller.each(offsets, |&offset| self.reset(offset, bytes));
    }
    /// Tells how many of these bytes' granules are marked.
    fn get_each(&self, caller: &mut Caller, offsets: &[u64]) -> u64 {
        caller.sum(offsets, |&offset| u64::from(self.get(offset)))
    }
    /// Visits every marked granule; the sum of their offsets shows that none was left out.
    fn sum(&self) -> u64;
    /// Adds what another bitmap of the same size has.
    fn merge(&mut self, other: &Self);
    /// Replaces the content by a serialised one.
    fn load(&mut self, serialised: &[u8]);
    /// Writes the content into a buffer that is large enough; returns the bytes written.
    fn store(&self, buffer: &mut [u8]) -> usize;
    /// Marked bytes.
    fn count(&self) -> u64;
}

/// Makes bitmaps of one implementation.
pub trait Maker: Copy + 'static {
    /// The implementation's bitmap.
    type Bitmap: Bits + 'static;
    /// An empty bitmap for `size` bytes, one bit for each `1 << granularity` of them.
    fn make(self, size: u64, granularity: u32) -> Self::Bitmap;
}

impl Maker for &'static Api {
    type Bitmap = Hb;
    fn make(self, size: u64, granularity: u32) -> Hb {
        // SAFETY: any size up to 2^41 granules may be asked for.
        let raw = unsafe { (self.hbitmap_alloc)(size, granularity as i32) };
        Hb { api: self, raw, size }
    }
}

/// An `HBitmap` that this object owns.
pub struct Hb {
    pub(crate) api: &'static Api,
    pub(crate) raw: Handle,
    pub(crate) size: u64,
}

impl Drop for Hb {
    fn drop(&mut self) {
        // SAFETY: `raw` came from this implementation's hbitmap_alloc and nobody else has it.
        unsafe { (self.api.hbitmap_free)(self.raw) }
    }
}

// All calls below pass the bitmap that this object owns to the implementation that made it. Where
// QEMU asserts on an argument (a range past the end, an unaligned reset), both implementations
// abort: a wrong argument is never undefined.
impl Bits for Hb {
    #[inline]
    fn set(&mut self, offset: u64, bytes: u64) {
        // SAFETY: own bitmap, exclusively borrowed.
        unsafe { (self.api.hbitmap_set)(self.raw, offset, bytes) }
    }
    #[inline]
    fn reset(&mut self, offset: u64, bytes: u64) {
        // SAFETY: own bitmap, exclusively borrowed.
        unsafe { (self.api.hbitmap_reset)(self.raw, offset, bytes) }
    }
    #[inline]
    fn get(&self, offset: u64) -> bool {
        // SAFETY: own bitmap.
        unsafe { (self.api.hbitmap_get)(self.raw, offset) }
    }
    // As a C program's loop: the function and the bitmap are in registers.
    fn set_each(&mut self, caller: &mut Caller, ranges: &[(u64, u64)]) {
        let (set, bitmap) = (self.api.hbitmap_set, self.raw);
        // SAFETY: own bitmap, exclusively borrowed.
        caller.each(ranges, move |&(offset, bytes)| unsafe { set(bitmap, offset, bytes) });
    }
    fn reset_each(&mut self, caller: &mut Caller, offsets: &[u64], bytes: u64) {
        let (reset, bitmap) = (self.api.hbitmap_reset, self.raw);
        // SAFETY: own bitmap, exclusively borrowed.
        caller.each(offsets, move |&offset| unsafe { reset(bitmap, offset, bytes) });
    }
    fn get_each(&self, caller: &mut Caller, offsets: &[u64]) -> u64 {
        let (get, bitmap) = (self.api.hbitmap_get, self.raw);
        // SAFETY: own bitmap.
        caller.sum(offsets, move |&offset| u64::from(unsafe { get(bitmap, offset) }))
    }
    fn sum(&self) -> u64 {
        let mut iter: Iter = [0; 10];
        // SAFETY: the iterator has the size and alignment of QEMU's, and the bitmap does not change
        // while it is borrowed.
        unsafe {
            (self.api.hbitmap_iter_init)(&mut iter, self.raw, 0);
            sum_of_items(self.api.hbitmap_iter_next, &mut iter)
        }
    }
    fn merge(&mut self, other: &Hb) {
        assert!(std::ptr::eq(self.api, other.api));
        // SAFETY: two bitmaps of the same implementation; the result may be one of the operands.
        unsafe { (self.api.hbitmap_merge)(self.raw, other.raw, self.raw) }
    }
    fn load(&mut self, serialised: &[u8]) {
        self.load_unfinished(serialised);
        self.finish();
    }
    fn store(&self, buffer: &mut [u8]) -> usize {
        self.store_part(buffer, 0, self.size);
        buffer.len()
    }
    fn count(&self) -> u64 {
        // SAFETY: own bitmap.
        unsafe { (self.api.hbitmap_count)(self.raw) }
    }
}

impl Hb {
    /// The sum of what [`Self::next_dirty`] is at each of these offsets.
    pub fn next_dirty_each(&self, caller: &mut Caller, offsets: &[u64], bytes: u64) -> u64 {
        let (next_dirty, bitmap) = (self.api.hbitmap_next_dirty, self.raw);
        // SAFETY: own bitmap.
        caller
            .sum(offsets, move |&offset| unsafe { next_dirty(bitmap, offset as i64, bytes as i64) }
                as u64)
    }
    /// The first marked offset in a range, or -1.
    #[inline]
    pub fn next_dirty(&self, offset: u64, bytes: u64) -> i64 {
        // SAFETY: own bitmap.
        unsafe { (self.api.hbitmap_next_dirty)(self.raw, offset as i64, bytes as i64) }
    }
    /// The first unmarked offset in a range, or -1.
    #[inline]
    pub fn next_zero(&self, offset: u64, bytes: u64) -> i64 {
        // SAFETY: own bitmap; `offset` is inside the bitmap in all rows (QEMU's C reads out of
        // bounds otherwise).
        unsafe { (self.api.hbitmap_next_zero)(self.raw, offset as i64, bytes as i64) }
    }
    /// Visits every marked run; returns their number and the sum of their lengths, mixed.
    pub fn areas(&self) -> u64 {
        let (mut start, mut length, mut mixed) = (0i64, 0i64, 0u64);
        let end = self.size as i64;
        // SAFETY: own bitmap, and the results go to two live integers.
        while unsafe {
            (self.api.hbitmap_next_dirty_area)(
                self.raw,
                start + length,
                end,
                i64::MAX,
                &mut start,
                &mut length,
            )
        } {
            mixed = mixed.wrapping_add(1 + (length as u64).rotate_left(17));
        }
        mixed
    }
    /// Unmarks everything in one call.
    pub fn clear(&mut self) {
        // SAFETY: own bitmap, exclusively borrowed.
        unsafe { (self.api.hbitmap_reset_all)(self.raw) }
    }
    /// Changes the size of the disk.
    pub fn truncate(&mut self, size: u64) {
        // SAFETY: own bitmap, exclusively borrowed.
        unsafe { (self.api.hbitmap_truncate)(self.raw, size) }
        self.size = size;
    }
    /// `load` without the last step.
    pub fn load_unfinished(&mut self, serialised: &[u8]) {
        self.load_part(serialised, 0, self.size);
    }
    /// Loads a part; `offset` and `bytes` cover exactly what `serialised` holds.
    pub fn load_part(&mut self, serialised: &[u8], offset: u64, bytes: u64) {
        // SAFETY: own bitmap; the callers give eight bytes for each 64 granules of the range, which
        // is what is read.
        unsafe {
            (self.api.hbitmap_deserialize_part)(self.raw, serialised.as_ptr(), offset, bytes, false)
        }
    }
    /// Loads zeroes.
    pub fn load_zeroes(&mut self, offset: u64, bytes: u64) {
        // SAFETY: own bitmap, exclusively borrowed.
        unsafe { (self.api.hbitmap_deserialize_zeroes)(self.raw, offset, bytes, false) }
    }
    /// The last step of loading.
    pub fn finish(&mut self) {
        // SAFETY: own bitmap, exclusively borrowed.
        unsafe { (self.api.hbitmap_deserialize_finish)(self.raw) }
    }
    /// Stores a part, eight bytes for each 64 granules.
    pub fn store_part(&self, buffer: &mut [u8], offset: u64, bytes: u64) {
        // SAFETY: own bitmap; the callers' buffers have eight bytes for each 64 granules of the
        // range.
        unsafe { (self.api.hbitmap_serialize_part)(self.raw, buffer.as_mut_ptr(), offset, bytes) }
    }
}
