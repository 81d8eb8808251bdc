// SPDX-License-Identifier: GPL-2.0-or-later
//! Creation, flags, and what each state refuses.

use std::ffi::CString;

use super::{LENGTH, UNIT, asserts, bitmap, clean, dirty, names, node, set, text};
use crate::dirty_bitmap::{
    self, BdrvDirtyBitmap, BdrvDirtyBitmapIter, BitmapCheckFlags, ListAccess, default_granularity,
    find, has_named, has_readonly, lock_node, query, set_dirty, truncate,
};
use crate::host::BlockDriverState;

const RELEASE: &str = "bdrv_release_dirty_bitmap_locked";

/// A way to bring a bitmap into a state.
type Enter = fn(&BdrvDirtyBitmap);

/// The three states that an operation can be refused for: what makes them, the flag that asks for
/// them, the words.
const STATES: [(Enter, u32, &str); 3] = [
    (
        |b| b.set_busy(&b.lock(), true),
        1,
        "is currently in use by another operation and cannot be used",
    ),
    (|b| b.set_readonly(&b.lock(), true), 2, "is readonly and cannot be modified"),
    (
        |b| {
            b.set_persistent(&b.lock(), true);
            b.set_inconsistent(&b.lock());
        },
        4,
        "is inconsistent and cannot be used",
    ),
];

fn leave_all(bitmap: &BdrvDirtyBitmap) {
    let locked = bitmap.lock();
    bitmap.set_busy(&locked, false);
    bitmap.set_readonly(&locked, false);
}

#[test]
fn new_bitmap() {
    let node = node();
    let b = bitmap(&node, "b");
    assert_eq!((b.size(), b.granularity(), b.dirty_count()), (LENGTH, UNIT as u32, 0));
    assert!(b.enabled() && b.recording() && b.is_named());
    assert!(
        !b.busy()
            && !b.readonly()
            && !b.persistent()
            && !b.stored()
            && !b.inconsistent()
            && !b.has_successor()
    );
    assert_eq!(b.name().as_deref(), Some(c"b"));
    clean(&node);
}

#[test]
fn granularity_of_no_bitmap() {
    let node = node();
    for granularity in [0, 1, 256, 511, 513, 4095, 0xffff_ffff] {
        asserts(
            "bdrv_create_dirty_bitmap",
            "is_power_of_2(granularity) && granularity >= BDRV_SECTOR_SIZE",
            || BdrvDirtyBitmap::create(&node, granularity, None),
        );
    }
    for granularity in [512, 65536, 1 << 31] {
        let b = BdrvDirtyBitmap::create(&node, granularity, Some(c"b")).unwrap();
        assert_eq!(b.granularity(), granularity);
        clean(&node);
    }
}

#[test]
fn names_taken_and_too_long() {
    let node = node();
    let longest = CString::new(vec![b'n'; 1023]).unwrap();
    let longer = CString::new(vec![b'n'; 1024]).unwrap();
    let create = |name: &std::ffi::CStr| {
        BdrvDirtyBitmap::create(&node, UNIT as u32, Some(name)).map_err(|e| e.to_string())
    };
    create(&longest).unwrap();
    assert_eq!(create(&longest).unwrap_err(), format!("Bitmap already exists: {}", text(&longest)));
    assert_eq!(create(&longer).unwrap_err(), format!("Bitmap name too long: {}", text(&longer)));
    create(c"").unwrap();
    assert_eq!(create(c"").unwrap_err(), "Bitmap already exists: ");
    assert_eq!(names(&node), ["".to_string(), text(&longest)]);
    clean(&node);
}

#[test]
fn names_are_bytes() {
    let node = node();
    let name = c"\xff\xfe%s";
    BdrvDirtyBitmap::create(&node, UNIT as u32, Some(name)).unwrap();
    let error = BdrvDirtyBitmap::create(&node, UNIT as u32, Some(name)).unwrap_err();
    assert_eq!(error.message().to_bytes(), b"Bitmap already exists: \xff\xfe%s");
    clean(&node);
}

#[test]
fn length_that_cannot_be_read() {
    let node = BlockDriverState::new(-i64::from(libc::EIO), 0, None);
    let error = BdrvDirtyBitmap::create(&node, UNIT as u32, Some(c"b")).unwrap_err();
    assert_eq!(error.message(), c"could not get length of device");
    assert_eq!(
        (error.os_errno(), error.hint(), error.function()),
        (libc::EIO, None, c"bdrv_create_dirty_bitmap")
    );
    assert!(names(&node).is_empty());
}

#[test]
fn node_too_large() {
    let node = BlockDriverState::new(i64::MAX, 0, None);
    asserts("hbitmap_alloc", "size <= ((uint64_t)1 << HBITMAP_LOG_MAX_SIZE)", || {
        BdrvDirtyBitmap::create(&node, UNIT as u32, Some(c"b"))
    });
    assert!(names(&node).is_empty());
}

#[test]
fn list_is_newest_first_and_keeps_its_order() {
    let node = node();
    let all: Vec<_> = ["a", "b", "c", "d"].map(|name| bitmap(&node, name)).into();
    assert_eq!(names(&node), ["d", "c", "b", "a"]);
    for (index, left) in
        [(1, vec!["d", "c", "a"]), (3, vec!["c", "a"]), (0, vec!["c"]), (2, vec![])]
    {
        drop(all[index].release(&mut all[index].lock()));
        assert_eq!(names(&node), left);
    }
    asserts(RELEASE, "QLIST_IS_INSERTED(bitmap, list)", || all[0].release(&mut all[0].lock()));
}

#[test]
fn find_looks_at_whole_names() {
    let node = node();
    let a = bitmap(&node, "a");
    bitmap(&node, "ab");
    BdrvDirtyBitmap::create(&node, UNIT as u32, None).unwrap();
    let guard = lock_node(&node);
    // SAFETY: the guard keeps the list as it is.
    let list = unsafe { ListAccess::assume(&node) };
    assert!(std::ptr::eq(find(&list, c"a").unwrap(), &*a));
    assert!(find(&list, c"abc").is_none() && find(&list, c"").is_none());
    drop(guard);
    assert!(has_named(&node));
    clean(&node);
    assert!(!has_named(&node));
    assert_eq!(names(&node), [""], "bitmaps without a name stay");
}

#[test]
fn check_refuses_states_in_order() {
    for present in 0..8u32 {
        for flags in 0..8u32 {
            let node = node();
            let b = bitmap(&node, "b");
            for (enter, flag, _) in STATES {
                if present & flag != 0 {
                    enter(&b);
                }
            }
            // Bits that name no state mean nothing.
            let result = b.check(flags | 0xffff_fff8);
            match STATES.iter().find(|(_, flag, _)| present & flags & flag != 0) {
                None => assert_eq!(result, Ok(())),
                Some((_, flag, words)) => {
                    let error = result.unwrap_err();
                    assert_eq!(error.to_string(), format!("Bitmap 'b' {words}"));
                    let hint = (*flag == 4).then_some(
                        c"Try block-dirty-bitmap-remove to delete this bitmap from disk\n",
                    );
                    assert_eq!((error.hint(), error.os_errno()), (hint, 0));
                }
            }
            leave_all(&b);
            clean(&node);
        }
    }
}

#[test]
fn check_names_the_nameless() {
    let node = node();
    let b = BdrvDirtyBitmap::create(&node, UNIT as u32, None).unwrap();
    b.set_readonly(&b.lock(), true);
    let error = b.check(BitmapCheckFlags::DEFAULT).unwrap_err();
    assert_eq!(error.message(), c"Bitmap '(null)' is readonly and cannot be modified");
    drop(b.release(&mut b.lock()));
}

#[test]
fn readonly_keeps_its_content() {
    let node = node();
    let b = bitmap(&node, "b");
    set(&b, &[3]);
    b.set_readonly(&b.lock(), true);
    assert!(has_readonly(&node));
    let condition = "!bdrv_dirty_bitmap_readonly(bitmap)";
    asserts("bdrv_set_dirty_bitmap_locked", condition, || b.set(&mut b.lock(), 0, 1));
    asserts("bdrv_reset_dirty_bitmap_locked", condition, || b.reset(&mut b.lock(), 0, UNIT));
    asserts("bdrv_clear_dirty_bitmap", condition, || b.clear(&mut b.lock()));
    asserts("bdrv_clear_dirty_bitmap", condition, || b.clear_and_keep(&mut b.lock()));
    asserts("bdrv_set_dirty", condition, || set_dirty(&node, 0, 1));
    let other = Box::new(crate::hbitmap::HBitmap::new(LENGTH as u64, 12));
    asserts("bdrv_restore_dirty_bitmap", condition, || b.restore(&mut b.lock(), other));
    assert_eq!(dirty(&b), [3]);
    b.disable(&b.lock());
    set_dirty(&node, 0, 1);
    assert_eq!(dirty(&b), [3], "a disabled bitmap may be read-only while the node is written");
    b.set_readonly(&b.lock(), false);
    assert!(!has_readonly(&node));
    clean(&node);
}

#[test]
fn enabled_bitmaps_record_writes() {
    let node = node();
    let (on, off) = (bitmap(&node, "on"), bitmap(&node, "off"));
    off.disable(&off.lock());
    assert!(!off.enabled() && !off.recording());
    set_dirty(&node, UNIT - 1, 2);
    set_dirty(&node, 0, 0);
    assert_eq!((dirty(&on), dirty(&off)), (vec![0, 1], vec![]));
    off.enable(&off.lock());
    set_dirty(&node, LENGTH as u64 - 1, 1);
    assert_eq!((dirty(&on), dirty(&off)), (vec![0, 1, 1000], vec![1000]));
    asserts("hbitmap_set", "last < hb->size", || set_dirty(&node, LENGTH as u64 + UNIT, 1));
    clean(&node);
}

#[test]
fn persistence_and_skip_store() {
    let node = node();
    let b = bitmap(&node, "b");
    for (persistent, skip) in [(false, false), (false, true), (true, false), (true, true)] {
        b.set_persistent(&b.lock(), persistent);
        b.set_skip_store(&b.lock(), skip);
        assert_eq!((b.persistent(), b.stored()), (persistent, persistent && !skip));
        assert_eq!(b.info().persistent, persistent);
    }
    clean(&node);
}

#[test]
fn only_persistent_bitmaps_can_be_inconsistent() {
    let node = node();
    let b = bitmap(&node, "b");
    asserts("bdrv_dirty_bitmap_set_inconsistent", "bitmap->persistent == true", || {
        b.set_inconsistent(&b.lock())
    });
    assert!(!b.inconsistent() && b.enabled());
    b.set_persistent(&b.lock(), true);
    b.set_inconsistent(&b.lock());
    assert!(b.inconsistent() && !b.enabled());
    clean(&node);
}

#[test]
fn bitmaps_in_use_stay() {
    let node = node();
    let b = bitmap(&node, "b");
    let truncated = || truncate(&mut lock_node(&node), 4096);
    let released = || b.release(&mut b.lock());
    let released_named = || dirty_bitmap::release_named(&mut lock_node(&node));

    let iter = BdrvDirtyBitmapIter::new(&b);
    asserts(RELEASE, "!bitmap->active_iterators", released);
    asserts(RELEASE, "!bitmap->active_iterators", released_named);
    asserts("bdrv_dirty_bitmap_truncate", "!bitmap->active_iterators", truncated);
    drop(iter);

    b.create_successor().unwrap();
    asserts(RELEASE, "!bdrv_dirty_bitmap_busy(bitmap)", released);
    asserts("bdrv_dirty_bitmap_truncate", "!bdrv_dirty_bitmap_busy(bitmap)", truncated);
    b.set_busy(&b.lock(), false);
    asserts(RELEASE, "!bdrv_dirty_bitmap_has_successor(bitmap)", released);
    asserts("bdrv_dirty_bitmap_truncate", "!bdrv_dirty_bitmap_has_successor(bitmap)", truncated);
    b.reclaim(&mut b.lock()).unwrap();

    truncated();
    assert_eq!(b.size(), 4096);
    drop(released());
    assert!(names(&node).is_empty());
}

#[test]
fn truncate_keeps_what_is_left() {
    let node = node();
    let b = bitmap(&node, "b");
    set(&b, &[1, 900]);
    truncate(&mut lock_node(&node), 500 * UNIT as i64);
    assert_eq!((b.size(), dirty(&b)), (500 * UNIT as i64, vec![1]));
    truncate(&mut lock_node(&node), LENGTH);
    assert_eq!((b.size(), dirty(&b)), (LENGTH, vec![1]));
    asserts("hbitmap_truncate", "size <= INT64_MAX", || truncate(&mut lock_node(&node), -1));
    clean(&node);
}

#[test]
fn descriptions() {
    let node = node();
    let old = bitmap(&node, "old");
    set(&old, &[7]);
    old.set_persistent(&old.lock(), true);
    old.create_successor().unwrap();
    let infos: Vec<_> = query(&lock_node(&node)).collect();
    assert_eq!(infos.len(), 2);
    assert!(infos[0].name.is_none() && infos[0].recording && !infos[0].busy);
    let old_info = &infos[1];
    assert_eq!(old_info.name.as_deref(), Some(c"old"));
    assert_eq!((old_info.count, old_info.granularity), (UNIT as i64, UNIT as u32));
    assert!(old_info.recording, "the successor records");
    assert!(old_info.busy && old_info.persistent && !old_info.inconsistent);
    old.reclaim(&mut old.lock()).unwrap();
    clean(&node);
}

#[test]
fn default_granularities() {
    for (cluster, expected) in [
        (i64::MIN, 65536),
        (-1, 65536),
        (0, 65536),
        (1, 4096),
        (4096, 4096),
        (5000, 5000),
        (65536, 65536),
        (i64::MAX, 65536),
    ] {
        assert_eq!(
            default_granularity(&BlockDriverState::new(0, cluster, None)),
            expected,
            "cluster size {cluster}"
        );
    }
}

#[test]
fn locks_of_other_nodes_do_not_count() {
    let (one, two) = (node(), node());
    let b = bitmap(&one, "b");
    let message = super::panic_of(|| b.set(&mut lock_node(&two), 0, 1));
    assert_eq!(message, "a bitmap was used with the lock of another node");
    assert_eq!(dirty(&b), []);
    clean(&one);
}

#[test]
fn the_list_goes_from_the_newest_to_the_oldest() {
    let node = node();
    let bitmaps = ["a", "b", "c"].map(|name| bitmap(&node, name));
    let guard = lock_node(&node);
    // SAFETY: the guard keeps the list as it is.
    let list = unsafe { ListAccess::assume(&node) };
    let mut at = list.first();
    for expected in bitmaps.iter().rev() {
        assert!(at.is_some_and(|bitmap| std::ptr::eq(bitmap, &**expected)));
        at = at.and_then(|bitmap| list.next(bitmap));
    }
    assert!(at.is_none());
    drop(guard);
    assert!(bitmaps.iter().all(|bitmap| bitmap.is_attached()));
    clean(&node);
    assert!(!bitmaps.iter().any(|bitmap| bitmap.is_attached()));
}

#[test]
fn searches_find_what_is_dirty_and_what_is_not() {
    let node = node();
    let bitmap = bitmap(&node, "b");
    set(&bitmap, &[3, 4, 999]);
    let locked = bitmap.lock();
    for (offset, dirty, zero) in [
        (0, Some(3 * UNIT), Some(0)),
        (3 * UNIT + 5, Some(3 * UNIT + 5), Some(5 * UNIT)),
        (5 * UNIT, Some(999 * UNIT), Some(5 * UNIT)),
        (1000 * UNIT, None, Some(1000 * UNIT)),
    ] {
        let bytes = LENGTH as u64 - offset;
        assert_eq!(bitmap.next_dirty(&locked, offset, bytes), dirty, "from {offset}");
        assert_eq!(bitmap.next_zero(&locked, offset, bytes), zero, "from {offset}");
    }
    assert_eq!(bitmap.status(&locked, 0, 10 * UNIT), (false, 3 * UNIT));
    assert_eq!(bitmap.status(&locked, 3 * UNIT, 10 * UNIT), (true, 2 * UNIT));
    drop(locked);
    clean(&node);
}
