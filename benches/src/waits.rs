// SPDX-License-Identifier: GPL-2.0-or-later
//! How long a guest's writes take while another thread works on a big bitmap of the same node.
//!
//! Writes are due at a steady rate, and a write's time counts from when it was due. A guest that
//! stopped writing while it waits would make one long wait of what many of its users feel.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::api::Api;
use crate::disks::{BITS, DISK};
use crate::histogram::Histogram;
use crate::node::Node;
use crate::pattern::{Density, bytes};
use crate::random::Random;

/// What the other thread does.
struct Work {
    id: &'static str,
    what: &'static str,
    length: u64,
    prepare: fn(&mut Node),
    run: fn(&Node),
}

/// The times of one implementation's writes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Waits {
    /// The longest in nanoseconds: the median of some repetitions.
    pub longest_ns: f64,
    /// All of them, of all repetitions.
    pub histogram: Histogram,
}

/// A kind of work's result.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WaitResult {
    /// Stable.
    pub id: String,
    /// For a reader.
    pub what: String,
    /// QEMU's C.
    pub qemu: Waits,
    /// This library.
    pub ours: Waits,
}

/// The time between two writes.
pub const PERIOD: Duration = Duration::from_micros(50);
/// The least time that writes go on; the work falls into it, unless it takes longer.
const WINDOW: Duration = Duration::from_secs(1);
const REPETITIONS: usize = 5;

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
            what: "nothing: the noise of the machine",
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

/// Writes until told to stop, and then what is due already. The longest time of one write, and all
/// of them.
fn write_until(node: &Node, stop: &AtomicBool) -> (Duration, Histogram) {
    let mut random = Random::new(1);
    let (mut longest, mut all) = (Duration::ZERO, Histogram::default());
    let mut due = Instant::now();
    while !stop.load(Ordering::Relaxed) || due + PERIOD < Instant::now() {
        let offset = random.below(DISK >> 12) << 12;
        due += PERIOD;
        while Instant::now() < due {
            std::hint::spin_loop();
        }
        node.guest_write(offset, 1 << 12);
        let time = due.elapsed();
        longest = longest.max(time);
        all.add(time.as_nanos() as u64);
    }
    (longest, all)
}

fn times(api: &'static Api, work: &Work) -> (Duration, Histogram) {
    let mut node = Node::new(api, work.length, 3);
    node.disable(1);
    node.disable(2);
    (work.prepare)(&mut node);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let start = Instant::now();
        let writer = scope.spawn(|| write_until(&node, &stop));
        thread::sleep(Duration::from_millis(20));
        (work.run)(&node);
        thread::sleep(WINDOW.saturating_sub(start.elapsed()));
        stop.store(true, Ordering::Relaxed);
        writer.join().expect("the writer does not panic")
    })
}

fn summary(repetitions: Vec<(Duration, Histogram)>) -> Waits {
    let mut longest: Vec<Duration> = repetitions.iter().map(|(longest, _)| *longest).collect();
    longest.sort();
    let mut histogram = Histogram::default();
    repetitions.iter().for_each(|(_, times)| histogram.merge(times));
    Waits { longest_ns: longest[longest.len() / 2].as_nanos() as f64, histogram }
}

/// Measures every kind of work on both implementations in turn.
pub fn measure(qemu: &'static Api, ours: &'static Api) -> Vec<WaitResult> {
    work()
        .iter()
        .map(|work| {
            let (c, rust) =
                (0..REPETITIONS).map(|_| (times(qemu, work), times(ours, work))).unzip();
            WaitResult {
                id: work.id.into(),
                what: work.what.into(),
                qemu: summary(c),
                ours: summary(rust),
            }
        })
        .collect()
}
