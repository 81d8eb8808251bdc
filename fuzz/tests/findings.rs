// SPDX-License-Identifier: GPL-2.0-or-later
//! What was found, by fuzzing or while writing the model, as C calls.

use std::ffi::c_void;
use std::ptr::{null, null_mut};

use qemu_dirty_bitmap_fuzz::oracle;

/// An iterator noticed a new content by its generation alone, and a young content can have the same one.
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

/// The search for the next set bit went past the end of a last chunk whose bits are all set, and a merge did not end.
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

/// A cursor in a chunk that the bitmap no longer has: the number of its words came out below zero (in an engine a few minutes old).
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

/// A cursor that had found nothing more in a sparse chunk stood at the chunk's end then, and missed what was set ahead of it later
/// (in an engine a few minutes old).
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

/// When the last region of a bitmap of 2^30 bits or more became clean, up to 2 MiB of what lies behind its summaries in memory were
/// thrown away, whoever they belonged to (in an engine half an hour old).
#[test]
fn memory_behind_a_bitmap_is_left_alone() {
    const PAGE: usize = 4096;
    const PAGES: usize = 4096;
    const CHUNK: u64 = 32768;
    let api = oracle::ours();
    for chunks in [513, 1023, 64 * 512, 65 * 512, 65 * 512 + 1, 100 * 512 + 7] {
        let (size, last) = (chunks * CHUNK, (chunks - 1) * CHUNK);
        // SAFETY: a C program's calls, in a right order; the pages are mapped here, and are read and written within their length.
        unsafe {
            let hb = (api.hbitmap_alloc)(size, 0);
            (api.hbitmap_set)(hb, last + 3, 5000);
            // One by one, they go to the holes that are left around what the bitmap has mapped.
            let guards: Vec<*mut u8> = (0..PAGES)
                .map(|_| {
                    let (prot, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
                    let page = libc::mmap(null_mut(), PAGE, prot, flags, -1, 0);
                    assert_ne!(page, libc::MAP_FAILED);
                    page.cast::<u8>().write_bytes(0xa5, PAGE);
                    page.cast()
                })
                .collect();
            (api.hbitmap_reset)(hb, last, CHUNK);
            (api.hbitmap_set)(hb, 0, size);
            (api.hbitmap_reset_all)(hb);
            (api.hbitmap_set)(hb, last + 3, 5000);
            (api.hbitmap_truncate)(hb, last);
            let lost = guards.iter().filter(|&&page| page.read() != 0xa5 || page.add(PAGE - 1).read() != 0xa5).count();
            assert_eq!(lost, 0, "pages of somebody else that were lost, {chunks} chunks");
            for page in guards {
                libc::munmap(page.cast(), PAGE);
            }
            (api.hbitmap_free)(hb);
        }
    }
}
