// SPDX-License-Identifier: GPL-2.0-or-later
//! Scenes of the write filter: a guest writes to a unit that is in the filter, and so takes no
//! lock, while somebody else changes a bitmap.

use std::ffi::CStr;
use std::sync::Arc;

use loom::sync::atomic::{AtomicU32, Ordering};
use loom::thread::spawn;

use crate::node::{Bitmap, Node, end};

/// A node with two enabled bitmaps of different granularity, and unit 0 in its filter.
fn written() -> (Node, Bitmap, Bitmap) {
    let node = Node::new();
    let (a, b) = (node.bitmap(c"a"), node.coarse_bitmap(c"b"));
    hot(node, 0);
    (node, a, b)
}

/// Adds a unit to the filter, by a second write.
fn hot(node: Node, unit: i64) {
    node.write(unit);
    node.write(unit);
}

/// A guest writes unit 0 while `change` is made, after which a backup copies what the disk has
/// then. What was not copied is in the bitmap that `change` returns: it is enabled from then on,
/// and may have been cleaned. So are later writes.
fn with_guest(node: Node, change: impl FnOnce() -> Bitmap) -> Bitmap {
    let disk = Arc::new(AtomicU32::new(0));
    let guest = {
        let disk = Arc::clone(&disk);
        spawn(move || {
            disk.store(1, Ordering::Relaxed);
            node.write(0);
        })
    };
    let bitmap = change();
    let copied = disk.load(Ordering::Relaxed) == 1;
    guest.join().unwrap();
    assert!(bitmap.has(0) || copied, "a write is lost");
    for unit in [1, 0, 3] {
        hot(node, unit);
        assert!(bitmap.has(unit), "a later write is lost");
    }
    bitmap
}

/// [`with_guest`], with the two bitmaps of [`written`]; `change` is made to the first one, and
/// leaves both there.
fn guest_and(change: impl FnOnce(Node, Bitmap)) {
    let (node, a, b) = written();
    with_guest(node, || {
        change(node, a);
        a
    });
    assert!(b.has(0) && b.has(2));
    end(&[node], &[a, b]);
}

/// One unit is in the filter, another comes into it.
pub fn two_writers() {
    let (node, a, b) = written();
    let other = spawn(move || {
        hot(node, 1);
        node.write(0);
    });
    node.write(1);
    assert!(a.has(1) && b.has(1));
    node.write(2);
    other.join().unwrap();
    assert_eq!(a.walk(), [0, 1, 2]);
    assert_eq!(b.count(), 4);
    end(&[node], &[a, b]);
}

pub fn reset() {
    guest_and(|_, a| a.reset(0));
}

/// What is cleaned is not what is written.
pub fn reset_of_another() {
    let (node, a, b) = written();
    hot(node, 1);
    let guest = spawn(move || node.write(0));
    a.reset(1);
    guest.join().unwrap();
    assert_eq!(a.walk(), [0]);
    node.write(1);
    assert_eq!(a.walk(), [0, 1]);
    end(&[node], &[a, b]);
}

pub fn clear() {
    guest_and(|_, a| a.clear_in_place());
}

/// The filter is in use again, for another unit, when the guest looks.
pub fn clear_and_write() {
    guest_and(|node, a| {
        a.clear_in_place();
        hot(node, 1);
    });
}

pub fn clear_and_keep() {
    guest_and(|_, a| a.clear().free());
}

/// A content that has less.
pub fn restore() {
    let node = Node::new();
    let (a, b) = (node.bitmap(c"a"), node.coarse_bitmap(c"b"));
    let nothing = a.clear();
    hot(node, 0);
    with_guest(node, || {
        a.restore(nothing);
        a
    });
    end(&[node], &[a, b]);
}

pub fn load_zeroes() {
    guest_and(|_, a| a.load_zeroes());
}

pub fn load() {
    guest_and(|_, a| a.load_nothing());
}

/// The third of three bitmaps is enabled; `kind` makes the others.
fn enables(kind: fn(Node, &'static CStr) -> Bitmap) {
    let node = Node::new();
    let (a, b, c) = (kind(node, c"a"), kind(node, c"b"), node.bitmap(c"c"));
    c.disable();
    hot(node, 0);
    with_guest(node, || {
        c.enable();
        c
    });
    assert!(a.has(0) && b.has(0));
    end(&[node], &[a, b, c]);
}

pub fn enable() {
    enables(Node::bitmap);
}

/// Another filter comes with it.
pub fn enable_finer() {
    enables(Node::coarse_bitmap);
}

/// The other bitmap goes on.
pub fn disable() {
    let (node, a, b) = written();
    with_guest(node, || {
        b.disable();
        a
    });
    assert!(b.has(0) && !b.has(3));
    end(&[node], &[a, b]);
}

pub fn create() {
    let (node, a, b) = written();
    let c = with_guest(node, || node.bitmap(c"c"));
    end(&[node], &[a, b, c]);
}

/// The node had none.
pub fn create_first() {
    let node = Node::new();
    let a = with_guest(node, || node.bitmap(c"a"));
    end(&[node], &[a]);
}

/// Another filter comes with it.
pub fn create_finer() {
    let node = Node::new();
    let (a, b) = (node.coarse_bitmap(c"a"), node.coarse_bitmap(c"b"));
    hot(node, 0);
    let c = with_guest(node, || node.bitmap(c"c"));
    end(&[node], &[a, b, c]);
}

/// The filter comes with it.
pub fn create_second() {
    let node = Node::new();
    let a = node.bitmap(c"a");
    node.write(0);
    let b = with_guest(node, || node.bitmap(c"b"));
    assert!(a.has(0) && a.has(3));
    end(&[node], &[a, b]);
}

/// The filter goes with it.
pub fn release() {
    let (node, a, b) = written();
    with_guest(node, || {
        b.release();
        a
    });
    end(&[node], &[a]);
}

/// All that a node has for its bitmaps goes.
pub fn release_all() {
    let (node, a, b) = written();
    let guest = spawn(move || {
        node.write(0);
        node.write(1);
    });
    a.release();
    b.release();
    guest.join().unwrap();
    end(&[node], &[]);
}

/// A backup that succeeds: each write is in what it saved, or copied, or in the successor. There is
/// a filter all the time.
pub fn freeze() {
    let node = Node::new();
    let (a, b, c) = (node.coarse_bitmap(c"a"), node.bitmap(c"b"), node.bitmap(c"c"));
    hot(node, 0);
    let disk = Arc::new(AtomicU32::new(0));
    let guest = {
        let disk = Arc::clone(&disk);
        spawn(move || {
            disk.store(1, Ordering::Relaxed);
            node.write(0);
        })
    };
    a.freeze();
    let copied = disk.load(Ordering::Relaxed) == 1;
    guest.join().unwrap();
    node.write(3);
    let successor = a.abdicate();
    assert!(successor.has(0) || copied, "a write is lost");
    assert!(successor.has(3) && b.has(3) && c.has(3), "a later write is lost");
    end(&[node], &[successor, b, c]);
}

/// A backup that fails.
pub fn reclaim() {
    let (node, a, b) = written();
    a.freeze();
    hot(node, 2);
    let guest = spawn(move || {
        node.write(2);
        node.write(1);
    });
    a.reclaim();
    guest.join().unwrap();
    assert_eq!(a.walk(), [0, 1, 2]);
    node.write(3);
    assert_eq!(a.walk(), [0, 1, 2, 3]);
    end(&[node], &[a, b]);
}

/// What a merge adds is not in the filter, and what is there stays.
fn merges(merge: fn(Bitmap, Bitmap)) {
    let (node, a, b) = written();
    let source = node.bitmap(c"source");
    source.disable();
    source.set(3);
    let guest = spawn(move || {
        node.write(0);
        node.write(1);
    });
    merge(a, source);
    guest.join().unwrap();
    assert_eq!(a.walk(), [0, 1, 3]);
    assert!(!b.has(3));
    node.write(3);
    assert!(b.has(3), "a later write is lost");
    end(&[node], &[a, b, source]);
}

pub fn merge() {
    merges(|a, source| assert!(a.merge(source)));
}

pub fn merge_and_keep() {
    merges(|a, source| a.merge_and_keep(source).free());
}

/// The disk loses its second half, and gets it back clean.
pub fn truncate() {
    let (node, a, b) = written();
    hot(node, 3);
    with_guest(node, || {
        node.truncate(2);
        node.truncate(4);
        a
    });
    assert!(b.has(2) && !a.has(2));
    end(&[node], &[a, b]);
}
