// SPDX-License-Identifier: GPL-2.0-or-later
//! Operations on whole bitmaps: load, truncate, create and free.

use std::rc::Rc;

use super::content::{Content, Pattern, Shape};
use super::reads::{covers, random_offsets};
use super::work::{Work, changing, loaded, new, pairs, steady};
use super::{G1, G64, Needs, Operation, Row, SIZES, Size, T1, T16};
use crate::api::Api;
use crate::bits::{Bits, Hb};
use crate::case::case;

/// Where operations on whole bitmaps are measured.
pub(super) const CONTENTS: [(Pattern, Size); 7] = [
    (Pattern::Random, G1),
    (Pattern::Random, G64),
    (Pattern::Random, T1),
    (Pattern::Random, T16),
    (Pattern::Runs, T1),
    (Pattern::EveryNth, T1),
    (Pattern::AllBut, T1),
];

/// Loads cluster by cluster, into a new bitmap or one that was used.
fn load(is_new: bool) -> impl Fn(&Content) -> Work {
    move |content| {
        const CLUSTER: usize = 64 << 10;
        let shape = content.shape;
        let bytes = Rc::<[u8]>::from(content.bytes());
        // qcow2 knows from its table which clusters are stored.
        let stored: Rc<[bool]> =
            bytes.chunks(CLUSTER).map(|part| part.iter().any(|&byte| byte != 0)).collect();
        let before =
            Rc::<[u8]>::from(if is_new { Vec::new() } else { Content::new(shape, 2).bytes() });
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
            for (index, (part_bytes, &stored)) in bytes.chunks(CLUSTER).zip(&*stored).enumerate() {
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
    .flat_map(|operation| operation.rows(&CONTENTS))
    .chain(
        [
            Operation::new(
                "load/zeroes",
                "load zeroes by cluster over it",
                nothing,
                uniform(Hb::load_zeroes),
            ),
            Operation::new(
                "load/ones",
                "load ones by cluster over it",
                nothing,
                uniform(Hb::load_ones),
            ),
        ]
        .into_iter()
        .flat_map(|operation| operation.rows(&CONTENTS[..4])),
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
    let fro = Operation::new(
        "truncate/to-and-fro",
        "truncate by one bit, and back",
        Needs::Nothing,
        |content| {
            let (disk, granule) = (content.shape.disk(), content.shape.granule());
            steady(content, 8, move |bitmap, _| {
                for _ in 0..4 {
                    bitmap.truncate(disk - granule);
                    bitmap.truncate(disk);
                }
                0
            })
        },
    );
    [
        to("truncate/down-little", "truncate down by 1 %", |size| size / 100 * 99),
        to("truncate/down-half", "truncate down to a half", |size| size / 2),
        to("truncate/up-little", "truncate up by 1 %", |size| size / 100 * 101),
        to("truncate/up-twice", "truncate up to twice the size", |size| size * 2),
        fro,
    ]
    .into_iter()
    .flat_map(|operation| operation.rows(&CONTENTS[1..4]))
    .collect()
}

/// Creates and frees a bitmap; between the two so many random bits are set.
fn create(size: Size, sets: u64) -> Vec<Row> {
    let (suffix, text) = match sets {
        0 => ("", String::new()),
        _ => ("-touch", format!(" with {sets} random sets between")),
    };
    let shape =
        Shape { pattern: Pattern::Random, density: 0, bits: size.bytes >> 16, granularity: 16 };
    let id = format!("create{suffix}/{}", size.id);
    let operation =
        Operation::new(&id, &format!("create and free{text}"), Needs::Nothing, move |content| {
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
    let creates = [0, 100]
        .into_iter()
        .flat_map(|sets| SIZES.into_iter().flat_map(move |size| create(size, sets)));
    loads().into_iter().chain(truncates()).chain(creates).collect()
}
