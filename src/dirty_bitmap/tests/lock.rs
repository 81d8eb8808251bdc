// SPDX-License-Identifier: GPL-2.0-or-later
//! The lock of a node: who holds it for a C caller, and the order of two.

use std::thread;
use std::time::Duration;

use super::{LONG, WHILE, bitmap, clean, ends_within, node};
use crate::dirty_bitmap::lock::{held_by_caller, lock_for_caller, lock_pair, unlock_for_caller};
use crate::dirty_bitmap::lock_node;
use crate::host::{BlockDriverState, NodeHandle};

#[test]
fn a_c_caller_holds_the_lock_in_its_own_thread_alone() {
    let node = node();
    let bitmap = bitmap(&node, "b");
    for _ in 0..2 {
        assert!(!held_by_caller(&bitmap));
        lock_for_caller(&bitmap);
        assert!(held_by_caller(&bitmap));
        thread::scope(|scope| {
            assert!(!scope.spawn(|| held_by_caller(&bitmap)).join().unwrap());
            let waits = scope.spawn(|| drop(lock_node(&node)));
            thread::sleep(WHILE);
            assert!(!waits.is_finished(), "the lock is free");
            unlock_for_caller(&bitmap);
            waits.join().unwrap();
        });
    }
    clean(&node);
}

/// Whether a thread that takes the locks of both nodes, and has to wait for `held`, leaves the
/// other one free meanwhile.
fn is_free(limit: Duration, held: &NodeHandle, other: &NodeHandle, pair: [&NodeHandle; 2]) -> bool {
    thread::scope(|scope| {
        let guard = lock_node(held);
        let both = scope.spawn(|| drop(lock_pair(pair[0], pair[1])));
        thread::sleep(WHILE);
        assert!(!both.is_finished(), "a lock is held twice");
        ends_within(limit, guard, || drop(lock_node(other)))
    })
}

#[test]
fn two_locks_are_taken_in_the_order_of_addresses() {
    let mut nodes = [node(), node()];
    nodes.sort_by_key(|node| std::ptr::from_ref::<BlockDriverState>(node).addr());
    let [low, high] = &nodes;
    for pair in [[low, high], [high, low]] {
        assert!(is_free(LONG, low, high, pair), "the higher lock is taken first");
        assert!(!is_free(WHILE, high, low, pair), "the lower lock is not taken first");
    }
}
