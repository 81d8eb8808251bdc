// SPDX-License-Identifier: GPL-2.0-or-later
//! Setting and resetting single bits and ranges.

use std::rc::Rc;

use super::content::{Content, Pattern, Shape};
use super::reads::random_offsets;
use super::work::{Work, changing, copies, steady};
use super::{G1, G64, Needs, Operation, Row, Size, T1, T16, T256};
use crate::bits::{Bits, Hb};
use crate::caller::Caller;

const CONTENTS: [(Pattern, Size); 11] = [
    (Pattern::Random, G1),
    (Pattern::Random, G64),
    (Pattern::Random, T1),
    (Pattern::Random, T16),
    (Pattern::Random, T256),
    (Pattern::Runs, T1),
    (Pattern::EveryNth, T1),
    (Pattern::AllBut, T1),
    (Pattern::SetEach, G64),
    (Pattern::Remains, G64),
    (Pattern::ResetEach, G64),
];

/// Calls that change a bitmap: a few for each chunk, so that the density stays what it is.
fn changes(shape: Shape) -> u64 {
    ((shape.chunks() * 8).min(1 << 15) / copies(shape)).max(64)
}

fn each(
    content: &Content,
    is_steady: bool,
    starts: Vec<u64>,
    bytes: u64,
    run: fn(&mut Hb, &mut Caller, &[(u64, u64)]),
) -> Work {
    let ranges: Rc<[(u64, u64)]> = starts.into_iter().map(|start| (start, bytes)).collect();
    let make = if is_steady { steady_each } else { changing_each };
    make(content, ranges, run)
}

fn steady_each(
    content: &Content,
    ranges: Rc<[(u64, u64)]>,
    run: fn(&mut Hb, &mut Caller, &[(u64, u64)]),
) -> Work {
    steady(content, ranges.len() as u64, move |bitmap, caller| {
        run(bitmap, caller, &ranges);
        0
    })
}

fn changing_each(
    content: &Content,
    ranges: Rc<[(u64, u64)]>,
    run: fn(&mut Hb, &mut Caller, &[(u64, u64)]),
) -> Work {
    changing(content, ranges.len() as u64, move |bitmap, caller| {
        run(bitmap, caller, &ranges);
        0
    })
}

fn set(bitmap: &mut Hb, caller: &mut Caller, ranges: &[(u64, u64)]) {
    bitmap.set_each(caller, ranges);
}

fn reset(bitmap: &mut Hb, caller: &mut Caller, ranges: &[(u64, u64)]) {
    bitmap.reset_ranges(caller, ranges);
}

/// So many bits one after the other, from the middle of the disk.
fn sequence(shape: Shape) -> Vec<u64> {
    let bits = (1 << 16).min(shape.bits / 2) / copies(shape);
    (shape.bits / 2..shape.bits / 2 + bits).map(|bit| bit << shape.granularity).collect()
}

/// Random starts of ranges, as multiples of `align` bytes.
fn ranges(shape: Shape, bytes: u64, align: u64, calls: u64) -> Vec<u64> {
    let last = shape.disk() - bytes;
    random_offsets(shape, calls).into_iter().map(|start| start.min(last) / align * align).collect()
}

fn at(shape: Shape, bits: Vec<u64>) -> Vec<u64> {
    bits.into_iter().map(|bit| bit << shape.granularity).collect()
}

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

fn singles() -> Vec<Operation> {
    use Needs::{ClearBits, Nothing, SetBits};
    vec![
        Operation::new("set/clear", "set clear bits, random", ClearBits, |content| {
            let shape = content.shape;
            each(
                content,
                false,
                at(shape, content.clear_bits(changes(shape))),
                shape.granule(),
                set,
            )
        }),
        Operation::new("set/set", "set bits that are set already, random", SetBits, |content| {
            let shape = content.shape;
            let bits = content.set_bits(1 << 14);
            let bits = bits.iter().copied().cycle().take(bits.len().max(256)).collect();
            each(content, true, at(shape, bits), shape.granule(), set)
        }),
        Operation::new("set/sequential", "set bit after bit", Nothing, |content| {
            each(content, false, sequence(content.shape), content.shape.granule(), set)
        }),
        Operation::new("reset/set", "reset set bits, random", SetBits, |content| {
            let shape = content.shape;
            each(
                content,
                false,
                at(shape, content.set_bits(changes(shape))),
                shape.granule(),
                reset,
            )
        }),
        Operation::new(
            "reset/clear",
            "reset bits that are clear already, random",
            ClearBits,
            |content| {
                let shape = content.shape;
                let bits = content.clear_bits(1 << 14);
                let bits = bits.iter().copied().cycle().take(bits.len().max(256)).collect();
                each(content, true, at(shape, bits), shape.granule(), reset)
            },
        ),
        Operation::new("reset/sequential", "reset bit after bit", SetBits, |content| {
            each(content, false, sequence(content.shape), content.shape.granule(), reset)
        }),
    ]
}

fn of_ranges() -> Vec<Operation> {
    use Needs::{Nothing, SetBits};
    let range = |id: &str, what: &str, needs, bytes: u64, align: u64, calls: u64, run| {
        Operation::new(id, what, needs, move |content| {
            each(content, false, ranges(content.shape, bytes, align, calls), bytes, run)
        })
    };
    let block = 1 << 16;
    vec![
        range("set/1m", "set 1 MiB at random", Nothing, MIB, block, 1024, set),
        range("set/2g", "set 2 GiB, whole chunks", Nothing, 2 * GIB, 2 * GIB, 64, set),
        range("set/2g-anywhere", "set 2 GiB at random", Nothing, 2 * GIB, block, 64, set),
        range("reset/1m", "reset 1 MiB at random", SetBits, MIB, block, 1024, reset),
        range("reset/2g", "reset 2 GiB, whole chunks", SetBits, 2 * GIB, 2 * GIB, 64, reset),
        range("reset/2g-anywhere", "reset 2 GiB at random", SetBits, 2 * GIB, block, 64, reset),
    ]
}

fn whole() -> Vec<Operation> {
    let whole = |id: &str, what: &str, run: fn(&mut Hb)| {
        Operation::new(id, what, Needs::Nothing, move |content| {
            changing(content, 1, move |bitmap, _| {
                run(bitmap);
                0
            })
        })
    };
    vec![
        whole("set/all", "set all", |bitmap| bitmap.set(0, bitmap.size)),
        whole("reset/all", "reset the whole range", |bitmap| bitmap.reset(0, bitmap.size)),
        whole("reset-all", "reset_all", Hb::clear),
    ]
}

pub(super) fn rows() -> Vec<Row> {
    // A range of 2 GiB does not fit into the smallest disk; how single bits came there matters to
    // single bits.
    let of_ranges = of_ranges().into_iter().flat_map(|operation| operation.rows(&CONTENTS[1..8]));
    singles()
        .into_iter()
        .flat_map(|operation| operation.rows(&CONTENTS))
        .chain(of_ranges)
        .chain(whole().into_iter().flat_map(|operation| operation.rows(&CONTENTS[..8])))
        .collect()
}
