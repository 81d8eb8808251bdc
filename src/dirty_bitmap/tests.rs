// SPDX-License-Identifier: GPL-2.0-or-later
//! Tests of the state machine, and what several of them need.

mod lock;
mod merge;
mod serialize;
mod states;
mod successor;
mod write_filter;

use std::ffi::{CStr, CString};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use super::{BdrvDirtyBitmap, ListAccess, lock_node, release_named};
use crate::host::{BlockDriverState, NodeHandle};

/// The granularity of bitmaps in these tests, in bytes.
const UNIT: u64 = 4096;
/// The length of nodes in these tests, in bytes: not a multiple of the granularity.
const LENGTH: i64 = 1000 * UNIT as i64 + 100;

/// Time for a thread to come to where it waits. Too little hides a fault, and shows none.
const WHILE: Duration = Duration::from_millis(200);
/// Time for a thread that need not wait, on a busy machine.
const LONG: Duration = Duration::from_secs(10);

/// A node of the usual length.
fn node() -> NodeHandle {
    BlockDriverState::new(LENGTH, 0, Some(c"node"))
}

/// A bitmap with a name, of the usual granularity.
fn bitmap(node: &BlockDriverState, name: &str) -> Arc<BdrvDirtyBitmap> {
    let name = CString::new(name).unwrap();
    BdrvDirtyBitmap::create(node, UNIT as u32, Some(&name)).unwrap()
}

/// Marks units of the usual granularity dirty.
fn set(bitmap: &BdrvDirtyBitmap, units: &[u64]) {
    let mut locked = bitmap.lock();
    for unit in units {
        bitmap.set(&mut locked, unit * UNIT, 1);
    }
}

/// The dirty units, of the usual granularity.
fn dirty(bitmap: &BdrvDirtyBitmap) -> Vec<u64> {
    let locked = bitmap.lock();
    let size = bitmap.size() as u64;
    let mut units = Vec::new();
    let mut offset = 0;
    while let Some((start, count)) = bitmap.next_dirty_area(&locked, offset, size, u64::MAX >> 1) {
        units.extend(start / UNIT..(start + count).div_ceil(UNIT));
        offset = start + count;
    }
    assert_eq!(
        bitmap.dirty_count(),
        units.len() as u64 * UNIT,
        "the count that readers without the lock see"
    );
    units
}

/// The names of a node's bitmaps, in the order of its list; "" for none.
fn names(node: &BlockDriverState) -> Vec<String> {
    let _guard = lock_node(node);
    // SAFETY: the guard keeps the list as it is.
    let list = unsafe { ListAccess::assume(node) };
    list.iter().map(|bitmap| bitmap.name().map_or(String::new(), |name| text(&name))).collect()
}

/// A C string as a Rust one.
fn text(string: &CStr) -> String {
    string.to_string_lossy().into_owned()
}

/// Releases the bitmaps that have names, so that the node goes.
fn clean(node: &BlockDriverState) {
    drop(release_named(&mut lock_node(node)));
}

/// Whether a call in a thread of its own ends within `limit` while `held`, a guard, lives.
fn ends_within<G>(limit: Duration, held: G, call: impl FnOnce() + Send) -> bool {
    thread::scope(|scope| {
        let (sender, receiver) = channel();
        scope.spawn(move || {
            call();
            // Nobody may wait for it any more.
            let _ = sender.send(());
        });
        let ends = receiver.recv_timeout(limit).is_ok();
        drop(held);
        ends
    })
}

/// The message of a call that must panic.
fn panic_of<R>(call: impl FnOnce() -> R) -> String {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(_) => panic!("the call was expected to panic"),
        Err(payload) => match payload.downcast::<String>() {
            Ok(message) => *message,
            Err(payload) => (*payload.downcast::<&str>().unwrap()).to_string(),
        },
    }
}

/// Checks that a call panics with QEMU's assertion.
#[track_caller]
fn asserts<R>(function: &str, condition: &str, call: impl FnOnce() -> R) {
    assert_eq!(panic_of(call), format!("{function}: Assertion `{condition}' failed."));
}
