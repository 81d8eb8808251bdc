// SPDX-License-Identifier: GPL-2.0-or-later
//! The C functions of QEMU's `util/hbitmap.c`.

#![allow(clippy::missing_safety_doc)] // One set of rules for all of them: see the parent module.

use std::ffi::{c_char, c_int};
use std::mem::{MaybeUninit, offset_of};
use std::{ptr, slice};

use static_assertions::const_assert_eq;

use super::{object, object_mut, range, store};
use crate::assertion::{abi_assert, null_argument};
use crate::hbitmap::{Cursor, HBitmap};
use crate::host::{Error, copy_string, sizes_match, trace};

/// A position in an HBitmap, as C keeps it. What is in it concerns this library alone; size and
/// alignment are QEMU's, and C's own idea of the members (in cbindgen.toml) covers the same bytes.
// header: written in cbindgen.toml
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct HBitmapIter {
    hb: *const HBitmap,
    cursor: Cursor,
    /// Not used, and never written.
    _rest: MaybeUninit<[u64; 4]>,
}

const_assert_eq!(size_of::<HBitmapIter>(), 80);
const_assert_eq!(align_of::<HBitmapIter>(), 8);
const_assert_eq!(offset_of!(HBitmapIter, hb), 0);

/// Makes a clean bitmap.
///
/// @param size         Items, at most INT64_MAX. (A dirty bitmap's items are bytes.)
/// @param granularity  log2 of the items that one bit stands for: 0 to 63. At most 2^41 bits may
///                     result.
/// @return             The bitmap; free it with hbitmap_free().
///
/// Aborts if size or granularity are out of range, or there is no memory for the bits:
/// qdb_check_hbitmap_geometry() tells before. QEMU: util/hbitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn hbitmap_alloc(size: u64, granularity: c_int) -> *mut HBitmap {
    // A negative granularity becomes one that is too large, which the engine refuses with QEMU's
    // text.
    Box::into_raw(Box::new(HBitmap::new(size, granularity as u32)))
}

/// Changes the size of a bitmap. Items that are added are clean; iterators of the bitmap stay
/// usable.
///
/// @param size  Items, at most INT64_MAX; at most 2^41 bits may result, or it aborts.
///
/// QEMU: util/hbitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn hbitmap_truncate(hb: *mut HBitmap, size: u64) {
    let hb = object_mut!(hb, "hbitmap_truncate");
    trace::truncate(hb, size);
    hb.truncate(size);
}

/// Makes `result` the union of `a` and `b`. `result` may be one of them, or both; granularities may
/// differ.
///
/// @return  true if it was done; false if the sizes differ, and then `result` is untouched. (In a
///          QEMU build different sizes abort, because QEMU's prototype has no return value.)
///
/// QEMU: util/hbitmap.c.
// header: not with QEMU's headers
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn hbitmap_merge(
    a: *const HBitmap,
    b: *const HBitmap,
    result: *mut HBitmap,
) -> bool {
    // NULL is looked for in C's order; `result` becomes a reference last, and never beside one to
    // the same bitmap.
    let (size_a, size_b) = (object!(a, "hbitmap_merge").size(), object!(b, "hbitmap_merge").size());
    let size = object!(result, "hbitmap_merge").size();
    if !(sizes_match(size_a == size, "a->orig_size == result->orig_size")
        && sizes_match(size_b == size, "b->orig_size == result->orig_size"))
    {
        return false;
    }
    let granularity = object!(result, "hbitmap_merge").granularity();
    trace::merge(object!(a, "hbitmap_merge"), object!(b, "hbitmap_merge"), result, granularity);
    match (ptr::eq(a, result), ptr::eq(b, result)) {
        (true, true) => {}
        (true, false) => {
            object_mut!(result, "hbitmap_merge").merge_from(object!(b, "hbitmap_merge"))
        }
        (false, true) => {
            object_mut!(result, "hbitmap_merge").merge_from(object!(a, "hbitmap_merge"))
        }
        (false, false) => {
            object_mut!(result, "hbitmap_merge")
                .assign_union(object!(a, "hbitmap_merge"), object!(b, "hbitmap_merge"));
        }
    }
    true
}

/// Whether no bit is set. QEMU: util/hbitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn hbitmap_empty(hb: *const HBitmap) -> bool {
    object!(hb, "hbitmap_empty").is_empty()
}

/// log2 of the items that one bit stands for. QEMU: util/hbitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn hbitmap_granularity(hb: *const HBitmap) -> c_int {
    object!(hb, "hbitmap_granularity").granularity() as c_int
}

/// The number of set items: set bits times the granularity, which may be more than the size if the
/// last bit is set. QEMU: util/hbitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn hbitmap_count(hb: *const HBitmap) -> u64 {
    object!(hb, "hbitmap_count").count()
}

/// Sets the items `start` to `start + count`, and with them all items that share a bit with one of
/// these.
///
/// @param start  The first item.
/// @param count  Items; 0 does nothing.
///
/// Aborts if the range ends past the last bit. Trace event: hbitmap_set. QEMU: util/hbitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn hbitmap_set(hb: *mut HBitmap, start: u64, count: u64) {
    let hb = object_mut!(hb, "hbitmap_set");
    trace::set(hb, start, count);
    hb.set(start, count);
}

/// Resets the items `start` to `start + count`.
///
/// @param start  The first item, a multiple of the granularity.
/// @param count  Items, a multiple of the granularity unless the range ends exactly at the size; 0
///               does nothing.
///
/// Aborts if the range is not aligned so, or ends past the last bit. Trace event: hbitmap_reset.
/// QEMU: util/hbitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn hbitmap_reset(hb: *mut HBitmap, start: u64, count: u64) {
    let hb = object_mut!(hb, "hbitmap_reset");
    trace::reset(hb, start, count);
    hb.reset(start, count);
}

/// Resets all items. QEMU: util/hbitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn hbitmap_reset_all(hb: *mut HBitmap) {
    object_mut!(hb, "hbitmap_reset_all").reset_all();
}

/// Whether an item is set.
///
/// @param item  Aborts if it is past the last bit.
///
/// QEMU: util/hbitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn hbitmap_get(hb: *const HBitmap, item: u64) -> bool {
    object!(hb, "hbitmap_get").get(item)
}

/// Whether the bitmap can be serialised: its granularity is below 58 (2^58 items a bit). The other
/// functions that serialise abort if it is not. QEMU: util/hbitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn hbitmap_is_serializable(hb: *const HBitmap) -> bool {
    object!(hb, "hbitmap_is_serializable").is_serializable()
}

/// The items that parts of a serialised bitmap must start at and end at a multiple of (the last
/// part ends at the bitmap's end): 64 bits' worth. QEMU: util/hbitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn hbitmap_serialization_align(hb: *const HBitmap) -> u64 {
    object!(hb, "hbitmap_serialization_align").serialization_align()
}

/// The bytes that a serialised part takes.
///
/// @param start  The first item.
/// @param count  Items; 0 takes no bytes.
///
/// Aborts if the part is not aligned to hbitmap_serialization_align(), or ends past the last bit. A
/// part across 2^64 gives a number that no buffer has, as in QEMU, whose callers refuse it. QEMU:
/// util/hbitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn hbitmap_serialization_size(
    hb: *const HBitmap,
    start: u64,
    count: u64,
) -> u64 {
    object!(hb, "hbitmap_serialization_size").serialization_size_as_in_c(start, count)
}

/// Writes a part to memory: words of 64 bits, little-endian on every machine, the lowest item in
/// the lowest bit.
///
/// @param buf    hbitmap_serialization_size() bytes.
/// @param start  The first item.
/// @param count  Items; 0 does nothing.
///
/// Aborts as hbitmap_serialization_size(). QEMU: util/hbitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn hbitmap_serialize_part(
    hb: *const HBitmap,
    buf: *mut u8,
    start: u64,
    count: u64,
) {
    let hb = object!(hb, "hbitmap_serialize_part");
    let part = hb.part(start, count);
    let length = (part.end - part.start) * 8;
    // SAFETY: the buffer is the caller's, with the bytes that hbitmap_serialization_size says.
    if let Some(buf) = unsafe { buffer_mut(buf, length, "hbitmap_serialize_part") } {
        hb.serialize_words(buf, part);
    }
}

/// Reads a part from memory. Set bits past the end of the bitmap are dropped.
///
/// @param buf     hbitmap_serialization_size() bytes, as hbitmap_serialize_part() wrote them.
/// @param start   The first item.
/// @param count   Items; 0 does nothing, whatever `finish` is.
/// @param finish  Whether this is the last part. The bitmap is usable after every part here; QEMU's
///                needs the finish.
///
/// Aborts as hbitmap_serialization_size(). QEMU: util/hbitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn hbitmap_deserialize_part(
    hb: *mut HBitmap,
    buf: *mut u8,
    start: u64,
    count: u64,
    finish: bool,
) {
    let hb = object_mut!(hb, "hbitmap_deserialize_part");
    let length = hb.serialization_size(start, count);
    // SAFETY: the buffer is the caller's, with the bytes that hbitmap_serialization_size says.
    if let Some(buf) = unsafe { buffer(buf, length, "hbitmap_deserialize_part") } {
        hb.deserialize_part(buf, start, count);
        finish_if(hb, finish);
    }
}

/// Makes a part clean; arguments and aborts as hbitmap_deserialize_part(). QEMU: util/hbitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn hbitmap_deserialize_zeroes(
    hb: *mut HBitmap,
    start: u64,
    count: u64,
    finish: bool,
) {
    let hb = object_mut!(hb, "hbitmap_deserialize_zeroes");
    hb.deserialize_zeroes(start, count);
    finish_if(hb, finish);
}

/// Makes a part dirty, up to the end of the bitmap and not beyond; arguments and aborts as
/// hbitmap_deserialize_part(). QEMU: util/hbitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn hbitmap_deserialize_ones(
    hb: *mut HBitmap,
    start: u64,
    count: u64,
    finish: bool,
) {
    let hb = object_mut!(hb, "hbitmap_deserialize_ones");
    hb.deserialize_ones(start, count);
    finish_if(hb, finish);
}

/// Ends a series of deserialised parts. QEMU: util/hbitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn hbitmap_deserialize_finish(hb: *mut HBitmap) {
    object_mut!(hb, "hbitmap_deserialize_finish").deserialize_finish();
}

/// The SHA-256 of the bitmap's words (as hbitmap_serialize_part() of the whole bitmap would write
/// them) in 64 hexadecimal digits.
///
/// @param errp  Not used: this can't fail.
/// @return      A string from malloc(); free it with free() or g_free().
///
/// QEMU: util/hbitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn hbitmap_sha256(
    bitmap: *const HBitmap,
    errp: *mut *mut Error,
) -> *mut c_char {
    let _ = errp;
    hexadecimal(object!(bitmap, "hbitmap_sha256").sha256())
}

/// Frees a bitmap. NULL aborts, as everywhere. QEMU: util/hbitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn hbitmap_free(hb: *mut HBitmap) {
    if hb.is_null() {
        null_argument("hbitmap_free", "hb");
    }
    // SAFETY: every HBitmap that C has comes from Box::into_raw, and the caller gives this one up.
    drop(unsafe { Box::from_raw(hb) });
}

/// Sets up an iterator: hbitmap_iter_next() will return the first set item at or after `first`, in
/// the order of items.
///
/// Items may be set and reset while an iterator is in use: it returns only items that are set when
/// it returns them, but may miss some that are set meanwhile.
///
/// @param hbi    Uninitialised memory is fine.
/// @param first  An item; aborts if it is past the last bit (so an empty bitmap can't be iterated).
///
/// QEMU: util/hbitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn hbitmap_iter_init(hbi: *mut HBitmapIter, hb: *const HBitmap, first: u64) {
    let hb = object!(hb, "hbitmap_iter_init");
    let cursor = Cursor::new(hb, first);
    store!(hbi, HBitmapIter { hb, cursor, _rest: MaybeUninit::uninit() }, "hbitmap_iter_init");
}

/// The first item in a range that is set, or -1.
///
/// @param start  The first item, not negative. One past the end finds nothing.
/// @param count  Items, not negative; cut at the end of the bitmap, so INT64_MAX means up to the
///               end.
///
/// Aborts on negative arguments. QEMU: util/hbitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn hbitmap_next_dirty(hb: *const HBitmap, start: i64, count: i64) -> i64 {
    let hb = object!(hb, "hbitmap_next_dirty");
    let (start, count) = range::search(start, count, "hbitmap_next_dirty");
    trace::search(hb, start, count);
    range::or_minus_one(hb.next_dirty(start, count))
}

/// The first item in a range that is not set, or -1. Arguments and aborts as hbitmap_next_dirty().
/// QEMU: util/hbitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn hbitmap_next_zero(hb: *const HBitmap, start: i64, count: i64) -> i64 {
    let hb = object!(hb, "hbitmap_next_zero");
    let (start, count) = range::search(start, count, "hbitmap_next_zero");
    match hb.next_zero_in_chunk(start, count) {
        Some(item) if item - start < count && item < hb.size() => item as i64,
        Some(_) => -1,
        None => next_zero_after(hb, start, count),
    }
}

/// [`hbitmap_next_zero`] past a word. A call of its own: the short way saves no register.
#[inline(never)]
fn next_zero_after(hb: &HBitmap, start: u64, count: u64) -> i64 {
    range::or_minus_one(hb.next_zero_after(start, count))
}

/// The first run of set items in `start` to `end`.
///
/// @param start            The first item, not negative.
/// @param end              The item after the last one, not negative; cut at the end of the bitmap.
/// @param max_dirty_count  The longest run to return, at least 1.
/// @param dirty_start      Where the run starts; untouched if there is none.
/// @param dirty_count      Its length; untouched if there is none.
/// @return                 Whether there is one.
///
/// Aborts on arguments out of range. QEMU: util/hbitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn hbitmap_next_dirty_area(
    hb: *const HBitmap,
    start: i64,
    end: i64,
    max_dirty_count: i64,
    dirty_start: *mut i64,
    dirty_count: *mut i64,
) -> bool {
    let hb = object!(hb, "hbitmap_next_dirty_area");
    let (start, end, max) = range::area(start, end, max_dirty_count);
    trace::search(hb, start, end.saturating_sub(start));
    let Some((start, count)) = hb.next_dirty_area(start, end, max) else { return false };
    store!(dirty_start, start as i64, "hbitmap_next_dirty_area");
    store!(dirty_count, count as i64, "hbitmap_next_dirty_area");
    true
}

/// Whether an item is set, and how many items from there on are the same.
///
/// @param start  The item, not negative.
/// @param count  Items to look at, at least 1; `start + count` is at most the size.
/// @param pnum   How many items, 1 to `count`, are as the first one.
/// @return       Whether item `start` is set.
///
/// Aborts on arguments out of range. QEMU: util/hbitmap.c (10.0; 7.2 returned false for a set run
/// that ends inside the range).
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn hbitmap_status(
    hb: *const HBitmap,
    start: i64,
    count: i64,
    pnum: *mut i64,
) -> bool {
    let hb = object!(hb, "hbitmap_status");
    let (start, count) = range::status(start, count);
    trace::status(hb, start, count);
    let (dirty, same) = hb.status(start, count);
    store!(pnum, same as i64, "hbitmap_status");
    dirty
}

/// The next set bit of an iterator, as its first item. -1 at the end. QEMU: util/hbitmap.c.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn hbitmap_iter_next(hbi: *mut HBitmapIter) -> i64 {
    let hbi = object_mut!(hbi, "hbitmap_iter_next");
    // SAFETY: memory that hbitmap_iter_init set up has a bitmap, which lives and is only read, by
    // the rules for all C functions (see `ffi`); zeroed memory has NULL.
    let Some(hb) = (unsafe { hbi.hb.as_ref() }) else { null_argument("hbitmap_iter_next", "hbi") };
    // No event tells of a step within a word.
    match hbi.cursor.next_in_word(hb) {
        Some(item) => item as i64,
        None => next_elsewhere(hbi, hb),
    }
}

/// [`hbitmap_iter_next`] in another word. A call of its own: the short way saves no register.
#[inline(never)]
fn next_elsewhere(hbi: &mut HBitmapIter, hb: &HBitmap) -> i64 {
    let iterator = ptr::from_ref(hbi).cast();
    range::or_minus_one(trace::advance(hb, &mut hbi.cursor, iterator))
}

/// A hash as a string that C frees.
pub(super) fn hexadecimal(digits: String) -> *mut c_char {
    // Hexadecimal digits have no NUL.
    copy_string(&std::ffi::CString::new(digits).unwrap_or_default())
}

/// Ends a series of parts if the caller says so.
fn finish_if(hb: &mut HBitmap, finish: bool) {
    if finish {
        hb.deserialize_finish();
    }
}

/// The caller's buffer of `length` bytes, to read; `None` if `length` is 0.
///
/// # Safety
/// `pointer` is NULL or points to `length` bytes that stay as they are for `'a`.
pub(super) unsafe fn buffer<'a>(
    pointer: *const u8,
    length: u64,
    function: &str,
) -> Option<&'a [u8]> {
    let length = buffer_length(pointer, length, function)?;
    // SAFETY: the pointer is not NULL, so the caller promises that many readable bytes; the length
    // fits an object.
    Some(unsafe { slice::from_raw_parts(pointer, length) })
}

/// The caller's buffer of `length` bytes, to write; `None` if `length` is 0.
///
/// # Safety
/// `pointer` is NULL or points to `length` bytes that nobody else uses for `'a`.
pub(super) unsafe fn buffer_mut<'a>(
    pointer: *mut u8,
    length: u64,
    function: &str,
) -> Option<&'a mut [u8]> {
    let length = buffer_length(pointer, length, function)?;
    // SAFETY: the pointer is not NULL, so the caller promises that many writable bytes, which only
    // we use; the length fits an object. C memory that was never written counts as some bytes: the
    // engine writes before it reads.
    Some(unsafe { slice::from_raw_parts_mut(pointer, length) })
}

/// The length of a buffer that is there; `None` if it is 0. A NULL buffer with a length aborts.
fn buffer_length(pointer: *const u8, length: u64, function: &str) -> Option<usize> {
    if length == 0 {
        return None;
    }
    if pointer.is_null() {
        null_argument(function, "buf");
    }
    // At most 2^41 bits.
    abi_assert!(length <= isize::MAX as u64, function, "size <= PTRDIFF_MAX");
    Some(length as usize)
}
