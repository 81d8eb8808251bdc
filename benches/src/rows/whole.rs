// SPDX-License-Identifier: GPL-2.0-or-later
//! Operations on the whole range: set, reset, clear, create, truncate.

use crate::bits::{Bits, Hb, Maker};
use crate::case::{Bound, Case, Generic, Row, Table, all_three, c_only, case};
use crate::disks::{BITS, BYTES, DISK, GRANULARITY};
use crate::pattern::{Density, bytes};
use crate::random::Random;
use crate::rows::set::Writes;

/// Sets everything, on a new bitmap or on one that had content before (its memory, in C, is there
/// already).
struct SetAll {
    new: bool,
}

impl Generic for SetAll {
    fn make<M: Maker>(&self, maker: M) -> Box<dyn Case> {
        let SetAll { new } = *self;
        case(
            Some(maker.make(DISK, GRANULARITY)),
            move |bitmap| {
                if new {
                    drop(bitmap.take());
                    *bitmap = Some(maker.make(DISK, GRANULARITY));
                } else if let Some(bitmap) = bitmap {
                    bitmap.set(0, DISK);
                    bitmap.reset(0, DISK);
                }
            },
            |bitmap| {
                bitmap.as_mut().expect("made in prepare").set(0, DISK);
                0
            },
            |bitmap| bitmap.as_ref().map_or(0, Bits::count),
        )
    }
}

/// Resets everything, with some content before.
struct ResetAll(Density);

impl Generic for ResetAll {
    fn make<M: Maker>(&self, maker: M) -> Box<dyn Case> {
        let content = bytes(BITS, self.0, 1);
        let full = self.0 == Density::Full;
        case(
            maker.make(DISK, GRANULARITY),
            move |bitmap| if full { bitmap.set(0, DISK) } else { bitmap.load(&content) },
            |bitmap| {
                bitmap.reset(0, DISK);
                0
            },
            |bitmap| bitmap.count(),
        )
    }
}

/// A 1 PiB bitmap with 1,000 random sets; one made anew for each run, so that C's memory is touched
/// for the first time.
fn clear_petabyte() -> Row {
    const PIB: u64 = 1 << 50;
    let make = c_only(|api| {
        case(
            None,
            move |bitmap| {
                drop(bitmap.take());
                let mut new = api.make(PIB, GRANULARITY);
                let mut random = Random::new(9);
                (0..1000).for_each(|_| new.set(random.below(PIB >> 16) << 16, 1 << 16));
                *bitmap = Some(new);
            },
            |bitmap| {
                bitmap.as_mut().expect("made in prepare").clear();
                0
            },
            |bitmap| bitmap.as_ref().map_or(0, Bits::count),
        )
    });
    Row::new("clear/1p-sparse", "reset_all, sparse 1 PiB bitmap", 1, 4_000.0, make)
}

fn clear(density: Density) -> Row {
    let make = c_only(move |api| {
        let content = bytes(BITS, density, 1);
        case(
            api.make(DISK, GRANULARITY),
            move |bitmap| bitmap.load(&content),
            |bitmap| {
                bitmap.clear();
                0
            },
            |bitmap| bitmap.count(),
        )
    });
    let what = format!("reset_all, {} % set", density.id());
    Row::new(&format!("clear/{}", density.id()), &what, 1, 1.0, make).table(Table::Extra)
}

/// Clearing all bitmaps of a host that has many, each with some writes: what an allocator does with
/// memory that goes back shows here.
fn clear_many(name: &str, size: u64) -> Row {
    const MANY: u64 = 64;
    let make = c_only(move |api| {
        let writes = Writes::Random(10_000, size);
        let list = writes.list();
        let bitmaps: Vec<Hb> = (0..MANY).map(|_| api.make(size, GRANULARITY)).collect();
        case(
            bitmaps,
            move |bitmaps| bitmaps.iter_mut().for_each(|bitmap| writes.replay(&list, bitmap)),
            |bitmaps| {
                bitmaps.iter_mut().for_each(|bitmap| bitmap.clear());
                0
            },
            |bitmaps| bitmaps.iter().map(|bitmap| bitmap.count()).sum(),
        )
    });
    let what = format!("reset_all of 64 bitmaps of {name} with 10,000 random writes, each");
    Row::new(&format!("clear/64-of-{name}"), &what, MANY, 1.0, make).table(Table::Extra)
}

/// Creating and freeing an empty bitmap: what adding a bitmap to a node costs.
fn create(id: &str, what: &str, size: u64) -> Row {
    const MANY: u64 = 1000;
    let make = c_only(move |api| {
        case(
            (),
            |_| (),
            move |_| {
                (0..MANY).for_each(|_| drop(api.make(size, GRANULARITY)));
                0
            },
            |_| 0,
        )
    });
    Row::new(id, what, MANY, 1.0, make).table(Table::Extra)
}

fn truncate(id: &str, what: &str, from: u64, to: u64) -> Row {
    let make = c_only(move |api| {
        let content = bytes(from >> GRANULARITY, Density::Percent40, 1);
        case(
            None,
            move |bitmap| {
                drop(bitmap.take());
                let mut new = api.make(from, GRANULARITY);
                new.load(&content);
                *bitmap = Some(new);
            },
            move |bitmap| {
                bitmap.as_mut().expect("made in prepare").truncate(to);
                0
            },
            |bitmap| bitmap.as_ref().map_or(0, Bits::count),
        )
    });
    Row::new(id, what, 1, 1.0, make).table(Table::Extra)
}

pub(super) fn rows() -> Vec<Row> {
    let sweep = Bound::Copy(BYTES);
    vec![
        Row::new("set/all", "set all", 1, 5_000.0, all_three(SetAll { new: true })).bound(sweep),
        Row::new(
            "set/all-again",
            "set all, after a reset",
            1,
            1.0,
            all_three(SetAll { new: false }),
        )
        .bound(sweep)
        .table(Table::Extra),
        Row::new("reset/all", "reset whole range", 1, 5_000.0, all_three(ResetAll(Density::Full)))
            .bound(sweep),
        Row::new(
            "reset/all-40",
            "reset whole range, 40 % set",
            1,
            1.0,
            all_three(ResetAll(Density::Percent40)),
        )
        .bound(sweep)
        .table(Table::Extra),
        clear_petabyte(),
        clear(Density::Sparse),
        clear(Density::Percent40),
        clear(Density::Full),
        clear_many("1g", 1 << 30),
        clear_many("16g", 16 << 30),
        clear_many("256g", 256 << 30),
        create("create/1g", "create and free, 1 GiB disk", 1 << 30),
        create("create/1t", "create and free, 1 TiB disk", 1 << 40),
        create("create/16t", "create and free, 16 TiB disk", DISK),
        truncate("truncate/grow", "truncate 16 TiB to 17 TiB, 40 % set", DISK, DISK + (1 << 40)),
        truncate("truncate/shrink", "truncate 16 TiB to 15 TiB, 40 % set", DISK, DISK - (1 << 40)),
    ]
}
