// SPDX-License-Identifier: GPL-2.0-or-later
//! Bitmaps as bytes.

use super::{LENGTH, UNIT, asserts, bitmap, clean, dirty, node, set};

#[test]
fn sizes_are_those_of_whole_words() {
    let node = node();
    let bitmap = bitmap(&node, "b");
    let (align, all) = (64 * UNIT, LENGTH as u64);
    assert_eq!(bitmap.serialization_align(), align);
    for (offset, bytes, size) in [(0, align, 8), (align, 3 * align, 24), (0, all, 128), (0, 0, 0)] {
        assert_eq!(bitmap.serialization_size(&bitmap.lock(), offset, bytes), size);
        assert_eq!(bitmap.serialization_size_as_in_c(&bitmap.lock(), offset, bytes), size);
    }
    // From the third word to past 2^64, and up to the first word. QEMU's C says so.
    let wraps = bitmap.serialization_size_as_in_c(&bitmap.lock(), 2 * align, align.wrapping_neg());
    assert_eq!(wraps, 8_u64.wrapping_neg());
    for (chunk, bytes) in [(0, 0), (8, align), (24, 3 * align), (1 << 20, align << 17)] {
        assert_eq!(bitmap.serialization_coverage(chunk), bytes);
    }
    const FUNCTION: &str = "bdrv_dirty_bitmap_serialization_coverage";
    for (chunk, condition) in [
        (-8, "serialized_chunk_size >= 0 && serialized_chunk_size <= INT_MAX >> 3"),
        (i32::MAX / 8 + 1, "serialized_chunk_size >= 0 && serialized_chunk_size <= INT_MAX >> 3"),
        (12, "QEMU_IS_ALIGNED(limit, bdrv_dirty_bitmap_serialization_align(bitmap))"),
    ] {
        asserts(FUNCTION, condition, || bitmap.serialization_coverage(chunk));
    }
    clean(&node);
}

#[test]
fn parts_go_out_and_come_in() {
    let node = node();
    let (from, to) = (bitmap(&node, "from"), bitmap(&node, "to"));
    set(&from, &[0, 63, 64, 999, 1000]);
    let mut bytes = [0; 128];
    from.serialize_part(&from.lock(), &mut bytes, 0, LENGTH as u64);
    to.deserialize_part(&mut to.lock(), &bytes, 0, LENGTH as u64);
    assert_eq!(dirty(&to), [0, 63, 64, 999, 1000]);
    assert_eq!(to.sha256(), from.sha256());
    to.deserialize_ones(&mut to.lock(), 64 * UNIT, 64 * UNIT);
    to.deserialize_zeroes(&mut to.lock(), 0, 64 * UNIT);
    to.deserialize_finish(&mut to.lock());
    let units: Vec<u64> = (64..128).chain([999, 1000]).collect();
    assert_eq!(dirty(&to), units);
    assert_ne!(to.sha256(), from.sha256());
    clean(&node);
}
