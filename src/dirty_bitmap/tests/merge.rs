// SPDX-License-Identifier: GPL-2.0-or-later
//! Merging: states, granularities, nodes, backups, locks.

use std::sync::Arc;
use std::thread;

use super::{LENGTH, UNIT, asserts, bitmap, clean, dirty, node, set};
use crate::dirty_bitmap::{Backup, BdrvDirtyBitmap, BdrvDirtyBitmapIter, lock_pair, truncate};

/// Brings a bitmap into the states of the flags 1 (busy), 2 (read-only), 4 (inconsistent).
fn enter(bitmap: &BdrvDirtyBitmap, states: u32) {
    let locked = bitmap.lock();
    bitmap.set_busy(&locked, states & 1 != 0);
    bitmap.set_readonly(&locked, states & 2 != 0);
    bitmap.set_persistent(&locked, true);
    if states & 4 != 0 {
        bitmap.set_inconsistent(&locked);
    }
}

fn leave(bitmap: &BdrvDirtyBitmap) {
    let locked = bitmap.lock();
    bitmap.set_busy(&locked, false);
    bitmap.set_readonly(&locked, false);
}

#[test]
fn every_pair_of_states() {
    for same_node in [true, false] {
        for backup in [Backup::None, Backup::Keep] {
            for (dest_states, src_states) in
                (0..8).flat_map(|dest| (0..8).map(move |src| (dest, src)))
            {
                let (one, two) = (node(), node());
                let dest = bitmap(&one, "dest");
                let src = bitmap(if same_node { &one } else { &two }, "src");
                set(&dest, &[1, 2]);
                set(&src, &[2, 3]);
                enter(&dest, dest_states);
                enter(&src, src_states);
                let refused = dest_states != 0 || src_states & 5 != 0;
                match dest.merge(&src, backup) {
                    Ok(old) => {
                        assert!(!refused);
                        assert_eq!(
                            old.map(|old| old.count()),
                            (backup == Backup::Keep).then_some(2 * UNIT)
                        );
                        assert_eq!(dirty(&dest), [1, 2, 3]);
                    }
                    Err(error) => {
                        assert!(refused);
                        let culprit = if dest_states != 0 { "dest" } else { "src" };
                        assert!(
                            error.to_string().starts_with(&format!("Bitmap '{culprit}' is ")),
                            "{error}"
                        );
                        assert_eq!(dirty(&dest), [1, 2]);
                    }
                }
                assert_eq!(dirty(&src), [2, 3]);

                // The owner of a busy bitmap may merge all the same; the other two states abort.
                let merge = || {
                    let mut pair = lock_pair(dest.node(), src.node());
                    dest.merge_internal(&src, &mut pair, Backup::None)
                };
                let function = "bdrv_dirty_bitmap_merge_internal";
                if dest_states & 2 != 0 {
                    asserts(function, "!bdrv_dirty_bitmap_readonly(dest)", merge);
                } else if dest_states & 4 != 0 {
                    asserts(function, "!bdrv_dirty_bitmap_inconsistent(dest)", merge);
                } else if src_states & 4 != 0 {
                    asserts(function, "!bdrv_dirty_bitmap_inconsistent(src)", merge);
                } else {
                    assert!(merge().unwrap().is_none());
                    assert_eq!(dirty(&dest), [1, 2, 3]);
                }
                for bitmap in [&dest, &src] {
                    leave(bitmap);
                }
                clean(&one);
                clean(&two);
            }
        }
    }
}

#[test]
fn sizes_that_differ() {
    let (one, two) = (node(), node());
    let (dest, src) = (bitmap(&one, "dest"), bitmap(&two, "src"));
    set(&dest, &[1]);
    set(&src, &[2]);
    truncate(&mut src.lock(), 8192);
    let error = dest.merge(&src, Backup::Keep).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "Bitmaps are of different sizes (destination size is {LENGTH}, source size is 8192) \
             and can't be merged"
        )
    );
    let merged = dest.merge_internal(&src, &mut lock_pair(dest.node(), src.node()), Backup::Keep);
    assert!(merged.is_none(), "the stand-alone host says no");
    assert_eq!(dirty(&dest), [1]);
    clean(&one);
    clean(&two);
}

#[test]
fn granularities_that_differ() {
    for (dest_unit, src_unit) in [(UNIT, 16 * UNIT), (16 * UNIT, UNIT), (512, UNIT)] {
        for backup in [Backup::None, Backup::Keep] {
            let node = node();
            let dest = BdrvDirtyBitmap::create(&node, dest_unit as u32, Some(c"dest")).unwrap();
            let src = BdrvDirtyBitmap::create(&node, src_unit as u32, Some(c"src")).unwrap();
            src.set(&mut src.lock(), 100 * UNIT, 1);
            let old = dest.merge(&src, backup).unwrap();
            assert_eq!(old.is_some(), backup == Backup::Keep);
            let step = dest_unit.max(src_unit);
            let locked = dest.lock();
            let start = 100 * UNIT / step * step;
            assert_eq!(
                dest.next_dirty_area(&locked, 0, LENGTH as u64, u64::MAX),
                Some((start, step))
            );
            assert_eq!((dest.granularity(), dest.dirty_count()), (dest_unit as u32, step));
            drop(locked);
            clean(&node);
        }
    }
}

#[test]
fn merge_with_itself() {
    let node = node();
    let b = bitmap(&node, "b");
    set(&b, &[4, 9]);
    assert!(b.merge(&b, Backup::None).unwrap().is_none());
    assert_eq!(dirty(&b), [4, 9]);
    let old = b.merge(&b, Backup::Keep).unwrap().unwrap();
    assert_eq!((old.count(), dirty(&b)), (2 * UNIT, vec![4, 9]));
    set(&b, &[5]);
    assert_eq!(old.count(), 2 * UNIT, "the backup is a bitmap of its own");
    clean(&node);
}

#[test]
fn backup_and_restore() {
    let node = node();
    let (dest, src) = (bitmap(&node, "dest"), bitmap(&node, "src"));
    set(&dest, &[1]);
    set(&src, &[2]);
    let mut iter = BdrvDirtyBitmapIter::new(&dest);
    let old = dest.merge(&src, Backup::Keep).unwrap().unwrap();
    assert_eq!(dirty(&dest), [1, 2]);
    drop(dest.restore(&mut dest.lock(), old));
    assert_eq!(dirty(&dest), [1]);
    assert_eq!(iter.next(&dest.lock()), Some(UNIT), "iterators walk what is there now");
    assert_eq!(iter.next(&dest.lock()), None);
    drop(iter);

    let old = dest.clear_and_keep(&mut dest.lock());
    assert_eq!(dirty(&dest), []);
    drop(dest.restore(&mut dest.lock(), old));
    assert_eq!(dirty(&dest), [1]);
    let coarse = Box::new(crate::hbitmap::HBitmap::new(LENGTH as u64, 32));
    asserts("bdrv_restore_dirty_bitmap", "hbitmap_granularity(backup) < 32", || {
        dest.restore(&mut dest.lock(), coarse)
    });
    clean(&node);
}

#[test]
fn opposite_merges_do_not_wait_for_each_other() {
    let (one, two) = (node(), node());
    let (a, b) = (bitmap(&one, "a"), bitmap(&two, "b"));
    set(&a, &[1]);
    set(&b, &[2]);
    let merge_often = |dest: &Arc<BdrvDirtyBitmap>, src: &Arc<BdrvDirtyBitmap>, backup| {
        let (dest, src) = (Arc::clone(dest), Arc::clone(src));
        thread::spawn(move || (0..20_000).for_each(|_| drop(dest.merge(&src, backup).unwrap())))
    };
    for thread in [merge_often(&a, &b, Backup::None), merge_often(&b, &a, Backup::None)] {
        thread.join().unwrap();
    }
    assert_eq!((dirty(&a), dirty(&b)), (vec![1, 2], vec![1, 2]));
    clean(&one);
    clean(&two);
}

#[test]
fn an_iterator_notices_that_the_content_was_replaced() {
    // Three bits in one word, one returned; then as many changes in the new content as there were
    // in the old one.
    let node = node();
    let b = bitmap(&node, "b");
    b.set(&mut b.lock(), 0, 3 * UNIT);
    let mut iter = BdrvDirtyBitmapIter::new(&b);
    assert_eq!(iter.next(&b.lock()), Some(0));
    let mut other = BdrvDirtyBitmapIter::new(&b);
    assert_eq!(other.next(&b.lock()), Some(0));
    let backup = b.clear_and_keep(&mut b.lock());
    assert_eq!(other.next(&b.lock()), None);
    b.set(&mut b.lock(), 100 * UNIT, UNIT);
    assert_eq!(iter.next(&b.lock()), Some(100 * UNIT));
    assert_eq!(iter.next(&b.lock()), None);
    drop(b.restore(&mut b.lock(), backup));
    iter.seek(&b.lock(), UNIT);
    assert_eq!(iter.next(&b.lock()), Some(UNIT));
    drop((iter, other));
    clean(&node);
}
