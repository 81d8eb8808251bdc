// SPDX-License-Identifier: GPL-2.0-or-later
//! Operations on whole bitmaps: merge, load, truncate, create and free.

use std::rc::Rc;

use super::content::{Content, Pattern, Shape};
use super::reads::{covers, random_offsets};
use super::work::{changing, copies, loaded, new, outcome, pairs, steady, Work};
use super::{Needs, Operation, Row, Size, G1, G64, SIZES, T1, T16, T256};
use crate::api::Api;
use crate::bits::{Bits, Hb};
use crate::case::case;

const PLACES: [(Pattern, Size); 7] = [
    (Pattern::Random, G1),
    (Pattern::Random, G64),
    (Pattern::Random, T1),
    (Pattern::Random, T16),
    (Pattern::Runs, T1),
    (Pattern::EveryNth, T1),
    (Pattern::AllBut, T1),
];

/// What a merge adds to.
#[derive(Clone, Copy)]
enum Target {
    Alike,
    Empty,
    Full,
}

fn merge(target: Target) -> impl Fn(&Content) -> Work {
    move |content| {
        let shape = content.shape;
        let other: Rc<[u8]> = match target {
            Target::Alike => Content::new(shape, 2).bytes().into(),
            Target::Empty | Target::Full => Rc::new([]),
        };
        let make = move |api: &'static Api, used: Option<Hb>| match (target, used) {
            (Target::Alike, Some(mut used)) => {
                used.load(&other);
                used
            }
            (Target::Alike, None) => loaded(api, shape, &other),
            (Target::Empty, _) => new(api, shape),
            (Target::Full, used) => {
                let mut full = used.unwrap_or_else(|| new(api, shape));
                full.set(0, shape.disk());
                full
            }
        };
        pairs(content, make, |target, source| target.merge(source))
    }
}

/// Two bitmaps into a third.
fn merge_third(content: &Content) -> Work {
    let shape = content.shape;
    let [first, second] = [content.bytes(), Content::new(shape, 2).bytes()].map(Rc::<[u8]>::from);
    let make = move |api: &'static Api| {
        let (first, second) = (loaded(api, shape, &first), loaded(api, shape, &second));
        case(
            Vec::new(),
            move |targets: &mut Vec<Hb>| {
                targets.clear();
                targets.extend((0..copies(shape)).map(|_| new(api, shape)));
            },
            move |targets| {
                targets.iter_mut().for_each(|target| target.merge_of(&first, &second));
                0
            },
            |targets| outcome(targets),
        )
    };
    Work { calls: copies(shape), steady: false, make: Box::new(make) }
}

/// Into a bitmap of another granularity, new or with some bits.
fn across(to: u32, used: bool) -> impl Fn(&Content) -> Work {
    move |content| {
        let source = content.shape;
        let bits = source.disk() >> to;
        let target = Shape { density: 8, pattern: Pattern::Random, bits, granularity: to };
        let bytes = Rc::<[u8]>::from(if used { Content::new(target, 3).bytes() } else { Vec::new() });
        let make = move |api, _| if used { loaded(api, target, &bytes) } else { new(api, target) };
        pairs(content, make, |target, source| target.merge(source))
    }
}

/// From and to which granularity, and the size that keeps the finer one at a million bits or four.
const ACROSS: [(u32, u32, &str, Size); 6] = [
    (16, 12, "64 KiB into 4 KiB", Size { id: "16g", bytes: 1 << 34 }),
    (12, 16, "4 KiB into 64 KiB", Size { id: "4g", bytes: 1 << 32 }),
    (16, 15, "64 KiB into 32 KiB", Size { id: "64g", bytes: 1 << 36 }),
    (15, 16, "32 KiB into 64 KiB", Size { id: "32g", bytes: 1 << 35 }),
    (21, 12, "2 MiB into 4 KiB", Size { id: "64g", bytes: 1 << 36 }),
    (12, 21, "4 KiB into 2 MiB", Size { id: "4g", bytes: 1 << 32 }),
];

fn merges() -> Vec<Row> {
    let mut large = PLACES.to_vec();
    large.push((Pattern::Random, T256));
    let nothing = Needs::Nothing;
    let mut rows =
        Operation::new("merge/alike", "merge into one of the same density", nothing, merge(Target::Alike)).rows(&large);
    rows.extend(Operation::new("merge/empty", "merge into a new one", nothing, merge(Target::Empty)).rows(&PLACES));
    rows.extend(
        Operation::new("merge/full", "merge into a full one", nothing, merge(Target::Full)).rows(&PLACES[1..4]),
    );
    rows.extend(
        Operation::new("merge/third", "merge two into a third, new one", nothing, merge_third).rows(&PLACES[1..4]),
    );
    for (from, to, what, size) in ACROSS {
        for (id, used) in [("new", false), ("used", true)] {
            let suffix = if used { " with 8 bits in each chunk" } else { ", new" };
            let id = format!("merge/{}-to-{}-{id}", 1u64 << (from - 9), 1u64 << (to - 9));
            let operation =
                Operation::new(&id, &format!("merge {what}{suffix}"), nothing, across(to, used)).granularity(from);
            let patterns = [Pattern::Random, Pattern::Runs, Pattern::AllBut];
            let places: Vec<_> = patterns.into_iter().take(if used { 1 } else { 3 }).map(|p| (p, size)).collect();
            rows.extend(operation.rows(&places));
        }
    }
    rows
}

/// Loads cluster by cluster, into a new bitmap or one that was used.
fn load(is_new: bool) -> impl Fn(&Content) -> Work {
    move |content| {
        const CLUSTER: usize = 64 << 10;
        let shape = content.shape;
        let bytes = content.bytes();
        let stored: Vec<bool> = bytes.chunks(CLUSTER).map(|part| part.iter().any(|&byte| byte != 0)).collect();
        let before = Rc::<[u8]>::from(if is_new { Vec::new() } else { Content::new(shape, 2).bytes() });
        let make = move |api: &'static Api, used: Option<Hb>| match used {
            Some(mut used) if !is_new => {
                used.load(&before);
                used
            }
            _ if is_new => new(api, shape),
            _ => loaded(api, shape, &before),
        };
        let nothing = Content::new(Shape { density: 0, pattern: Pattern::Random, ..shape }, 1);
        pairs(&nothing, make, move |target, _| {
            let part = covers(shape, CLUSTER as u64);
            for (index, (part_bytes, &stored)) in bytes.chunks(CLUSTER).zip(&stored).enumerate() {
                let start = index as u64 * part;
                let length = part.min(shape.disk() - start);
                if stored {
                    target.load_part(part_bytes, start, length);
                } else {
                    target.load_zeroes(start, length);
                }
            }
            target.finish();
        })
    }
}

fn uniform(run: fn(&mut Hb, u64, u64)) -> impl Fn(&Content) -> Work {
    move |content| {
        let shape = content.shape;
        let part = covers(shape, 64 << 10).min(shape.disk());
        changing(content, 1, move |bitmap, _| {
            (0..shape.disk()).step_by(part as usize).for_each(|start| run(bitmap, start, part));
            bitmap.finish();
            0
        })
    }
}

fn loads() -> Vec<Row> {
    let nothing = Needs::Nothing;
    [
        Operation::new("load/new", "load by 64 KiB cluster into a new one", nothing, load(true)),
        Operation::new("load/used", "load by 64 KiB cluster into a used one", nothing, load(false)),
    ]
    .into_iter()
    .flat_map(|operation| operation.rows(&PLACES))
    .chain(
        [
            Operation::new("load/zeroes", "load zeroes by cluster over it", nothing, uniform(Hb::load_zeroes)),
            Operation::new("load/ones", "load ones by cluster over it", nothing, uniform(Hb::load_ones)),
        ]
        .into_iter()
        .flat_map(|operation| operation.rows(&PLACES[..4])),
    )
    .collect()
}

fn truncates() -> Vec<Row> {
    let to = |id: &str, what: &str, size: fn(u64) -> u64| {
        Operation::new(id, what, Needs::Nothing, move |content| {
            changing(content, 1, move |bitmap, _| {
                bitmap.truncate(size(bitmap.size));
                0
            })
        })
    };
    let fro = Operation::new("truncate/to-and-fro", "truncate by one bit, and back", Needs::Nothing, |content| {
        let (disk, granule) = (content.shape.disk(), content.shape.granule());
        steady(content, 8, move |bitmap, _| {
            for _ in 0..4 {
                bitmap.truncate(disk - granule);
                bitmap.truncate(disk);
            }
            0
        })
    });
    [
        to("truncate/down-little", "truncate down by 1 %", |size| size / 100 * 99),
        to("truncate/down-half", "truncate down to a half", |size| size / 2),
        to("truncate/up-little", "truncate up by 1 %", |size| size / 100 * 101),
        to("truncate/up-twice", "truncate up to twice the size", |size| size * 2),
        fro,
    ]
    .into_iter()
    .flat_map(|operation| operation.rows(&PLACES[1..4]))
    .collect()
}

/// Creates and frees a bitmap; between the two so many random bits are set.
fn create(size: Size, sets: u64) -> Vec<Row> {
    let (suffix, text) = match sets {
        0 => ("", String::new()),
        _ => ("-touch", format!(" with {sets} random sets between")),
    };
    let shape = Shape { pattern: Pattern::Random, density: 0, bits: size.bytes >> 16, granularity: 16 };
    let id = format!("create{suffix}/{}", size.id);
    let operation = Operation::new(&id, &format!("create and free{text}"), Needs::Nothing, move |content| {
        let shape = content.shape;
        let make = move |api: &'static Api| {
            let offsets = random_offsets(shape, sets);
            let run = move |(): &mut ()| {
                let mut bitmap = new(api, shape);
                offsets.iter().for_each(|&offset| bitmap.set(offset, shape.granule()));
                bitmap.count()
            };
            case((), |()| (), run, |()| 0)
        };
        Work { calls: 1, steady: true, make: Box::new(make) }
    });
    operation.row(&size.name(), Some(0), shape)
}

pub(super) fn rows() -> Vec<Row> {
    let creates = [0, 100].into_iter().flat_map(|sets| SIZES.into_iter().flat_map(move |size| create(size, sets)));
    merges().into_iter().chain(loads()).chain(truncates()).chain(creates).collect()
}
