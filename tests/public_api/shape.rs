// SPDX-License-Identifier: GPL-2.0-or-later
//! Ranges in all of Rust's forms, operators and collections, errors as `io::Error`.

#![allow(clippy::reversed_empty_ranges)] // They are refused.

use std::io::{self, ErrorKind};
use std::ops::{Bound, RangeBounds};
use std::panic::{AssertUnwindSafe, catch_unwind};

use qemu_dirty_bitmap::{Error, HBitmap, Node};

fn areas(bitmap: &HBitmap) -> Vec<std::ops::Range<u64>> {
    bitmap.areas(..).collect()
}

/// What is dirty after a range was set in a bitmap of 100 items, or the range that was refused.
fn set(range: impl RangeBounds<u64>) -> Result<Vec<std::ops::Range<u64>>, std::ops::Range<u64>> {
    let mut bitmap = HBitmap::new(100, 1).unwrap();
    match bitmap.set(range) {
        Ok(_) => Ok(areas(&bitmap)),
        Err(Error::OutOfRange { range, size: 100 }) => Err(range),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn ranges_of_all_forms() {
    assert_eq!(set(..), Ok(vec![0..100]));
    assert_eq!(set(90..), Ok(vec![90..100]));
    assert_eq!(set(..3), Ok(vec![0..3]));
    assert_eq!(set(..=3), Ok(vec![0..4]));
    assert_eq!(set(3..=3), Ok(vec![3..4]));
    assert_eq!(set((Bound::Excluded(3), Bound::Included(5))), Ok(vec![4..6]));
    assert_eq!(set(..=100), Err(0..101));
    assert_eq!(set(..=u64::MAX), Err(0..u64::MAX));
    assert_eq!(set((Bound::Excluded(u64::MAX), Bound::Unbounded)), Err(u64::MAX..100));
    assert_eq!(set(101..), Err(101..100));

    let disk = Node::new(1000).unwrap();
    let bitmap = disk.create_bitmap("b", 512).unwrap();
    disk.record_write(600..).unwrap();
    assert_eq!(bitmap.areas(..).collect::<Vec<_>>(), [512..1000]);
    assert!(bitmap.contains(999) && !bitmap.contains(0) && !bitmap.contains(1000));
    assert_eq!(bitmap.serialize(..).unwrap(), bitmap.serialize(0..1000).unwrap());
    bitmap.reset(..).unwrap();
    assert!(bitmap.is_empty());
}

fn panics(call: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(call)).expect_err("it did not panic");
    *payload.downcast::<String>().expect("a message")
}

#[test]
fn operators_refuse_with_a_panic() {
    let mut bitmap = HBitmap::new(100, 8).unwrap();
    let other = HBitmap::new(101, 8).unwrap();
    assert!(panics(|| bitmap |= &other).starts_with("Bitmaps are of different sizes"));
    assert_eq!(panics(|| bitmap.extend([3, 100])), "100..101 is not a range within 0..100");
    assert_eq!(areas(&bitmap), [0..8], "what came before it is set");
    panics(|| drop([u64::MAX].into_iter().collect::<HBitmap>()));
    assert_eq!(Vec::<u64>::new().into_iter().collect::<HBitmap>().size(), 0);
    assert_eq!([7, 3].into_iter().collect::<HBitmap>(), [3..4, 7..8].into_iter().collect());
}

#[test]
fn errors_are_io_errors() {
    let disk = Node::new(1 << 20).unwrap();
    let bitmap = disk.create_bitmap("b", 512).unwrap();
    let kind = |error: Error| {
        let text = error.to_string();
        let error = io::Error::from(error);
        assert_eq!(error.to_string(), text);
        error.kind()
    };
    assert_eq!(kind(disk.create_bitmap("b", 512).unwrap_err()), ErrorKind::AlreadyExists);
    assert_eq!(kind(bitmap.set(..=1 << 20).unwrap_err()), ErrorKind::InvalidInput);
    let claim = bitmap.claim().unwrap();
    assert_eq!(kind(bitmap.set(..).unwrap_err()), ErrorKind::ResourceBusy);
    drop(claim);
    bitmap.set_readonly(true).unwrap();
    assert_eq!(kind(bitmap.clear().unwrap_err()), ErrorKind::PermissionDenied);
    bitmap.set_readonly(false).unwrap();
    bitmap.release().unwrap();
    assert_eq!(kind(bitmap.clear().unwrap_err()), ErrorKind::NotFound);
}
