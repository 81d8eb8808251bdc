// SPDX-License-Identifier: GPL-2.0-or-later
//! Reading single bits.

use crate::bits::{Bits, Hb, Maker};
use crate::caller::Caller;
use crate::case::{Bound, Case, Generic, Row, Table, all_three, c_only, case};
use crate::disks::{BITS, BYTES, DISK, GRANULARITY};
use crate::pattern::{Density, bytes, runs};
use crate::random::Random;

const MANY: u64 = 1 << 20;

/// Random offsets, made before the clock starts.
fn offsets() -> Vec<u64> {
    let mut random = Random::new(5);
    (0..MANY).map(|_| random.below(DISK)).collect()
}

struct GetRandom(Density);

impl Generic for GetRandom {
    fn make<M: Maker>(&self, maker: M) -> Box<dyn Case> {
        let mut bitmap = maker.make(DISK, GRANULARITY);
        bitmap.load(&bytes(BITS, self.0, 1));
        let offsets = offsets();
        case(bitmap, |_| (), move |bitmap| bitmap.get_each(&mut Caller::default(), &offsets), |_| 0)
    }
}

fn next_dirty(density: Density) -> Row {
    let make = c_only(move |api| {
        let mut bitmap = api.make(DISK, GRANULARITY);
        bitmap.load(&bytes(BITS, density, 1));
        let offsets = offsets();
        case(
            bitmap,
            |_| (),
            move |bitmap| bitmap.next_dirty_each(&mut Caller::default(), &offsets, DISK),
            |_| 0,
        )
    });
    let what = format!("next_dirty random, {} % set", density.id());
    Row::new(&format!("query/next-dirty-{}", density.id()), &what, MANY, 1.0, make)
        .table(Table::Extra)
}

/// The loop of a backup: from one dirty area to the next.
fn areas(id: &str, what: &str, target: f64, density: Density) -> Row {
    // Counted on a sixteenth of the map: making all of it only to list the rows would take too
    // long.
    let operations = runs(&bytes(BITS / 16, density, 1)) * 16;
    let make = c_only(move |api| {
        let mut bitmap = api.make(DISK, GRANULARITY);
        bitmap.load(&bytes(BITS, density, 1));
        case(bitmap, |_| (), |bitmap| bitmap.areas(), |_| 0)
    });
    Row::new(id, what, operations, target, make)
}

/// A fleecing backup looks along the same run once for each extent.
const LOOKS: u64 = 16;

/// A look along the whole of a full bitmap, again and again.
fn long_run(id: &str, what: &str, look: fn(&Hb) -> u64) -> Row {
    let make = c_only(move |api| {
        let mut bitmap = api.make(DISK, GRANULARITY);
        bitmap.set(0, DISK);
        case(
            bitmap,
            |_| (),
            move |bitmap| (0..LOOKS).map(|_| look(bitmap)).max().unwrap_or(0),
            |_| 0,
        )
    });
    Row::new(id, what, LOOKS, 20_000.0, make).bound(Bound::Copy(BYTES / 2))
}

pub(super) fn rows() -> Vec<Row> {
    let mut main = next_dirty(Density::Percent1).table(Table::Goals);
    main.id = "query/next-dirty".into();
    main.what = "next_dirty random".into();
    main.target = 2.0;
    vec![
        Row::new("query/get", "get random", MANY, 1.0, all_three(GetRandom(Density::Percent40))),
        Row::new(
            "query/get-0.01",
            "get random, 0.01 % set",
            MANY,
            1.0,
            all_three(GetRandom(Density::Sparse)),
        )
        .table(Table::Extra),
        main,
        next_dirty(Density::Sparse),
        next_dirty(Density::Percent40),
        areas("areas/sparse", "next_dirty_area loop, sparse (per area)", 1.5, Density::Sparse),
        areas("areas/1", "next_dirty_area loop, 1 % set (per area)", 1.0, Density::Percent1)
            .table(Table::Extra),
        areas("areas/40", "next_dirty_area loop, 40 % set (per area)", 1.0, Density::Percent40)
            .table(Table::Extra),
        long_run("areas/one-run", "next_dirty_area, one 16 TiB run", Hb::areas),
        long_run("query/next-zero-full", "next_zero over all ones", |bitmap| {
            bitmap.next_zero(0, DISK) as u64
        }),
    ]
}
