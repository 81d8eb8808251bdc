// SPDX-License-Identifier: GPL-2.0-or-later
//! States of dirty bitmaps: what each allows, what it refuses, and that what is refused changes
//! nothing.

use qemu_dirty_bitmap::{DirtyBitmap, Error, HBitmap, Node};

const UNIT: u64 = 4096;
const LENGTH: u64 = 1000 * UNIT + 100;

fn node() -> Node {
    Node::new(LENGTH).unwrap()
}

fn dirty(bitmap: &DirtyBitmap) -> Vec<u64> {
    let units: Vec<_> = bitmap.iter().map(|offset| offset / UNIT).collect();
    assert_eq!(bitmap.count(), units.len() as u64 * UNIT);
    units
}

/// Calls with another bitmap of the node.
fn beside<T>(bitmap: &DirtyBitmap, call: impl FnOnce(&DirtyBitmap) -> T) -> T {
    let other = bitmap.node().create_anonymous_bitmap(UNIT).unwrap();
    let result = call(&other);
    other.release().unwrap();
    result
}

/// A change that a handle offers.
type Change = (&'static str, fn(&DirtyBitmap) -> Result<(), Error>);

/// Those that change the content.
const CONTENT: [Change; 11] = [
    ("set", |b| b.set(0..1)),
    ("reset", |b| b.reset(0..UNIT)),
    ("clear", |b| b.clear()),
    ("take", |b| b.take().map(drop)),
    ("swap", |b| b.swap(&mut HBitmap::new(LENGTH, UNIT).unwrap())),
    ("deserialize", |b| b.deserialize(0..LENGTH, &[0; 128])),
    ("zeroes", |b| b.lock().deserialize_zeroes(0..LENGTH)),
    ("ones", |b| b.lock().deserialize_ones(0..LENGTH)),
    ("merge", |b| beside(b, |other| b.merge(other))),
    ("merge with backup", |b| beside(b, |other| b.merge_with_backup(other).map(drop))),
    ("check", |b| b.check()),
];

/// Those that a read-only bitmap allows.
const SOURCE: [Change; 5] = [
    ("enable", |b| b.enable()),
    ("disable", |b| b.disable()),
    ("freeze", |b| b.freeze().map(drop)),
    ("merge from", |b| beside(b, |other| other.merge(b))),
    ("check as source", |b| b.check_as_source()),
];

/// Those that only a busy bitmap refuses.
const FLAGS: [Change; 5] = [
    ("readonly", |b| b.set_readonly(b.is_readonly())),
    ("persistent", |b| b.set_persistent(b.is_persistent())),
    ("skip", |b| b.set_skip_store(false)),
    ("claim", |b| b.claim().map(drop)),
    ("release", |b| b.release()),
];

fn each_refused(bitmap: &DirtyBitmap, error: &Error, changes: &[&[Change]]) {
    let before = bitmap.snapshot();
    let info = bitmap.info();
    for (name, change) in changes.iter().copied().flatten() {
        assert_eq!(change(bitmap), Err(error.clone()), "{name}");
        assert_eq!((&bitmap.snapshot(), bitmap.info()), (&before, info.clone()), "{name}");
    }
}

fn each_allowed(bitmap: &DirtyBitmap, changes: &[&[Change]]) {
    for (name, change) in changes.iter().copied().flatten() {
        assert_eq!(change(bitmap), Ok(()), "{name}");
    }
}

fn name() -> String {
    "b".to_string()
}

#[test]
fn a_new_bitmap_allows_everything() {
    let node = node();
    let b = node.create_bitmap("b", UNIT).unwrap();
    assert_eq!(
        (b.name().as_deref(), b.size(), b.granularity(), b.count()),
        (Some("b"), LENGTH, UNIT, 0)
    );
    assert!(b.is_enabled() && b.is_recording());
    assert!(
        !b.is_busy()
            && !b.is_readonly()
            && !b.is_persistent()
            && !b.is_to_be_stored()
            && !b.is_inconsistent()
    );
    assert!(!b.has_successor() && !b.is_released());
    each_allowed(&b, &[&CONTENT, &SOURCE, &FLAGS]);
    assert!(b.is_released());
}

#[test]
fn busy() {
    let node = node();
    let b = node.create_bitmap("b", UNIT).unwrap();
    b.set(0..1).unwrap();
    let error = Error::Busy { name: name() };
    assert_eq!(
        error.to_string(),
        "Bitmap 'b' is currently in use by another operation and cannot be used"
    );

    let claim = b.claim().unwrap();
    assert!(b.is_busy());
    each_refused(&b, &error, &[&CONTENT, &SOURCE, &FLAGS]);
    assert_eq!((node.resize(1), node.release_named()), (Err(error.clone()), Err(error.clone())));
    assert_eq!(b.mark_inconsistent(), Err(error));
    node.record_write(UNIT..UNIT + 1).unwrap();
    assert_eq!(dirty(&b), [0, 1], "a busy bitmap records");
    claim.lock().reset(0..UNIT).unwrap();
    claim.disable().unwrap();
    node.record_write(0..1).unwrap();
    assert_eq!(dirty(claim.bitmap()), [1]);
    claim.enable().unwrap();
    drop(claim);
    each_allowed(&b, &[&CONTENT, &SOURCE, &FLAGS]);
}

#[test]
fn busy_bitmaps_are_merged_by_their_owner() {
    let node = node();
    let (a, b) = (node.create_bitmap("a", UNIT).unwrap(), node.create_bitmap("b", UNIT).unwrap());
    a.set(0..1).unwrap();
    b.set(UNIT..UNIT + 1).unwrap();
    let claim = b.claim().unwrap();
    claim.merge(&a).unwrap();
    claim.merge(&b).unwrap();
    assert_eq!(dirty(&b), [0, 1]);
    claim.merge_into(&a).unwrap();
    claim.merge_into(&b).unwrap();
    assert_eq!((dirty(&a), dirty(&b)), (vec![0, 1], vec![0, 1]));
    let other = a.claim().unwrap();
    assert_eq!(claim.merge(&a), Err(Error::Busy { name: "a".into() }));
    assert_eq!(claim.merge_into(&a), Err(Error::Busy { name: "a".into() }));
    drop(other);
    a.set_readonly(true).unwrap();
    claim.merge(&a).unwrap();
    assert_eq!(claim.merge_into(&a), Err(Error::ReadOnly { name: "a".into() }));
}

#[test]
fn readonly() {
    let node = node();
    let b = node.create_bitmap("b", UNIT).unwrap();
    b.set(0..1).unwrap();
    b.set_readonly(true).unwrap();
    let error = Error::ReadOnly { name: name() };
    assert_eq!(error.to_string(), "Bitmap 'b' is readonly and cannot be modified");
    assert!(node.has_readonly_bitmaps());
    each_refused(&b, &error, &[&CONTENT]);
    each_allowed(&b, &[&SOURCE]);
    assert_eq!(b.claim().unwrap().lock().set(0..1), Err(error.clone()));

    // An enabled one forbids writes to the node: then no bitmap records them.
    let other = node.create_bitmap("other", UNIT).unwrap();
    b.enable().unwrap();
    assert_eq!(node.record_write(0..1), Err(error));
    assert_eq!(other.count(), 0);
    b.disable().unwrap();
    node.record_write(0..1).unwrap();
    assert_eq!((other.count(), dirty(&b)), (UNIT, vec![0]));

    // It can be frozen; its successor is not read-only, and comes back.
    b.enable().unwrap();
    let frozen = b.freeze().unwrap();
    node.record_write(UNIT..UNIT + 1).unwrap();
    assert_eq!(dirty(&b), [0]);
    frozen.reclaim();
    assert_eq!((dirty(&b), b.is_readonly()), (vec![0, 1], true));
    each_allowed(&b, &[&FLAGS]);
    assert!(!node.has_readonly_bitmaps());
}

#[test]
fn inconsistent() {
    let node = node();
    let b = node.create_bitmap("b", UNIT).unwrap();
    let error = Error::NotPersistent { name: name() };
    assert_eq!(b.mark_inconsistent(), Err(error));
    assert!(b.is_enabled() && !b.is_inconsistent());
    b.set_persistent(true).unwrap();
    b.mark_inconsistent().unwrap();
    assert!(b.is_inconsistent() && !b.is_enabled());
    let error = Error::Inconsistent { name: name() };
    assert_eq!(error.to_string(), "Bitmap 'b' is inconsistent and cannot be used");
    each_refused(&b, &error, &[&CONTENT, &SOURCE]);
    let claim = b.claim().unwrap();
    assert_eq!(claim.lock().set(0..1), Err(error.clone()));
    assert_eq!((claim.enable(), claim.disable()), (Err(error.clone()), Err(error)));
    drop(claim);
    each_allowed(&b, &[&FLAGS]);
}

#[test]
fn states_are_refused_in_qemus_order() {
    let node = node();
    let b = node.create_bitmap("b", UNIT).unwrap();
    b.set_persistent(true).unwrap();
    b.mark_inconsistent().unwrap();
    assert_eq!(b.check(), Err(Error::Inconsistent { name: name() }));
    b.set_readonly(true).unwrap();
    assert_eq!(b.check(), Err(Error::ReadOnly { name: name() }));
    assert_eq!(b.check_as_source(), Err(Error::Inconsistent { name: name() }));
    let claim = b.claim().unwrap();
    assert_eq!(b.check(), Err(Error::Busy { name: name() }));
    drop(claim);
    b.release().unwrap();
    assert_eq!(b.check(), Err(Error::Released));
}

#[test]
fn released() {
    let node = node();
    let b = node.create_bitmap("b", UNIT).unwrap();
    b.set(0..1).unwrap();
    let mut iter = b.iter();
    b.release().unwrap();
    each_refused(&b, &Error::Released, &[&CONTENT, &SOURCE, &FLAGS]);
    assert_eq!(b.mark_inconsistent(), Err(Error::Released));
    node.record_write(UNIT..UNIT + 1).unwrap();
    node.resize(UNIT).unwrap();
    assert_eq!(dirty(&b), [0]);
    assert_eq!((iter.next(), iter.next(), iter.next()), (Some(0), None, None));
    assert_eq!((b.size(), b.name().as_deref()), (LENGTH, Some("b")));
    assert!(node.bitmaps().is_empty() && node.find("b").is_none() && !node.has_named_bitmaps());
    // The name is free again.
    node.create_bitmap("b", UNIT).unwrap();
}

#[test]
fn persistent_and_skipped() {
    let node = node();
    let b = node.create_bitmap("b", UNIT).unwrap();
    for (persistent, skip) in [(false, false), (false, true), (true, false), (true, true)] {
        b.set_persistent(persistent).unwrap();
        b.set_skip_store(skip).unwrap();
        assert_eq!((b.is_persistent(), b.is_to_be_stored()), (persistent, persistent && !skip));
        assert_eq!(b.info().persistent, persistent);
    }
}

#[test]
fn a_backup_that_succeeds() {
    let node = node();
    let b = node.create_bitmap("b", UNIT).unwrap();
    b.set_persistent(true).unwrap();
    node.record_write(0..1).unwrap();
    let frozen = b.freeze().unwrap();
    assert!(b.is_busy() && !b.is_enabled() && b.is_recording() && b.has_successor());
    each_refused(&b, &Error::Busy { name: name() }, &[&CONTENT, &SOURCE, &FLAGS]);
    node.record_write(UNIT..UNIT + 1).unwrap();
    assert_eq!(dirty(frozen.bitmap()), [0]);
    // The successor is seen, but nobody gets a handle of it.
    assert_eq!(node.bitmaps(), std::slice::from_ref(&b));
    let query = node.query();
    assert_eq!(
        (query.len(), &query[0].name, query[0].count, query[1].busy),
        (2, &None, UNIT, true)
    );

    let next = frozen.abdicate();
    assert_eq!((next.name(), dirty(&next)), (Some(name()), vec![1]));
    assert!(next.is_enabled() && next.is_persistent() && !next.is_busy());
    assert!(b.is_released() && b.name().is_none() && next != b);
    assert_eq!((node.bitmaps(), node.find("b")), (vec![next.clone()], Some(next.clone())));
    each_allowed(&next, &[&CONTENT, &SOURCE, &FLAGS]);
}

#[test]
fn a_backup_that_fails() {
    for drops in [false, true] {
        for enabled in [false, true] {
            let node = node();
            let b = node.create_bitmap("b", UNIT).unwrap();
            b.set(0..1).unwrap();
            if !enabled {
                b.disable().unwrap();
            }
            let frozen = b.freeze().unwrap();
            assert_eq!(b.is_recording(), enabled);
            node.record_write(UNIT..UNIT + 1).unwrap();
            match drops {
                true => drop(frozen),
                false => frozen.reclaim(),
            }
            assert_eq!(dirty(&b), if enabled { vec![0, 1] } else { vec![0] });
            assert_eq!(b.is_enabled(), enabled);
            assert!(!b.is_busy() && !b.has_successor());
            assert_eq!(node.query().len(), 1);
            each_allowed(&b, &[&CONTENT, &SOURCE, &FLAGS]);
        }
    }
}

#[test]
fn a_disabled_bitmap_whose_successor_is_enabled() {
    let node = node();
    let b = node.create_bitmap("b", UNIT).unwrap();
    b.disable().unwrap();
    let frozen = b.freeze().unwrap();
    frozen.enable_successor();
    node.record_write(0..1).unwrap();
    frozen.lock().set(UNIT..UNIT + 1).unwrap();
    frozen.reclaim();
    assert_eq!((dirty(&b), b.is_enabled()), (vec![0, 1], true));
}

#[test]
fn a_panic_in_a_backup_loses_nothing() {
    let node = node();
    let b = node.create_bitmap("b", UNIT).unwrap();
    b.set(0..1).unwrap();
    let backup = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _frozen = b.freeze().unwrap();
        node.record_write(UNIT..UNIT + 1).unwrap();
        let _locked = b.lock();
        std::panic::resume_unwind(Box::new("the disk is full"));
    }));
    assert!(backup.is_err());
    assert_eq!(dirty(&b), [0, 1]);
}

#[test]
fn taken_merged_and_put_back() {
    let node = node();
    let (a, b) =
        (node.create_bitmap("a", UNIT).unwrap(), node.create_bitmap("b", 2 * UNIT).unwrap());
    a.set(0..1).unwrap();
    b.set(LENGTH - 1..LENGTH).unwrap();
    let mut before = a.merge_with_backup(&b).unwrap();
    assert_eq!(dirty(&a), [0, 1000]);
    a.swap(&mut before).unwrap();
    assert_eq!((dirty(&a), before.iter().collect::<Vec<_>>()), (vec![0], vec![0, 1000 * UNIT]));
    let mut taken = a.take().unwrap();
    assert_eq!(dirty(&a), []);
    // A content of another granularity brings it along.
    b.swap(&mut taken).unwrap();
    assert_eq!((b.granularity(), taken.granularity(), dirty(&b)), (UNIT, 2 * UNIT, vec![0]));

    for (size, granularity, error) in [
        (LENGTH + 1, UNIT, Error::ContentSize { expected: LENGTH, actual: LENGTH + 1 }),
        (LENGTH, 256, Error::Granularity { granularity: 256, min: 512, max: 1 << 31 }),
        (LENGTH, 1 << 32, Error::Granularity { granularity: 1 << 32, min: 512, max: 1 << 31 }),
    ] {
        let mut other = HBitmap::new(size, granularity).unwrap();
        other.set(0..1).unwrap();
        let copy = other.clone();
        assert_eq!(b.swap(&mut other), Err(error));
        assert_eq!((dirty(&b), other), (vec![0], copy));
    }
}

#[test]
fn bitmaps_of_two_nodes() {
    let (one, two) = (node(), node());
    let (a, b) = (one.create_bitmap("b", UNIT).unwrap(), two.create_bitmap("b", UNIT).unwrap());
    assert_ne!(one, two);
    assert_ne!(a, b);
    assert_eq!((a.node(), b.node()), (&one, &two));
    a.set(0..1).unwrap();
    b.merge(&a).unwrap();
    assert_eq!(dirty(&b), [0]);
    two.resize(UNIT).unwrap();
    assert_eq!(a.merge(&b), Err(Error::SizeMismatch { dest: LENGTH, src: UNIT }));
}

#[test]
fn names() {
    let node = node();
    let longest = "n".repeat(DirtyBitmap::MAX_NAME_SIZE);
    for name in ["", "ä€𝄞", "%s", &longest] {
        let made = node.create_bitmap(name, UNIT).unwrap();
        assert_eq!((made.name().as_deref(), node.find(name)), (Some(name), Some(made.clone())));
        let error = node.create_bitmap(name, UNIT).unwrap_err();
        assert_eq!(error, Error::NameTaken { name: name.into() });
        assert_eq!(error.to_string(), format!("Bitmap already exists: {name}"));
    }
    let too_long = longest + "n";
    assert_eq!(
        node.create_bitmap(&too_long, UNIT),
        Err(Error::NameTooLong { name: too_long.clone() })
    );
    assert_eq!(node.create_bitmap("a\0b", UNIT), Err(Error::NameHasNul { name: "a\0b".into() }));
    assert_eq!((node.find(&too_long), node.find("a\0b"), node.find("a")), (None, None, None));
    let nameless = node.create_anonymous_bitmap(UNIT).unwrap();
    nameless.set_readonly(true).unwrap();
    assert_eq!(
        nameless.check().unwrap_err().to_string(),
        "Bitmap '(null)' is readonly and cannot be modified"
    );
    node.release_named().unwrap();
    assert_eq!(node.bitmaps(), [nameless]);
}

#[test]
fn sizes_and_granularities_of_nodes() {
    let most = i64::MAX as u64;
    assert_eq!(Node::new(most + 1), Err(Error::OutOfRange { range: 0..most + 1, size: most }));
    assert!(Node::with_cluster_size(1, 3).is_err() && Node::with_cluster_size(1, 0).is_err());
    for (cluster_size, expected) in
        [(512, 4096), (4096, 4096), (32768, 32768), (1 << 21, 65536), (1 << 62, 65536)]
    {
        assert_eq!(
            Node::with_cluster_size(1, cluster_size).unwrap().default_granularity(),
            expected
        );
    }
    let node = Node::new(most).unwrap();
    for granularity in [0, 1, 256, 511, 513, 1 << 32, u64::MAX] {
        let error = Error::Granularity { granularity, min: 512, max: 1 << 31 };
        assert_eq!(node.create_bitmap("b", granularity), Err(error));
    }
    assert_eq!(node.create_bitmap("b", 512), Err(Error::TooLarge { size: most, granularity: 512 }));
    let b = node.create_bitmap("b", 1 << 31).unwrap();
    node.record_write(most - 1..most).unwrap();
    assert_eq!(b.areas(0..u64::MAX).collect::<Vec<_>>(), [most + 1 - (1 << 31)..most]);

    let node = Node::new(0).unwrap();
    let b = node.create_bitmap("b", 512).unwrap();
    assert_eq!((b.count(), b.iter().next(), b.serialize(0..0).unwrap().len()), (0, None, 0));
    node.record_write(0..0).unwrap();
    assert_eq!(node.record_write(0..1), Err(Error::OutOfRange { range: 0..1, size: 0 }));
    assert_eq!(node.resize(1 << 51), Err(Error::TooLarge { size: 1 << 51, granularity: 512 }));
    assert_eq!(node.resize(u64::MAX), Err(Error::OutOfRange { range: 0..u64::MAX, size: most }));
    assert_eq!((node.length(), b.size()), (0, 0));
}

#[test]
fn ranges_of_writes() {
    for bitmaps in 0..2 {
        let node = node();
        for n in 0..bitmaps {
            node.create_bitmap(&n.to_string(), UNIT).unwrap();
        }
        #[allow(clippy::reversed_empty_ranges)]
        for range in [0..LENGTH + 1, LENGTH..LENGTH + 1, 5..4, u64::MAX..u64::MAX, 0..u64::MAX] {
            let error = Error::OutOfRange { range: range.clone(), size: LENGTH };
            assert_eq!(node.record_write(range), Err(error));
        }
        for range in [0..0, LENGTH..LENGTH] {
            node.record_write(range).unwrap();
        }
        assert!(node.query().iter().all(|info| info.count == 0));
    }
}

#[test]
fn resizing_keeps_what_is_left() {
    let node = node();
    let b = node.create_bitmap("b", UNIT).unwrap();
    b.set(UNIT..UNIT + 1).unwrap();
    b.set(900 * UNIT..LENGTH).unwrap();
    let mut iter = b.iter();
    assert_eq!(iter.next(), Some(UNIT));
    node.resize(500 * UNIT).unwrap();
    assert_eq!(iter.next(), None, "an iterator goes on within the new size");
    node.resize(LENGTH).unwrap();
    assert_eq!((dirty(&b), b.size(), node.length()), (vec![1], LENGTH, LENGTH));
    b.set(999 * UNIT..1000 * UNIT).unwrap();
    assert_eq!(iter.next(), Some(999 * UNIT));
}

#[test]
fn serialised_parts() {
    let node = node();
    let (a, b) = (node.create_bitmap("a", UNIT).unwrap(), node.create_bitmap("b", UNIT).unwrap());
    a.set(63 * UNIT..65 * UNIT).unwrap();
    a.set(LENGTH - 1..LENGTH).unwrap();
    let align = a.serialization_align();
    assert_eq!((align, a.serialization_coverage(16)), (64 * UNIT, Some(2 * align)));
    assert_eq!((a.serialization_coverage(1 << 62), a.serialization_coverage(4)), (None, None));
    for start in (0..LENGTH).step_by(align as usize) {
        let end = LENGTH.min(start + align);
        let part = a.serialize(start..end).unwrap();
        assert_eq!(part.len(), 8);
        b.deserialize(start..end, &part).unwrap();
    }
    assert_eq!((b.snapshot(), b.sha256()), (a.snapshot(), a.sha256()));
    assert_eq!(a.serialize(1..LENGTH), Err(Error::Unaligned { range: 1..LENGTH, align }));
    // Bits past the end, as a hostile image may have them.
    b.deserialize(0..LENGTH, &[0xff; 128]).unwrap();
    assert_eq!((b.count(), b.next_clean(0..u64::MAX)), (1001 * UNIT, None));
    b.lock().deserialize_zeroes(0..LENGTH).unwrap();
    b.lock().deserialize_ones(0..align).unwrap();
    assert_eq!(b.areas(0..LENGTH).collect::<Vec<_>>(), [0..align]);
}

#[test]
fn a_node_goes_with_its_last_handle() {
    let node = node();
    let b = node.create_bitmap("b", UNIT).unwrap();
    node.create_bitmap("other", UNIT).unwrap();
    drop(node);
    b.node().record_write(0..1).unwrap();
    assert_eq!((dirty(&b), b.node().bitmaps().len()), (vec![0], 2));
    // With a frozen bitmap as the last handle.
    let frozen = b.freeze().unwrap();
    drop(b);
    drop(frozen);
}
