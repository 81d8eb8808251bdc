// SPDX-License-Identifier: GPL-2.0-or-later
//! Several threads on one node and on two: no write is lost, nobody waits for ever.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Barrier, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use qemu_dirty_bitmap::{Error, HBitmap, Node};

const UNIT: u64 = 512;
const UNITS: u64 = 200_000;
const WRITERS: u64 = 4;
const WRITES: u64 = 3_000;

/// The units that a writer writes: different ones for each, some of them several times.
fn units(writer: u64) -> impl Iterator<Item = u64> {
    (0..WRITES).map(move |n| (n * n * 7919 + writer * 104_729) % UNITS)
}

fn write(node: &Node, writer: u64) {
    for unit in units(writer) {
        node.record_write(unit * UNIT..unit * UNIT + 1).unwrap();
    }
}

fn all_units() -> BTreeSet<u64> {
    (0..WRITERS).flat_map(units).collect()
}

#[test]
fn writers_while_backups_come_and_go() {
    let node = Node::new(UNITS * UNIT).unwrap();
    let whole = node.create_bitmap("whole", UNIT).unwrap();
    node.create_bitmap("backup", UNIT).unwrap();
    let done = AtomicBool::new(false);
    // Each unit that a backup copied and was done with, and what is left in the end.
    let copied = thread::scope(|scope| {
        let backups = scope.spawn(|| {
            let mut copied = BTreeSet::new();
            let mut round = 0;
            let mut last = false;
            while !last {
                last = done.load(Ordering::Acquire);
                let frozen = node.find("backup").unwrap().freeze().unwrap();
                let units: Vec<_> = frozen.bitmap().iter().map(|offset| offset / UNIT).collect();
                round += 1;
                if round % 3 == 0 && !last {
                    drop(frozen);
                } else {
                    copied.extend(units);
                    let next = frozen.abdicate();
                    assert_eq!(next.name().as_deref(), Some("backup"));
                }
            }
            copied
        });
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                scope.spawn({
                    let node = &node;
                    move || write(node, writer)
                })
            })
            .collect();
        // Readers without the lock, and iterators with it for a moment each.
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                assert!(whole.count() <= UNITS * UNIT && whole.is_enabled());
                let offsets: Vec<_> = whole.iter().take(100).collect();
                assert!(offsets.is_sorted());
                assert!((2..=3).contains(&node.query().len()));
            }
        });
        for writer in writers {
            writer.join().unwrap();
        }
        done.store(true, Ordering::Release);
        backups.join().unwrap()
    });
    assert_eq!(copied, all_units());
    assert_eq!(whole.iter().map(|offset| offset / UNIT).collect::<BTreeSet<_>>(), copied);
    assert_eq!(node.find("backup").unwrap().count(), 0);
    assert_eq!(node.bitmaps().len(), 2);
}

#[test]
fn merges_in_opposite_directions() {
    let (one, two) = (Node::new(UNITS * UNIT).unwrap(), Node::new(UNITS * UNIT).unwrap());
    let (a, b) = (one.create_bitmap("b", UNIT).unwrap(), two.create_bitmap("b", UNIT).unwrap());
    thread::scope(|scope| {
        scope.spawn(|| write(&one, 0));
        scope.spawn(|| write(&two, 1));
        scope.spawn(|| (0..2_000).for_each(|_| a.merge(&b).unwrap()));
        scope.spawn(|| (0..2_000).for_each(|_| b.merge(&a).unwrap()));
    });
    a.merge(&b).unwrap();
    b.merge(&a).unwrap();
    assert_eq!(a.snapshot(), b.snapshot());
    assert_eq!(
        a.iter().map(|offset| offset / UNIT).collect::<BTreeSet<_>>(),
        (0..2).flat_map(units).collect()
    );
}

/// What QEMU's big lock keeps apart: here the API does.
#[test]
fn one_of_many_gets_it() {
    let node = Node::new(UNITS * UNIT).unwrap();
    for round in 0..1500 {
        let won = |results: Vec<Result<(), Error>>| {
            assert_eq!(
                results.iter().filter(|result| result.is_ok()).count(),
                1,
                "{round}: {results:?}"
            );
        };
        let all = |call: &(dyn Fn() -> Result<(), Error> + Sync)| {
            // Together, or they come one after the other.
            let barrier = Barrier::new(WRITERS as usize);
            let one = || {
                barrier.wait();
                call()
            };
            thread::scope(|scope| {
                let threads: Vec<_> = (0..WRITERS).map(|_| scope.spawn(one)).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            })
        };
        won(all(&|| node.create_bitmap("b", UNIT).map(drop)));
        let b = node.find("b").unwrap();
        // Whoever gets it keeps it until all have asked.
        let kept = Mutex::new(Vec::new());
        won(all(&|| b.freeze().map(|frozen| kept.lock().unwrap().push(frozen))));
        assert_eq!(node.query().len(), 2);
        kept.lock().unwrap().clear();
        let kept = Mutex::new(Vec::new());
        won(all(&|| b.claim().map(|claim| kept.lock().unwrap().push(claim))));
        kept.lock().unwrap().clear();
        won(all(&|| b.release()));
        assert!(node.query().is_empty());
    }
}

#[test]
fn writers_while_the_disk_is_resized() {
    let node = Node::new(UNITS * UNIT).unwrap();
    let b = node.create_bitmap("b", UNIT).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for unit in (0..50).flat_map(units) {
                match node.record_write(unit * UNIT..(unit + 1) * UNIT) {
                    Ok(()) | Err(Error::OutOfRange { .. }) => (),
                    Err(error) => panic!("{error}"),
                }
            }
        });
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                let made = node.create_anonymous_bitmap(UNIT).unwrap();
                assert!(made.iter().all(|offset| offset < UNITS * UNIT));
                made.release().unwrap();
            }
        });
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                for units in [UNITS / 2, 1, UNITS] {
                    node.resize(units * UNIT).unwrap();
                }
            }
        });
        writer.join().unwrap();
        done.store(true, Ordering::Release);
    });
    assert_eq!((b.size(), node.length()), (UNITS * UNIT, UNITS * UNIT));
}

/// Calls `look` again and again while another thread makes `changes` changes: so many that some are
/// seen half done, if they can be.
fn while_it_changes(changes: u32, mut change: impl FnMut() + Send, mut look: impl FnMut()) {
    thread::scope(|scope| {
        let changer = scope.spawn(|| (0..changes).for_each(|_| change()));
        while !changer.is_finished() {
            look();
        }
    });
}

#[test]
fn a_bitmap_that_is_frozen_and_thawed_records_all_the_time() {
    let disk = Node::new(1 << 20).unwrap();
    let bitmap = disk.create_bitmap("bitmap", 4096).unwrap();
    while_it_changes(
        100_000,
        || drop(bitmap.freeze().unwrap()),
        || assert!(bitmap.is_recording() && bitmap.info().recording),
    );
}

#[test]
fn what_is_told_of_a_bitmap_is_of_one_moment() {
    let disk = Node::new(1 << 20).unwrap();
    let bitmap = disk.create_bitmap("bitmap", 4096).unwrap();
    bitmap.set(0..1).unwrap();
    let mut other = HBitmap::new(1 << 20, 65536).unwrap();
    other.set(0..1).unwrap();
    while_it_changes(
        2_000_000,
        || bitmap.swap(&mut other).unwrap(),
        || {
            let info = bitmap.info();
            assert_eq!(info.count, info.granularity);
        },
    );
}

#[test]
fn a_successor_has_the_granularity_of_its_bitmap() {
    let disk = Node::new(1 << 20).unwrap();
    let bitmap = disk.create_bitmap("bitmap", 4096).unwrap();
    let mut other = HBitmap::new(1 << 20, 65536).unwrap();
    while_it_changes(
        100_000,
        // Refused while it is frozen.
        || drop(bitmap.swap(&mut other)),
        || {
            let frozen = bitmap.freeze().unwrap();
            let told = disk.query();
            let successor = told.iter().find(|info| info.name.is_none()).unwrap();
            assert_eq!(successor.granularity, frozen.bitmap().granularity());
        },
    );
}

/// A program that leaves its own garbage to crossbeam-epoch, where dropping it takes the lock.
#[test]
fn what_others_retire_is_not_dropped_under_the_lock() {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let disk = Node::new(1 << 20).unwrap();
        let bitmaps = ["a", "b"].map(|name| disk.create_bitmap(name, 4096).unwrap());
        let frozen = bitmaps[0].freeze().unwrap();
        crossbeam_epoch::pin().defer(move || drop(frozen));
        for _ in 0..10 {
            bitmaps[1].disable().unwrap();
            bitmaps[1].enable().unwrap();
        }
        sender.send(()).unwrap();
    });
    assert!(receiver.recv_timeout(Duration::from_secs(100)).is_ok(), "it waits for itself");
}
