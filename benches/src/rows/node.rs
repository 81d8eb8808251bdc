// SPDX-License-Identifier: GPL-2.0-or-later
//! A guest's write, as QEMU's block/io.c makes it: `bdrv_has_readonly_bitmaps` and
//! `bdrv_set_dirty`, for a node with some bitmaps of mixed granularity, from one thread or two.

use std::thread;

use crate::case::{Row, Table, c_only, case};
use crate::node::Node;
use crate::random::Random;

const DISK: u64 = 1 << 40;
const BLOCK: u64 = 1 << 12;
/// Writes of one thread in a run.
const WRITES: u64 = 1 << 16;
/// Hot blocks of one thread.
const HOT: u64 = 1 << 12;

/// Which blocks are written.
#[derive(Clone, Copy, PartialEq)]
enum Blocks {
    /// The same few again and again.
    Hot,
    /// Any, each for the first time.
    First,
    /// Any, and not for the first time.
    Again,
}

impl Blocks {
    fn write(self, node: &Node, thread: u64) {
        let mut random = Random::new(thread);
        for write in 0..WRITES {
            if self == Blocks::Hot && write % HOT == 0 {
                random = Random::new(thread);
            }
            node.guest_write(random.below(DISK / BLOCK) * BLOCK, BLOCK);
        }
    }

    fn id(self) -> &'static str {
        match self {
            Blocks::Hot => "hot",
            Blocks::First => "first",
            Blocks::Again => "again",
        }
    }

    fn what(self) -> &'static str {
        match self {
            Blocks::Hot => "4,096 hot blocks",
            Blocks::First => "random blocks, first write",
            Blocks::Again => "random blocks, written before",
        }
    }

    /// How many times faster than QEMU's C it shall be.
    fn target(self, bitmaps: usize, threads: u64) -> f64 {
        match (self, bitmaps, threads) {
            (Blocks::Hot, 1, 1) => 1.5,
            (Blocks::Hot, 16, 1) => 25.0,
            (Blocks::Hot, 50, 1) => 100.0,
            (Blocks::Hot, 50, _) => 200.0,
            _ => 1.0,
        }
    }
}

fn guest_writes(blocks: Blocks, bitmaps: usize, threads: u64) -> Row {
    let make = c_only(move |api| {
        let mut written = false;
        case(
            Node::mixed(api, DISK, bitmaps),
            move |node| match blocks {
                Blocks::First => (0..bitmaps).for_each(|bitmap| node.clear(bitmap)),
                Blocks::Hot | Blocks::Again if !written => {
                    (0..threads).for_each(|thread| (0..2).for_each(|_| blocks.write(node, thread)));
                    written = true;
                }
                _ => (),
            },
            move |node| {
                let node = &*node;
                if threads == 1 {
                    blocks.write(node, 0);
                } else {
                    thread::scope(|scope| {
                        (0..threads).for_each(|thread| {
                            drop(scope.spawn(move || blocks.write(node, thread)))
                        });
                    });
                }
                0
            },
            move |node| node.count(bitmaps - 1),
        )
    });
    let plural = if bitmaps == 1 { "" } else { "s" };
    let who = if threads == 1 { "one thread".to_string() } else { format!("{threads} threads") };
    let what = format!("guest's write, {}, {bitmaps} bitmap{plural}, {who}", blocks.what());
    let id = format!("node/write-{}-{bitmaps}-{threads}t", blocks.id());
    Row::new(&id, &what, WRITES * threads, blocks.target(bitmaps, threads), make).table(Table::Node)
}

pub(super) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for blocks in [Blocks::Hot, Blocks::First, Blocks::Again] {
        for bitmaps in [1, 4, 16, 50] {
            rows.extend([1, 2].map(|threads| guest_writes(blocks, bitmaps, threads)));
        }
    }
    rows
}
