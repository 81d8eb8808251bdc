// SPDX-License-Identifier: GPL-2.0-or-later
//! `bdrv_set_dirty`: the node's lock and all of its bitmaps, alone and with two threads that contend for the lock.

use std::thread;

use crate::case::{c_only, case, Row, Table};
use crate::node::Node;
use crate::random::Random;

const DISK: u64 = 1 << 40;
const MANY: u64 = 1 << 18;

fn writes(node: &Node, seed: u64) {
    let mut random = Random::new(seed);
    (0..MANY).for_each(|_| node.write(random.below(DISK >> 12) << 12, 1 << 12));
}

fn set_dirty(bitmaps: usize, threads: u64) -> Row {
    let make = c_only(move |api| {
        case(
            Node::new(api, DISK, bitmaps),
            move |node| (0..bitmaps).for_each(|bitmap| node.clear(bitmap)),
            move |node| {
                if threads == 1 {
                    writes(node, 0);
                } else {
                    let node = &*node;
                    thread::scope(|scope| (0..threads).for_each(|seed| drop(scope.spawn(move || writes(node, seed)))));
                }
                0
            },
            move |node| node.count(bitmaps - 1),
        )
    });
    let who = if threads == 1 { "alone".to_string() } else { format!("{threads} threads") };
    let what = format!("bdrv_set_dirty, 4 KiB random, {bitmaps} bitmaps, {who}");
    Row::new(&format!("node/set-dirty-{bitmaps}-{threads}t"), &what, MANY * threads, 1.0, make).table(Table::Node)
}

pub(super) fn rows() -> Vec<Row> {
    [1, 4, 16].into_iter().flat_map(|bitmaps| [set_dirty(bitmaps, 1), set_dirty(bitmaps, 2)]).collect()
}
