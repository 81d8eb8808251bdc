// SPDX-License-Identifier: GPL-2.0-or-later
//! What was found, by fuzzing or while writing the model, as C calls.

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::ptr::{null, null_mut};

use qemu_dirty_bitmap_fuzz::oracle;

/// An iterator noticed a new content by its generation alone, and a young content can have the same
/// one.
#[test]
fn an_iterator_notices_that_the_content_was_replaced() {
    let api = oracle::ours();
    // SAFETY: a C program's calls, in a right order.
    unsafe {
        let node = (api.qdb_node_new)(1 << 20, 0, null());
        let bitmap = (api.bdrv_create_dirty_bitmap)(node, 512, null(), null_mut());
        (api.bdrv_set_dirty_bitmap)(bitmap, 0, 3 * 512);
        let iter = (api.bdrv_dirty_iter_new)(bitmap);
        assert_eq!((api.bdrv_dirty_iter_next)(iter), 0);
        let mut backup: *mut c_void = null_mut();
        (api.bdrv_clear_dirty_bitmap)(bitmap, &raw mut backup);
        (api.bdrv_set_dirty_bitmap)(bitmap, 100 * 512, 512);
        assert_eq!((api.bdrv_dirty_iter_next)(iter), 100 * 512);
        (api.bdrv_dirty_iter_free)(iter);
        (api.hbitmap_free)(backup);
        (api.bdrv_release_dirty_bitmap)(bitmap);
        (api.qdb_node_free)(node);
    }
}

/// Storage for regions of chunks was looked up in a bitmap that has none.
#[test]
fn bitmaps_of_no_bits_merge() {
    let api = oracle::ours();
    // SAFETY: a C program's calls, in a right order.
    unsafe {
        let [a, b, result] = [0, 9, 9].map(|granularity| (api.hbitmap_alloc)(0, granularity));
        assert_eq!((api.hbitmap_merge)(a, b, result), 1);
        assert_eq!((api.hbitmap_merge)(b, result, result), 1);
        assert_eq!((api.hbitmap_count)(result), 0);
        for hb in [a, b, result] {
            (api.hbitmap_free)(hb);
        }
    }
}

/// The search for the next set bit went past the end of a last chunk whose bits are all set, and a
/// merge did not end.
#[test]
fn a_full_coarse_bitmap_merges() {
    let api = oracle::ours();
    // SAFETY: a C program's calls, in a right order.
    unsafe {
        for size in [1, 63, 64, 65, 100_000] {
            let (coarse, fine) = ((api.hbitmap_alloc)(size, 4), (api.hbitmap_alloc)(size, 0));
            (api.hbitmap_set)(coarse, 0, size);
            assert_eq!((api.hbitmap_merge)(fine, coarse, fine), 1);
            assert_eq!((api.hbitmap_count)(fine), size);
            (api.hbitmap_free)(coarse);
            (api.hbitmap_free)(fine);
        }
    }
}

/// A cursor in a chunk that the bitmap no longer has: the number of its words came out below zero
/// (in an engine a few minutes old).
#[test]
fn an_iterator_survives_that_its_chunk_is_cut_off() {
    let api = oracle::ours();
    for (dirty, first) in [(100_000, 99_000), (100_000, 40_000), (1, 0)] {
        // SAFETY: a C program's calls, in a right order.
        unsafe {
            let hb = (api.hbitmap_alloc)(100_000, 0);
            (api.hbitmap_set)(hb, first, dirty - first);
            let mut iter = [0; 10];
            (api.hbitmap_iter_init)(&raw mut iter, hb, first);
            assert_eq!((api.hbitmap_iter_next)(&raw mut iter), first as i64);
            for size in [first.min(64), 1, 0] {
                (api.hbitmap_truncate)(hb, size);
                assert_eq!((api.hbitmap_iter_next)(&raw mut iter), -1);
            }
            (api.hbitmap_free)(hb);
        }
    }
}

/// A cursor that had found nothing more in a sparse chunk stood at the chunk's end then, and missed
/// what was set ahead of it later (in an engine a few minutes old).
#[test]
fn an_iterator_at_the_end_goes_on_from_where_it_was() {
    let api = oracle::ours();
    // SAFETY: a C program's calls, in a right order.
    unsafe {
        let hb = (api.hbitmap_alloc)(98_374, 0);
        (api.hbitmap_set)(hb, 9890, 1);
        let mut iter = [0; 10];
        (api.hbitmap_iter_init)(&raw mut iter, hb, 19_266);
        assert_eq!((api.hbitmap_iter_next)(&raw mut iter), -1);
        (api.hbitmap_set)(hb, 0, 58_752);
        // The next word's first bit: only what is in the iterator's own word may be missed.
        assert_eq!((api.hbitmap_iter_next)(&raw mut iter), 302 * 64);
        (api.hbitmap_free)(hb);
    }
}

/// The ends of this process's mappings, each with how much is free after it, up to 2 MiB.
fn gaps() -> BTreeMap<usize, usize> {
    let maps = std::fs::read_to_string("/proc/self/maps").expect("Linux");
    let address = |text: &str| usize::from_str_radix(text, 16).expect("an address");
    let ranges = maps.lines().filter_map(|line| line.split_once(' ')?.0.split_once('-'));
    let ranges: Vec<_> = ranges.map(|(start, end)| (address(start), address(end))).collect();
    ranges
        .windows(2)
        .map(|pair| (pair[0].1, (pair[1].0 - pair[0].1).min(2 << 20)))
        .filter(|&(_, gap)| gap != 0)
        .collect()
}

/// When the last region of a bitmap of 2^30 bits or more became clean, up to 2 MiB of what lies
/// after its summaries in memory were thrown away, whoever they belonged to (in an engine half an
/// hour old).
#[test]
fn memory_after_a_bitmap_is_left_alone() {
    const CHUNK: u64 = 32768;
    let api = oracle::ours();
    for chunks in [513, 1023, 64 * 512, 65 * 512, 65 * 512 + 1, 100 * 512 + 7] {
        let (size, last) = (chunks * CHUNK, (chunks - 1) * CHUNK);
        // SAFETY: a C program's calls, in a right order; the guards are mapped here where nothing
        // is, and are read and written within their lengths.
        unsafe {
            let before = gaps();
            let hb = (api.hbitmap_alloc)(size, 0);
            (api.hbitmap_set)(hb, last + 3, 5000);
            let mut guards: Vec<&mut [u8]> = Vec::new();
            for (end, gap) in gaps().into_iter().filter(|(end, _)| !before.contains_key(end)) {
                let (prot, flags) =
                    (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
                let at = std::ptr::without_provenance_mut(end);
                let guard = libc::mmap(at, gap, prot, flags | libc::MAP_FIXED_NOREPLACE, -1, 0);
                // Another test's thread may have been faster.
                if guard != libc::MAP_FAILED {
                    guards.push(std::slice::from_raw_parts_mut(guard.cast(), gap));
                }
            }
            guards.iter_mut().for_each(|guard| guard.fill(0xa5));
            (api.hbitmap_reset)(hb, last, CHUNK);
            (api.hbitmap_set)(hb, last + 3, 5000);
            (api.hbitmap_truncate)(hb, last);
            for guard in guards {
                assert!(
                    guard.iter().all(|&byte| byte == 0xa5),
                    "somebody else's memory was lost, {chunks} chunks"
                );
                libc::munmap(guard.as_mut_ptr().cast(), guard.len());
            }
            (api.hbitmap_free)(hb);
        }
    }
}
