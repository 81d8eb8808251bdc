// SPDX-License-Identifier: GPL-2.0-or-later
//! Calls in an order that could hurt: to and fro across a threshold, and the loops of block jobs.

use super::content::{CHUNK, Content, Pattern, Shape};
use super::reads::random_offsets;
use super::work::{Work, changing, copies, steady};
use super::{G64, Needs, Operation, Row, Size, T1, T16};
use crate::bits::{Bits, Hb};
use crate::caller::Caller;

/// Steps of a loop at most.
const STEPS: u64 = 1 << 14;
/// Times that a threshold is crossed in both directions.
const CROSSINGS: usize = 512;

const FLIP: &str = "one bit of an empty or full chunk, to and fro";

/// Numbers of bits in a chunk that a layout could change at.
const THRESHOLDS: [u64; 14] = [1, 2, 4, 5, 6, 7, 8, 9, 32, 33, 64, 65, 256, 1024];

fn shape(pattern: Pattern, density: u64) -> Shape {
    Shape { pattern, density, bits: G64.bytes >> 16, granularity: 16 }
}

/// Changes a bit of the one kind and changes it back, in one chunk or in one after the other.
fn flip(chunks: u64, first_set: bool, bit: u64) -> impl Fn(&Content) -> Work {
    move |content| {
        let granule = content.shape.granule();
        let bits: Vec<u64> =
            (0..CROSSINGS as u64).map(|step| step % chunks * CHUNK + bit).collect();
        steady(content, 2 * CROSSINGS as u64, move |bitmap, caller| {
            caller.each(&bits, |&bit| {
                let offset = bit * granule;
                if first_set {
                    bitmap.set(offset, granule);
                    bitmap.reset(offset, granule);
                } else {
                    bitmap.reset(offset, granule);
                    bitmap.set(offset, granule);
                }
            });
            0
        })
    }
}

/// Sets four clear bits and resets them, in each chunk in turn.
fn cross(content: &Content) -> Work {
    let (shape, granule) = (content.shape, content.shape.granule());
    let mut fours = vec![Vec::new(); shape.chunks() as usize];
    for bit in content.clear_bits(shape.chunks() * 32) {
        fours[(bit / CHUNK) as usize].push(bit * granule);
    }
    fours.iter_mut().for_each(|bits| bits.truncate(4));
    let calls = fours.iter().map(|bits| 2 * bits.len() as u64).sum();
    steady(content, calls, move |bitmap, caller| {
        caller.each(&fours, |offsets| {
            offsets.iter().for_each(|&offset| bitmap.set(offset, granule));
            offsets.iter().for_each(|&offset| bitmap.reset(offset, granule));
        });
        0
    })
}

fn thresholds() -> Vec<Row> {
    let mut rows = Vec::new();
    for (pattern, group, what) in [
        (Pattern::Random, "cross", "set 4 bits and reset them, across so many set bits in a chunk"),
        (
            Pattern::AllBut,
            "cross-clear",
            "set 4 bits and reset them, across so many clear bits in a chunk",
        ),
    ] {
        for threshold in THRESHOLDS {
            // Two set bits fewer, or two clear bits more: the four go across.
            let density = if pattern == Pattern::AllBut {
                threshold + 2
            } else {
                threshold.saturating_sub(2)
            };
            let operation =
                Operation::new(&format!("{group}/{threshold}"), what, Needs::Nothing, cross);
            rows.extend(operation.row(&threshold.to_string(), None, shape(pattern, density)));
        }
    }
    let all = G64.bytes >> 31;
    for (id, content, chunks, first_set, density) in [
        ("flip/full-one", "reset and set, one full chunk", 1, false, CHUNK),
        ("flip/full-each", "reset and set, each chunk", all, false, CHUNK),
        ("flip/empty-one", "set and reset, one empty chunk", 1, true, 0),
        ("flip/empty-each", "set and reset, each chunk", all, true, 0),
    ] {
        let operation =
            Operation::new(id, FLIP, Needs::Nothing, flip(chunks, first_set, CHUNK / 2));
        rows.extend(operation.row(content, Some(density), shape(Pattern::Random, density)));
    }
    let filled = Operation::new("flip/filled", FLIP, Needs::Nothing, filled);
    rows.extend(filled.row(
        "a chunk filled by a single set",
        Some(CHUNK),
        shape(Pattern::Random, CHUNK - 1),
    ));
    rows
}

/// The first run completes a chunk by a single set.
fn filled(content: &Content) -> Work {
    let granule = content.shape.granule();
    let last = content.clear_bits(1)[0] * granule;
    let steps = vec![(); CROSSINGS];
    steady(content, 2 * CROSSINGS as u64, move |bitmap, caller| {
        caller.each(&steps, |()| {
            bitmap.set(last, granule);
            bitmap.reset(last, granule);
        });
        0
    })
}

/// An iterator that goes on while each step resets what it returned.
fn mirror(content: &Content) -> Work {
    let shape = content.shape;
    let steps = (shape.ones().min(STEPS) / copies(shape)).max(1);
    changing(content, 2 * steps, move |bitmap, caller| {
        let mut iter = [0; 10];
        bitmap.start(&mut iter, 0);
        caller.sum(&vec![(); steps as usize], |()| {
            let item = bitmap.next(&mut iter) as u64;
            bitmap.reset(item, shape.granule());
            item
        })
    })
}

/// An iterator that goes on while others set bits anywhere.
fn iterate_and_set(content: &Content) -> Work {
    let shape = content.shape;
    let steps = (shape.ones().min(STEPS) / copies(shape)).max(1);
    let offsets = random_offsets(shape, steps);
    changing(content, 2 * steps, move |bitmap, caller| {
        let mut iter = [0; 10];
        bitmap.start(&mut iter, 0);
        caller.each(&offsets, |&offset| {
            bitmap.next(&mut iter);
            bitmap.set(offset, shape.granule());
        });
        0
    })
}

/// The loop of a block copy: the next area, of 1 MiB at most, is reset.
fn copy_areas(content: &Content) -> Work {
    let shape = content.shape;
    let steps = (shape.ones().div_ceil(16).min(STEPS) / copies(shape)).max(1);
    changing(content, 2 * steps, move |bitmap, caller| {
        let mut at = 0;
        caller.sum(&vec![(); steps as usize], |()| {
            let Some((start, length)) = bitmap.next_area(at, 1 << 20) else { return 0 };
            bitmap.reset(start, length);
            at = start + length;
            length
        })
    })
}

/// Single sets, each followed by a look at it.
fn set_and_get(content: &Content) -> Work {
    let shape = content.shape;
    let offsets = random_offsets(shape, (shape.chunks() * 8).min(STEPS) / copies(shape));
    changing(content, 2 * offsets.len() as u64, move |bitmap, caller| {
        caller.sum(&offsets, |&offset| {
            bitmap.set(offset, shape.granule());
            u64::from(bitmap.get(offset))
        })
    })
}

/// Sets all and resets one bit, in turn.
fn set_all_reset_one(content: &Content) -> Work {
    let shape = content.shape;
    let offsets = random_offsets(shape, 8);
    steady(content, 16, move |bitmap: &mut Hb, _: &mut Caller| {
        for &offset in &offsets {
            bitmap.set(0, shape.disk());
            bitmap.reset(offset, shape.granule());
        }
        0
    })
}

const CONTENTS: [(Pattern, Size); 6] = [
    (Pattern::Random, G64),
    (Pattern::Random, T1),
    (Pattern::Random, T16),
    (Pattern::Runs, T1),
    (Pattern::EveryNth, T1),
    (Pattern::AllBut, T1),
];

pub(super) fn rows() -> Vec<Row> {
    use Needs::{Nothing, SetBits};
    let mut rows: Vec<Row> = [
        Operation::new(
            "mirror",
            "mirror: hbitmap_iter_next, and reset what it returned",
            SetBits,
            mirror,
        ),
        Operation::new(
            "iterate-and-set",
            "hbitmap_iter_next while others set",
            SetBits,
            iterate_and_set,
        ),
        Operation::new(
            "copy-areas",
            "block copy: next_dirty_area, and reset it",
            SetBits,
            copy_areas,
        ),
        Operation::new("set-and-get", "set at random, and get it", Nothing, set_and_get),
    ]
    .into_iter()
    .flat_map(|operation| operation.rows(&CONTENTS))
    .collect();
    let operation = Operation::new(
        "set-all-reset-one",
        "set all and reset one bit, in turn",
        Nothing,
        set_all_reset_one,
    );
    rows.extend(operation.row(
        "1 TiB",
        Some(CHUNK),
        Shape { bits: T1.bytes >> 16, ..shape(Pattern::Random, CHUNK) },
    ));
    rows.extend(thresholds());
    rows
}
