// SPDX-License-Identifier: GPL-2.0-or-later
//! How cost grows with the size of the disk and with the granularity.

use crate::api::Api;
use crate::bits::{Bits, Hb, Maker};
use crate::case::{Case, Generic, MakeCase, Row, Table, c_only, case};
use crate::disks::{GRANULARITY, SIZES};
use crate::rows::set::{Reset, Set, Writes};
use crate::units::size;

/// One bitmap of a series.
#[derive(Clone, Copy)]
struct Point {
    name: &'static str,
    size: u64,
    granularity: u32,
}

const TIB: u64 = 1 << 40;

const GRANULARITIES: [Point; 4] = [
    Point { name: "1t-512", size: TIB, granularity: 9 },
    Point { name: "1t-4k", size: TIB, granularity: 12 },
    Point { name: "1t-64k", size: TIB, granularity: 16 },
    Point { name: "1t-1m", size: TIB, granularity: 20 },
];

impl Point {
    /// For a reader.
    fn what(self) -> String {
        match self.name.split_once('-') {
            None => size(self.size),
            Some(_) => format!("{} by {}", size(self.size), size(1 << self.granularity)),
        }
    }

    /// On how many pairs of bitmaps a bulk operation is done.
    fn pairs(self) -> u64 {
        const MANY: u64 = 15;
        let bits = self.size >> self.granularity;
        if bits <= 1 << 20 { MANY } else { 1 }
    }
}

/// Random writes before a bulk operation: as many on a small disk as on a large one, as a guest
/// would between two backups.
const WRITES: u64 = 100_000;

fn written(api: &'static Api, point: Point) -> Hb {
    let mut bitmap = api.make(point.size, point.granularity);
    let writes = Writes::Random(WRITES, point.size);
    writes.replay(&writes.list(), &mut bitmap);
    bitmap
}

fn set(point: Point, dirty: bool) -> MakeCase {
    let Point { size, granularity, .. } = point;
    c_only(move |api| {
        Set { writes: Writes::Random(WRITES, size), dirty, size, granularity }.make(api)
    })
}

fn reset(point: Point) -> MakeCase {
    let Point { size, granularity, .. } = point;
    c_only(move |api| Reset { writes: WRITES, size, granularity }.make(api))
}

/// A bulk operation on a written bitmap and an empty one, both made anew for each run; on several
/// such pairs where it is over sooner than a clock can tell.
fn bulk(point: Point, run: fn(&mut Hb, &mut Hb)) -> MakeCase {
    c_only(move |api| -> Box<dyn Case> {
        case(
            Vec::new(),
            move |pairs: &mut Vec<(Hb, Hb)>| {
                pairs.clear();
                pairs.extend(
                    (0..point.pairs())
                        .map(|_| (written(api, point), api.make(point.size, point.granularity))),
                );
            },
            move |pairs| {
                pairs.iter_mut().for_each(|(first, second)| run(first, second));
                0
            },
            |pairs| {
                pairs.iter().fold(0, |sum, (first, second)| {
                    sum.rotate_left(1) ^ first.count() ^ second.count().rotate_left(7)
                })
            },
        )
    })
}

pub(super) fn rows() -> Vec<Row> {
    SIZES
        .map(|(name, size)| Point { name, size, granularity: GRANULARITY })
        .into_iter()
        .chain(GRANULARITIES)
        .flat_map(|point| {
            [
                ("set-clean", "set, 4 KiB random, clean", WRITES, set(point, false)),
                ("set-dirty", "set, 4 KiB random, already dirty", WRITES, set(point, true)),
                ("reset", "reset, one block, where those were", WRITES, reset(point)),
                (
                    "merge",
                    "merge 100,000 random writes into an empty bitmap",
                    point.pairs(),
                    bulk(point, |a, b| b.merge(a)),
                ),
                (
                    "clear",
                    "reset_all after 100,000 random writes",
                    point.pairs(),
                    bulk(point, |a, _| a.clear()),
                ),
            ]
            .map(|(id, what, operations, make)| {
                let what = format!("{what}, {}", point.what());
                Row::new(&format!("grow/{id}/{}", point.name), &what, operations, 1.0, make)
                    .table(Table::Growth)
            })
        })
        .collect()
}
