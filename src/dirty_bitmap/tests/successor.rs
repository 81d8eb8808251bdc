// SPDX-License-Identifier: GPL-2.0-or-later
//! Life cycles of successors.

use std::collections::BTreeSet;

use super::{UNIT, asserts, bitmap, clean, dirty, names, node, set};
use crate::dirty_bitmap::{BdrvDirtyBitmapIter, set_dirty};
use proptest::prelude::*;

#[test]
fn parent_is_frozen_and_successor_records() {
    for enabled in [true, false] {
        let node = node();
        let b = bitmap(&node, "b");
        set(&b, &[1]);
        if !enabled {
            b.disable(&b.lock());
        }
        b.create_successor().unwrap();
        let child = b.successor().unwrap();
        assert!(b.busy() && !b.enabled() && b.has_successor());
        assert_eq!((child.enabled(), b.recording()), (enabled, enabled));
        assert_eq!(
            (child.granularity(), child.size(), child.name()),
            (b.granularity(), b.size(), None)
        );
        set_dirty(&node, 2 * UNIT, 1);
        let recorded = if enabled { vec![2] } else { vec![] };
        assert_eq!((dirty(&b), dirty(&child)), (vec![1], recorded.clone()));
        b.enable_successor(&b.lock());
        assert!(child.enabled());
        b.reclaim(&mut b.lock()).unwrap();
        assert!(!b.busy() && b.enabled() && !b.has_successor(), "enabled as the successor was");
        assert_eq!(dirty(&b), [vec![1], recorded].concat());
        assert_eq!(names(&node), ["b"]);
        clean(&node);
    }
}

#[test]
fn refusals_change_nothing() {
    let node = node();
    let b = bitmap(&node, "b");
    let error = b.reclaim(&mut b.lock()).unwrap_err();
    assert_eq!(error.message(), c"Cannot reclaim a successor when none is present");
    let error = b.abdicate().unwrap_err();
    assert_eq!(error.message(), c"Cannot relinquish control if there's no successor present");
    asserts("bdrv_dirty_bitmap_enable_successor", "bitmap->successor != NULL", || {
        b.enable_successor(&b.lock())
    });

    node.set_length(-i64::from(libc::EIO));
    let error = b.create_successor().unwrap_err();
    assert_eq!((error.message(), error.os_errno()), (c"could not get length of device", libc::EIO));
    assert!(b.enabled() && !b.busy() && !b.has_successor());
    node.set_length(super::LENGTH);

    b.create_successor().unwrap();
    let error = b.create_successor().unwrap_err();
    assert_eq!(
        error.message(),
        c"Bitmap 'b' is currently in use by another operation and cannot be used"
    );
    b.set_busy(&b.lock(), false);
    let error = b.create_successor().unwrap_err();
    assert_eq!(error.message(), c"Cannot create a successor for a bitmap that already has one");
    assert_eq!(names(&node), ["", "b"]);
    b.reclaim(&mut b.lock()).unwrap();
    clean(&node);
}

#[test]
fn abdication_moves_name_and_persistence() {
    let node = node();
    let b = bitmap(&node, "b");
    set(&b, &[1]);
    let name = b.name().unwrap();
    b.set_persistent(&b.lock(), true);
    b.set_skip_store(&b.lock(), true);
    b.create_successor().unwrap();
    set_dirty(&node, 5 * UNIT, 1);
    let heir = b.abdicate().unwrap();
    assert_eq!(
        heir.name().unwrap().as_ptr(),
        name.as_ptr(),
        "pointers that C has to the name stay good"
    );
    assert!(heir.persistent() && heir.stored(), "skip-store does not move");
    assert_eq!(dirty(&heir), [5]);
    assert_eq!(
        (b.name(), b.persistent(), b.busy(), b.has_successor()),
        (None, false, false, false)
    );
    assert_eq!(names(&node), ["b"]);
    clean(&node);
}

#[test]
fn iterators_forbid_the_end() {
    let node = node();
    let b = bitmap(&node, "b");
    b.create_successor().unwrap();
    let release = "bdrv_release_dirty_bitmap_locked";
    let iter = BdrvDirtyBitmapIter::new(&b);
    asserts(release, "!bitmap->active_iterators", || b.abdicate());
    assert!(b.has_successor() && b.busy() && b.is_named(), "nothing half done");
    drop(iter);
    let child = b.successor().unwrap();
    let iter = BdrvDirtyBitmapIter::new(&child);
    asserts(release, "!bitmap->active_iterators", || b.reclaim(&mut b.lock()));
    drop(iter);
    child.set_busy(&child.lock(), true);
    asserts(release, "!bdrv_dirty_bitmap_busy(bitmap)", || b.reclaim(&mut b.lock()));
    child.set_busy(&child.lock(), false);
    assert!(b.has_successor() && b.busy());
    b.reclaim(&mut b.lock()).unwrap();
    clean(&node);
}

#[test]
fn successors_of_successors() {
    let node = node();
    let b = bitmap(&node, "b");
    b.create_successor().unwrap();
    let child = b.successor().unwrap();
    child.create_successor().unwrap();
    set_dirty(&node, 0, 1);
    assert_eq!(dirty(&child), []);
    assert!(!b.recording(), "only the next generation counts");
    child.reclaim(&mut child.lock()).unwrap();
    b.reclaim(&mut b.lock()).unwrap();
    assert_eq!(dirty(&b), [0]);
    clean(&node);
}

/// One step of a life.
#[derive(Clone, Debug)]
enum Step {
    Write(u64),
    Create,
    EnableSuccessor,
    Reclaim,
    Abdicate,
    Enable,
    Disable,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..1000u64).prop_map(Step::Write),
        2 => Just(Step::Create),
        1 => Just(Step::EnableSuccessor),
        2 => Just(Step::Reclaim),
        2 => Just(Step::Abdicate),
        1 => Just(Step::Enable),
        1 => Just(Step::Disable),
    ]
}

/// What a bitmap is to be, in the plainest terms.
#[derive(Clone, Default)]
struct Model {
    units: BTreeSet<u64>,
    enabled: bool,
}

proptest! {
    #[test]
    fn any_life(steps in prop::collection::vec(step(), 0..60)) {
        let node = node();
        let mut b = bitmap(&node, "b");
        let mut model = Model { enabled: true, ..Model::default() };
        let mut child: Option<Model> = None;
        for step in steps {
            match step {
                Step::Write(unit) => {
                    set_dirty(&node, unit * UNIT + 17, 1);
                    let models = std::iter::once(&mut model).chain(&mut child);
                    for model in models.filter(|model| model.enabled) {
                        model.units.insert(unit);
                    }
                }
                Step::Create => {
                    prop_assert_eq!(b.create_successor().is_ok(), child.is_none());
                    if child.is_none() {
                        child = Some(Model { enabled: model.enabled, ..Model::default() });
                        model.enabled = false;
                    }
                }
                Step::EnableSuccessor => {
                    if let Some(child) = &mut child {
                        b.enable_successor(&b.lock());
                        child.enabled = true;
                    }
                }
                Step::Reclaim => {
                    prop_assert_eq!(b.reclaim(&mut b.lock()).is_ok(), child.is_some());
                    if let Some(child) = child.take() {
                        model.enabled = child.enabled;
                        model.units.extend(child.units);
                    }
                }
                Step::Abdicate => match (b.abdicate(), child.take()) {
                    (Ok(heir), Some(child)) => {
                        b = heir;
                        model = child;
                    }
                    (Err(_), None) => {}
                    (result, _) => prop_assert!(false, "abdicate gave {:?}", result),
                },
                Step::Enable => {
                    b.enable(&b.lock());
                    model.enabled = true;
                }
                Step::Disable => {
                    b.disable(&b.lock());
                    model.enabled = false;
                }
            }
            prop_assert_eq!(dirty(&b), model.units.iter().copied().collect::<Vec<_>>());
            prop_assert_eq!((b.enabled(), b.busy()), (model.enabled, child.is_some()));
            prop_assert!(b.name().as_deref() == Some(c"b"));
            if let (Some(child), Some(model)) = (b.successor(), &child) {
                prop_assert_eq!(dirty(&child), model.units.iter().copied().collect::<Vec<_>>());
                prop_assert_eq!(child.enabled(), model.enabled);
            }
            prop_assert_eq!(names(&node).len(), 1 + usize::from(child.is_some()));
        }
        if child.is_some() {
            b.reclaim(&mut b.lock()).unwrap();
        }
        clean(&node);
    }
}
