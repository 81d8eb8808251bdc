// SPDX-License-Identifier: GPL-2.0-or-later
//! The longest time that a guest's write waits while another thread works on a big bitmap of the
//! same node.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::api::Api;
use crate::node::Node;
use crate::pattern::{Density, bytes};
use crate::random::Random;
use crate::rows::{BITS, DISK};

/// What the other thread does.
struct Work {
    id: &'static str,
    what: &'static str,
    length: u64,
    prepare: fn(&mut Node),
    run: fn(&Node),
}

/// The longest waits in nanoseconds: medians over some repetitions.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WaitResult {
    /// Stable.
    pub id: String,
    /// For a reader.
    pub what: String,
    /// QEMU's C.
    pub qemu_ns: f64,
    /// This library.
    pub ours_ns: f64,
}

// Bitmap 0 records the writes; 1 and 2 are disabled and worked on.
fn work() -> Vec<Work> {
    const PIB: u64 = 1 << 50;
    fn dense(node: &mut Node) {
        node.load(1, &bytes(BITS, Density::Percent40, 1), DISK);
        node.load(2, &bytes(BITS, Density::Percent40, 2), DISK);
    }
    vec![
        Work {
            id: "nothing",
            what: "nothing (how long the machine itself holds a writer up)",
            length: DISK,
            prepare: |_| (),
            run: |_| thread::sleep(Duration::from_millis(20)),
        },
        Work {
            id: "merge-16t",
            what: "merge, 16 TiB, 40 % set",
            length: DISK,
            prepare: dense,
            run: |node| node.merge(1, 2),
        },
        Work {
            id: "clear-16t",
            what: "clear, 16 TiB, 40 % set",
            length: DISK,
            prepare: dense,
            run: |node| node.clear(1),
        },
        Work {
            id: "clear-1p",
            what: "clear, 1 PiB, 1,000 sets",
            length: PIB,
            prepare: |node| {
                let mut random = Random::new(9);
                (0..1000).for_each(|_| node.set(1, random.below(PIB >> 16) << 16, 1 << 16));
            },
            run: |node| node.clear(1),
        },
        Work {
            id: "truncate-16t",
            what: "truncate to 17 TiB, three bitmaps, two of them 40 % set",
            length: DISK,
            prepare: dense,
            run: |node| node.truncate(DISK + (1 << 40)),
        },
    ]
}

/// Writes until told to stop; the longest time of one write.
fn write_until(node: &Node, stop: &AtomicBool) -> Duration {
    let mut random = Random::new(1);
    let mut longest = Duration::ZERO;
    while !stop.load(Ordering::Relaxed) {
        let offset = random.below(DISK >> 12) << 12;
        let start = Instant::now();
        node.write(offset, 1 << 12);
        longest = longest.max(start.elapsed());
    }
    longest
}

fn longest_wait(api: &'static Api, work: &Work) -> f64 {
    let mut node = Node::new(api, work.length, 3);
    node.disable(1);
    node.disable(2);
    (work.prepare)(&mut node);
    let stop = AtomicBool::new(false);
    let longest = thread::scope(|scope| {
        let writer = scope.spawn(|| write_until(&node, &stop));
        thread::sleep(Duration::from_millis(20));
        (work.run)(&node);
        thread::sleep(Duration::from_millis(5));
        stop.store(true, Ordering::Relaxed);
        writer.join().expect("the writer does not panic")
    });
    longest.as_nanos() as f64
}

/// Measures every kind of work on both implementations in turn.
pub fn measure(qemu: &'static Api, ours: &'static Api) -> Vec<WaitResult> {
    const REPETITIONS: usize = 5;
    let median = |mut waits: Vec<f64>| {
        waits.sort_by(f64::total_cmp);
        waits[waits.len() / 2]
    };
    work()
        .iter()
        .map(|work| {
            let (mut c, mut rust) = (Vec::new(), Vec::new());
            for _ in 0..REPETITIONS {
                c.push(longest_wait(qemu, work));
                rust.push(longest_wait(ours, work));
            }
            WaitResult {
                id: work.id.into(),
                what: work.what.into(),
                qemu_ns: median(c),
                ours_ns: median(rust),
            }
        })
        .collect()
}
