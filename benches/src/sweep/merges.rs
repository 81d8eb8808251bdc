// SPDX-License-Identifier: GPL-2.0-or-later
//! Merges, at the same granularity and across granularities.

use std::rc::Rc;

use super::bulk::CONTENTS;
use super::content::{Content, Pattern, Shape};
use super::work::{Work, copies, loaded, new, outcome, pairs};
use super::{Needs, Operation, Row, Size, T256};
use crate::api::Api;
use crate::bits::{Bits, Hb};
use crate::case::case;

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
        let bytes =
            Rc::<[u8]>::from(if used { Content::new(target, 3).bytes() } else { Vec::new() });
        let make = move |api, _| if used { loaded(api, target, &bytes) } else { new(api, target) };
        pairs(content, make, |target, source| target.merge(source))
    }
}

/// From and to which granularity, and the size that keeps the finer one at a million bits or four.
const ACROSS: [(u32, u32, &str, &str, Size); 6] = [
    (16, 12, "64k-to-4k", "64 KiB into 4 KiB", Size { id: "16g", bytes: 1 << 34 }),
    (12, 16, "4k-to-64k", "4 KiB into 64 KiB", Size { id: "4g", bytes: 1 << 32 }),
    (16, 15, "64k-to-32k", "64 KiB into 32 KiB", Size { id: "64g", bytes: 1 << 36 }),
    (15, 16, "32k-to-64k", "32 KiB into 64 KiB", Size { id: "32g", bytes: 1 << 35 }),
    (21, 12, "2m-to-4k", "2 MiB into 4 KiB", Size { id: "64g", bytes: 1 << 36 }),
    (12, 21, "4k-to-2m", "4 KiB into 2 MiB", Size { id: "4g", bytes: 1 << 32 }),
];

pub(super) fn rows() -> Vec<Row> {
    let mut large = CONTENTS.to_vec();
    large.push((Pattern::Random, T256));
    let nothing = Needs::Nothing;
    let mut rows = Operation::new(
        "merge/alike",
        "merge into one of the same density",
        nothing,
        merge(Target::Alike),
    )
    .rows(&large);
    rows.extend(
        Operation::new("merge/empty", "merge into a new one", nothing, merge(Target::Empty))
            .rows(&CONTENTS),
    );
    rows.extend(
        Operation::new("merge/full", "merge into a full one", nothing, merge(Target::Full))
            .rows(&CONTENTS[1..4]),
    );
    rows.extend(
        Operation::new("merge/third", "merge two into a third, new one", nothing, merge_third)
            .rows(&CONTENTS[1..4]),
    );
    for (from, to, id, what, size) in ACROSS {
        for (suffix, text, used) in
            [("new", ", new", false), ("used", " with 8 bits in each chunk", true)]
        {
            let (id, what) = (format!("merge/{id}-{suffix}"), format!("merge {what}{text}"));
            let operation = Operation::new(&id, &what, nothing, across(to, used)).granularity(from);
            let patterns = [Pattern::Random, Pattern::Runs, Pattern::AllBut];
            let contents: Vec<_> =
                patterns.into_iter().take(if used { 1 } else { 3 }).map(|p| (p, size)).collect();
            rows.extend(operation.rows(&contents));
        }
    }
    rows
}
