// SPDX-License-Identifier: GPL-2.0-or-later
//! The scenes. Each is played again and again, in another order of steps each time.

use loom::thread::spawn;

use crate::filter_scenes as filter;
use crate::node::{Bitmap, Node, end};

/// A few threads that use the library.
pub struct Scene {
    pub name: &'static str,
    pub play: fn(),
}

pub const ALL: &[Scene] = &[
    Scene { name: "crossed-merges", play: crossed_merges },
    Scene { name: "crossed-merges-with-backup", play: crossed_merges_with_backup },
    Scene { name: "ring-of-merges", play: ring_of_merges },
    Scene { name: "merge-on-one-node", play: merge_on_one_node },
    Scene { name: "write-and-merge", play: write_and_merge },
    Scene { name: "write-and-clear", play: write_and_clear },
    Scene { name: "write-and-restore", play: write_and_restore },
    Scene { name: "write-and-reclaim", play: write_and_reclaim },
    Scene { name: "write-and-abdicate", play: write_and_abdicate },
    Scene { name: "write-and-release", play: write_and_release },
    Scene { name: "write-and-create", play: write_and_create },
    Scene { name: "query-and-abdicate", play: query_and_abdicate },
    Scene { name: "has-named-and-release", play: has_named_and_release },
    Scene { name: "walk-without-lock", play: walk_without_lock },
    Scene { name: "walk-and-merge", play: walk_and_merge },
    Scene { name: "write-merge-and-clear", play: write_merge_and_clear },
    Scene { name: "write-freeze-and-query", play: write_freeze_and_query },
    Scene { name: "read-without-lock", play: read_without_lock },
    Scene { name: "read-content-and-set", play: read_content_and_set },
    Scene { name: "read-content-and-merge", play: read_content_and_merge },
    Scene { name: "filter-two-writers", play: filter::two_writers },
    Scene { name: "filter-reset", play: filter::reset },
    Scene { name: "filter-reset-of-another", play: filter::reset_of_another },
    Scene { name: "filter-clear", play: filter::clear },
    Scene { name: "filter-clear-and-write", play: filter::clear_and_write },
    Scene { name: "filter-clear-and-keep", play: filter::clear_and_keep },
    Scene { name: "filter-restore", play: filter::restore },
    Scene { name: "filter-load-zeroes", play: filter::load_zeroes },
    Scene { name: "filter-load", play: filter::load },
    Scene { name: "filter-enable", play: filter::enable },
    Scene { name: "filter-enable-finer", play: filter::enable_finer },
    Scene { name: "filter-disable", play: filter::disable },
    Scene { name: "filter-create", play: filter::create },
    Scene { name: "filter-create-first", play: filter::create_first },
    Scene { name: "filter-create-finer", play: filter::create_finer },
    Scene { name: "filter-create-second", play: filter::create_second },
    Scene { name: "filter-release", play: filter::release },
    Scene { name: "filter-release-all", play: filter::release_all },
    Scene { name: "filter-freeze", play: filter::freeze },
    Scene { name: "filter-reclaim", play: filter::reclaim },
    Scene { name: "filter-merge", play: filter::merge },
    Scene { name: "filter-merge-and-keep", play: filter::merge_and_keep },
    Scene { name: "filter-truncate", play: filter::truncate },
];

/// Two nodes with a bitmap each; the second one's has unit 1.
fn two() -> ([Node; 2], [Bitmap; 2]) {
    let nodes = Node::several::<2>();
    let bitmaps = [nodes[0].bitmap(c"a"), nodes[1].bitmap(c"b")];
    bitmaps[1].set(1);
    (nodes, bitmaps)
}

/// The deadlock of QEMU's C.
fn crossed_merges() {
    let (nodes, bitmaps) = two();
    let [a, b] = bitmaps;
    let other = spawn(move || {
        assert!(a.merge(b));
        assert!(b.merge(a));
    });
    assert!(b.merge(a));
    assert!(a.merge(b));
    other.join().unwrap();
    assert_eq!([a.walk(), b.walk()], [[1], [1]]);
    end(&nodes, &bitmaps);
}

fn crossed_merges_with_backup() {
    let (nodes, bitmaps) = two();
    let [a, b] = bitmaps;
    let other = spawn(move || {
        let old = a.merge_and_keep(b);
        assert!(!old.has(1));
        old.free();
    });
    let old = b.merge_and_keep(a);
    assert!(old.has(1));
    old.free();
    other.join().unwrap();
    assert_eq!([a.walk(), b.walk()], [[1], [1]]);
    end(&nodes, &bitmaps);
}

/// Three nodes, each thread with another pair of them.
fn ring_of_merges() {
    let nodes = Node::several::<3>();
    let bitmaps = [nodes[0].bitmap(c"a"), nodes[1].bitmap(c"b"), nodes[2].bitmap(c"c")];
    let [a, b, c] = bitmaps;
    c.set(2);
    let threads = [spawn(move || assert!(a.merge(b))), spawn(move || assert!(b.merge(c)))];
    assert!(c.merge(a));
    for thread in threads {
        thread.join().unwrap();
    }
    assert!(b.has(2) && c.has(2));
    end(&nodes, &bitmaps);
}

/// One lock for both bitmaps.
fn merge_on_one_node() {
    let node = Node::new();
    let bitmaps = [node.bitmap(c"a"), node.bitmap(c"b")];
    let [a, b] = bitmaps;
    b.set(1);
    let other = spawn(move || assert!(a.merge(b)));
    assert!(b.merge(a));
    assert!(b.merge(b));
    other.join().unwrap();
    assert_eq!([a.walk(), b.walk()], [[1], [1]]);
    end(&[node], &bitmaps);
}

/// A write to the destination's node and one to the source's.
fn write_and_merge() {
    let (nodes, bitmaps) = two();
    let [a, b] = bitmaps;
    let writer = spawn(move || {
        nodes[0].write(0);
        nodes[1].write(3);
    });
    a.merge_and_keep(b).free();
    writer.join().unwrap();
    assert!(a.has(0) && a.has(1));
    assert_eq!(b.walk(), [1, 3]);
    end(&nodes, &bitmaps);
}

/// What was written is in the bitmap, or in what was taken out of it.
fn write_and_clear() {
    let node = Node::new();
    let bitmap = node.bitmap(c"a");
    let writer = spawn(move || {
        node.write(0);
        node.write(2);
    });
    let old = bitmap.clear();
    writer.join().unwrap();
    for unit in [0, 2] {
        assert!(old.has(unit) != bitmap.has(unit));
    }
    // The first write did not come later than the second one.
    assert!(old.has(0) || !old.has(2));
    assert_eq!(bitmap.count(), bitmap.walk().len() as i64);
    old.free();
    end(&[node], &[bitmap]);
}

/// A transaction that is undone while a guest writes.
fn write_and_restore() {
    let node = Node::new();
    let bitmap = node.bitmap(c"a");
    bitmap.set(1);
    let writer = spawn(move || node.write(0));
    bitmap.restore(bitmap.clear());
    writer.join().unwrap();
    assert!(bitmap.has(1) && !bitmap.has(2));
    assert_eq!(bitmap.count(), bitmap.walk().len() as i64);
    end(&[node], &[bitmap]);
}

/// A backup that fails.
fn write_and_reclaim() {
    let node = Node::new();
    let bitmap = node.bitmap(c"a");
    let writer = spawn(move || {
        node.write(0);
        node.write(2);
    });
    bitmap.freeze();
    bitmap.reclaim();
    writer.join().unwrap();
    assert_eq!(bitmap.walk(), [0, 2]);
    end(&[node], &[bitmap]);
}

/// A backup that succeeds: each write is in what it saved, or in the successor, and not in both.
fn write_and_abdicate() {
    let node = Node::new();
    let bitmap = node.bitmap(c"a");
    let writer = spawn(move || node.write(0));
    bitmap.freeze();
    let saved = bitmap.has(0);
    let successor = bitmap.abdicate();
    writer.join().unwrap();
    assert!(saved != successor.has(0));
    assert_eq!(successor.name(), Some(c"a"));
    end(&[node], &[successor]);
}

/// A bitmap goes while a guest writes to its node.
fn write_and_release() {
    let node = Node::new();
    let (first, second) = (node.bitmap(c"a"), node.bitmap(c"b"));
    let writer = spawn(move || {
        node.write(0);
        node.write(1);
    });
    second.release();
    writer.join().unwrap();
    assert_eq!(first.walk(), [0, 1]);
    end(&[node], &[first]);
}

/// A bitmap comes while a guest writes to its node, which looks for one without the lock.
fn write_and_create() {
    let node = Node::new();
    let writer = spawn(move || {
        node.write(0);
        node.write(1);
    });
    let bitmap = node.bitmap(c"a");
    writer.join().unwrap();
    assert!(bitmap.has(1) || !bitmap.has(0));
    node.write(2);
    assert!(bitmap.has(2));
    end(&[node], &[bitmap]);
}

/// A query sees the name once, whoever has it.
fn query_and_abdicate() {
    let node = Node::new();
    let bitmap = node.bitmap(c"a");
    let reader = spawn(move || assert_eq!(node.named(), 1));
    bitmap.freeze();
    let successor = bitmap.abdicate();
    reader.join().unwrap();
    end(&[node], &[successor]);
}

/// A walk through the list, by a thread that does not hold the big lock, while a bitmap goes.
fn has_named_and_release() {
    let node = Node::new();
    let (first, second) = (node.bitmap(c"a"), node.bitmap(c"b"));
    let reader = spawn(move || {
        node.has_named();
    });
    second.release();
    first.release();
    reader.join().unwrap();
    assert!(!node.has_named());
    end(&[node], &[]);
}

/// A walk through a list that grows: what it finds is whole.
fn walk_without_lock() {
    let node = Node::new();
    let first = node.bitmap(c"a");
    let reader = spawn(move || assert!([1, 2].contains(&node.walk_list())));
    let second = node.bitmap(c"b");
    reader.join().unwrap();
    end(&[node], &[first, second]);
}

/// An iterator, while the content is replaced.
fn walk_and_merge() {
    let (nodes, bitmaps) = two();
    let [a, b] = bitmaps;
    a.set(0);
    let walker = spawn(move || {
        let found = a.walk();
        assert!(found == [0] || found == [0, 1]);
    });
    a.merge_and_keep(b).free();
    walker.join().unwrap();
    end(&nodes, &bitmaps);
}

/// Three threads and both nodes: what was written is somewhere.
fn write_merge_and_clear() {
    let (nodes, bitmaps) = two();
    let [a, b] = bitmaps;
    let threads = [spawn(move || nodes[0].write(0)), spawn(move || assert!(b.merge(a)))];
    let old = a.clear();
    for thread in threads {
        thread.join().unwrap();
    }
    assert!(old.has(0) != a.has(0));
    assert!(b.has(1) && !a.has(1));
    old.free();
    end(&nodes, &bitmaps);
}

/// Three threads: a guest, a backup that succeeds, and somebody who looks.
fn write_freeze_and_query() {
    let node = Node::new();
    let bitmap = node.bitmap(c"a");
    let threads = [spawn(move || node.write(0)), spawn(move || assert_eq!(node.named(), 1))];
    bitmap.freeze();
    let saved = bitmap.has(0);
    let successor = bitmap.abdicate();
    for thread in threads {
        thread.join().unwrap();
    }
    assert!(saved != successor.has(0));
    end(&[node], &[successor]);
}

/// All that is read without the lock, while all of it changes.
fn read_without_lock() {
    let node = Node::new();
    let bitmap = node.bitmap(c"a");
    let reader = spawn(move || {
        let count = bitmap.count();
        assert!((0..=2).contains(&count));
        bitmap.read_flags();
        assert_eq!(bitmap.name(), Some(c"a"));
        bitmap.has_successor();
    });
    node.write(1);
    bitmap.freeze();
    node.write(2);
    bitmap.reclaim();
    reader.join().unwrap();
    assert_eq!(bitmap.walk(), [1, 2]);
    end(&[node], &[bitmap]);
}

/// QEMU's block-copy.c reads under a lock of its own, and guests write.
fn read_content_and_set() {
    let node = Node::new();
    let bitmap = node.bitmap(c"a");
    let reader = spawn(move || {
        bitmap.read_content();
    });
    bitmap.set(1);
    bitmap.reset(1);
    reader.join().unwrap();
    bitmap.read_content_locked();
    end(&[node], &[bitmap]);
}

/// The same, while backup.c empties the bitmap and fills it again; another reader holds the lock.
fn read_content_and_merge() {
    let node = Node::new();
    let (bitmap, source) = (node.bitmap(c"a"), node.bitmap(c"b"));
    source.set(1);
    let reader = spawn(move || bitmap.read_content_locked());
    bitmap.clear().free();
    assert!(bitmap.merge(source));
    bitmap.read_content();
    reader.join().unwrap();
    end(&[node], &[bitmap, source]);
}
