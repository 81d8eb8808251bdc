// SPDX-License-Identifier: GPL-2.0-or-later
//! Setting and resetting: what every guest write costs.

use crate::bits::{Bits, Maker};
use crate::caller::Caller;
use crate::case::{Case, Generic, Row, Table, all_three, case};
use crate::disks::{DISK, GRANULARITY};
use crate::random::Random;

/// A reproducible sequence of writes.
#[derive(Clone, Copy)]
pub enum Writes {
    /// This many of 64 KiB, one after the other.
    Sequential(u64),
    /// This many of 4 KiB, anywhere on a disk of so many bytes.
    Random(u64, u64),
    /// This many of 4 KiB, in 256 random blocks of 64 KiB.
    Hot(u64),
    /// This many of 2 GiB, one after the other.
    RangesInOrder(u64),
    /// This many of 2 GiB, at random multiples of 2 GiB.
    RangesAligned(u64),
    /// This many of 2 GiB, at random multiples of 64 KiB.
    RangesAnywhere(u64),
}

const RANGE: u64 = 2 << 30;

impl Writes {
    /// The number of writes.
    pub fn count(self) -> u64 {
        match self {
            Writes::Sequential(n)
            | Writes::Random(n, _)
            | Writes::Hot(n)
            | Writes::RangesInOrder(n)
            | Writes::RangesAligned(n)
            | Writes::RangesAnywhere(n) => n,
        }
    }

    /// The writes as (first byte, bytes), made before the clock starts: making random numbers would
    /// count as time of all.
    pub fn list(self) -> Vec<(u64, u64)> {
        let mut random = Random::new(7);
        match self {
            Writes::Sequential(n) => (0..n).map(|i| (i << 16, 1 << 16)).collect(),
            Writes::Random(n, disk) => {
                (0..n).map(|_| (random.below(disk >> 12) << 12, 1 << 12)).collect()
            }
            Writes::Hot(_) => {
                let blocks: Vec<u64> = (0..256).map(|_| random.below(DISK >> 16) << 16).collect();
                // Repeated: the list itself is to stay in the cache.
                let block = |random: &mut Random| blocks[random.below(256) as usize];
                (0..1 << 14)
                    .map(|_| (block(&mut random) + (random.below(16) << 12), 1 << 12))
                    .collect()
            }
            Writes::RangesInOrder(n) => (0..n).map(|i| (i * RANGE, RANGE)).collect(),
            Writes::RangesAligned(n) => {
                (0..n).map(|_| (random.below(DISK / RANGE) * RANGE, RANGE)).collect()
            }
            Writes::RangesAnywhere(n) => {
                (0..n).map(|_| (random.below((DISK - RANGE) >> 16) << 16, RANGE)).collect()
            }
        }
    }

    /// Sets each of the writes that `list` made on a bitmap.
    pub fn replay<B: Bits>(self, list: &[(u64, u64)], bitmap: &mut B) {
        let mut caller = Caller::default();
        for _ in 0..self.count() / list.len() as u64 {
            bitmap.set_each(&mut caller, list);
        }
    }
}

/// Writes to a bitmap.
pub struct Set {
    /// What is written.
    pub writes: Writes,
    /// Whether the bitmap has had the same writes before; else each run begins with a new bitmap.
    pub dirty: bool,
    /// Bytes of the disk.
    pub size: u64,
    /// As a power of two.
    pub granularity: u32,
}

impl Generic for Set {
    fn make<M: Maker>(&self, maker: M) -> Box<dyn Case> {
        let Set { writes, dirty, size, granularity } = *self;
        let mut bitmap = maker.make(size, granularity);
        let list = writes.list();
        if dirty {
            writes.replay(&list, &mut bitmap);
        }
        case(
            Some(bitmap),
            move |bitmap| {
                if !dirty {
                    drop(bitmap.take());
                    *bitmap = Some(maker.make(size, granularity));
                }
            },
            move |bitmap| {
                writes.replay(&list, bitmap.as_mut().expect("made in prepare"));
                0
            },
            |bitmap| bitmap.as_ref().map_or(0, Bits::count),
        )
    }
}

/// Resets of one block each where random writes were, in their order.
#[derive(Clone, Copy)]
pub struct Reset {
    /// How many.
    pub writes: u64,
    /// Bytes of the disk.
    pub size: u64,
    /// log2 of the bytes of a block.
    pub granularity: u32,
}

impl Generic for Reset {
    fn make<M: Maker>(&self, maker: M) -> Box<dyn Case> {
        let Reset { size, granularity, .. } = *self;
        let writes = Writes::Random(self.writes, size);
        let list = writes.list();
        let resets: Vec<u64> =
            list.iter().map(|&(start, _)| start >> granularity << granularity).collect();
        case(
            maker.make(size, granularity),
            move |bitmap| writes.replay(&list, bitmap),
            move |bitmap| {
                bitmap.reset_each(&mut Caller::default(), &resets, 1 << granularity);
                0
            },
            |bitmap| bitmap.count(),
        )
    }
}

fn set(id: &str, what: &str, target: f64, writes: Writes, dirty: bool) -> Row {
    let set = Set { writes, dirty, size: DISK, granularity: GRANULARITY };
    Row::new(id, what, writes.count(), target, all_three(set))
}

pub(super) fn rows() -> Vec<Row> {
    const MANY: u64 = 1 << 20;
    vec![
        set(
            "set/seq-64k-clean",
            "set, 64 KiB sequential, clean",
            4.0,
            Writes::Sequential(MANY),
            false,
        ),
        set(
            "set/rand-4k-clean",
            "set, 4 KiB random, clean",
            2.5,
            Writes::Random(MANY, DISK),
            false,
        ),
        set(
            "set/rand-4k-dirty",
            "set, 4 KiB random, already dirty",
            3.5,
            Writes::Random(MANY, DISK),
            true,
        ),
        set("set/hot-256", "set, hot 256 blocks, already dirty", 4.0, Writes::Hot(MANY), true),
        set(
            "set/2g-ranges",
            "set, 2 GiB ranges",
            150.0,
            Writes::RangesInOrder(DISK / RANGE),
            false,
        ),
        set(
            "set/2g-ranges-aligned",
            "set, 2 GiB ranges at random multiples of 2 GiB",
            1.0,
            Writes::RangesAligned(4096),
            false,
        )
        .table(Table::Extra),
        set(
            "set/2g-ranges-anywhere",
            "set, 2 GiB ranges at any multiple of 64 KiB",
            1.0,
            Writes::RangesAnywhere(4096),
            false,
        )
        .table(Table::Extra),
        set(
            "set/2g-ranges-dirty",
            "set, 2 GiB ranges, already dirty",
            1.0,
            Writes::RangesAligned(4096),
            true,
        )
        .table(Table::Extra),
        Row::new(
            "reset/rand-64k",
            "reset, 64 KiB random",
            MANY,
            1.3,
            all_three(Reset { writes: MANY, size: DISK, granularity: GRANULARITY }),
        ),
    ]
}
