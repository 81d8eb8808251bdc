// SPDX-License-Identifier: GPL-2.0-or-later
//! A block backend in Rust: this library's Rust API beside vm-memory's `AtomicBitmap`, and QEMU's C
//! beside both. One bitmap of 64 KiB granularity, on a disk of 1 TiB.

use super::node::{BLOCK, Blocks, DISK, WRITES, on_threads};
use crate::api::Engine;
use crate::case::{Case, Row, Table, case};
use crate::pattern::{Density, bytes};
use crate::random::Random;
use crate::recorder::{Atomic, Recorder, RustApi, ThroughC};

/// Makes a case on any recorder.
trait OnRecorder: 'static {
    fn make<R: Recorder + 'static>(&self, recorder: R) -> Box<dyn Case>;
}

fn row(id: &str, what: &str, operations: u64, generic: impl OnRecorder) -> Row {
    let make = move |engine| {
        Some(match engine {
            Engine::Qemu(api) => generic.make(ThroughC::new(api, DISK)),
            Engine::Ours(_) => generic.make(RustApi::new(DISK)),
            Engine::AtomicBitmap => generic.make(Atomic::new(DISK)),
            Engine::Roaring => return None,
        })
    };
    Row::new(&format!("embed/{id}"), what, operations, 1.0, Box::new(make)).table(Table::Embed)
}

struct Writes {
    blocks: Blocks,
    threads: u64,
}

impl OnRecorder for Writes {
    fn make<R: Recorder + 'static>(&self, recorder: R) -> Box<dyn Case> {
        let Writes { blocks, threads } = *self;
        let mut written = false;
        let write_all = move |recorder: &R| {
            on_threads(threads, |thread| {
                blocks.offsets(thread, |offset| recorder.write(offset, BLOCK));
            });
        };
        case(
            recorder,
            move |recorder| match blocks {
                Blocks::First => recorder.clear(),
                Blocks::Hot | Blocks::Again if !written => {
                    write_all(recorder);
                    written = true;
                }
                _ => (),
            },
            move |recorder| {
                write_all(recorder);
                0
            },
            R::count,
        )
    }
}

/// Discards of 1 GiB.
struct Discards;

impl Discards {
    const EACH: u64 = 1 << 30;
    const NUMBER: u64 = 256;
}

impl OnRecorder for Discards {
    fn make<R: Recorder + 'static>(&self, recorder: R) -> Box<dyn Case> {
        case(
            recorder,
            |recorder| recorder.clear(),
            |recorder| {
                let mut random = Random::new(1);
                for _ in 0..Discards::NUMBER {
                    let offset = random.below((DISK - Discards::EACH) / BLOCK) * BLOCK;
                    recorder.write(offset, Discards::EACH);
                }
                0
            },
            R::count,
        )
    }
}

struct Harvest(Density);

impl OnRecorder for Harvest {
    fn make<R: Recorder + 'static>(&self, recorder: R) -> Box<dyn Case> {
        let content = bytes(DISK >> 16, self.0, 1);
        case(
            recorder,
            move |recorder| recorder.load(&content),
            |recorder| {
                let mut sum = 0u64;
                recorder.harvest(|area| sum = sum.wrapping_add(area.start ^ area.end << 1));
                sum
            },
            R::count,
        )
    }
}

pub(super) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for blocks in [Blocks::Hot, Blocks::First, Blocks::Again] {
        for threads in [1, 2, 4] {
            let what = match threads {
                1 => format!("a write, {}, one thread", blocks.what()),
                _ => format!("a write, {}, {threads} threads", blocks.what()),
            };
            let id = format!("write-{}-{threads}t", blocks.id());
            rows.push(row(&id, &what, WRITES * threads, Writes { blocks, threads }));
        }
    }
    rows.push(row("discard-1g", "a discard of 1 GiB", Discards::NUMBER, Discards));
    for density in [Density::Sparse, Density::Percent1, Density::Percent40, Density::Full] {
        let what = format!("a backup's dirty areas, {} % set, and a clean bitmap", density.id());
        rows.push(row(&format!("backup-{}", density.id()), &what, 1, Harvest(density)));
    }
    rows
}
