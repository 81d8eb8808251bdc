// SPDX-License-Identifier: GPL-2.0-or-later
//! Operations that change nothing.

use std::rc::Rc;

use super::content::{Content, Pattern, Shape};
use super::work::{Work, steady};
use super::{G1, G64, Needs, Operation, Row, Size, T1, T16, T256};
use crate::bits::Hb;
use crate::caller::Caller;
use crate::random::Random;

/// Calls of a run at most.
const CALLS: u64 = 1 << 14;

const CONTENTS: [(Pattern, Size); 12] = [
    (Pattern::Random, G1),
    (Pattern::Random, G64),
    (Pattern::Random, T1),
    (Pattern::Random, T16),
    (Pattern::Random, T256),
    (Pattern::Runs, T1),
    (Pattern::EveryNth, T1),
    (Pattern::AllBut, T1),
    (Pattern::AllBut, T16),
    (Pattern::SetEach, G64),
    (Pattern::Remains, G64),
    (Pattern::ResetEach, G64),
];

/// Random offsets of a disk.
pub fn random_offsets(shape: Shape, calls: u64) -> Vec<u64> {
    let mut random = Random::new(5);
    (0..calls).map(|_| random.below(shape.bits) << shape.granularity).collect()
}

/// Bits as offsets, repeated if there are few, so that the loop and not its start is measured.
fn offsets(shape: Shape, bits: &[u64]) -> Vec<u64> {
    bits.iter().cycle().take(bits.len().max(256)).map(|bit| bit << shape.granularity).collect()
}

/// Calls of searches for a clear bit, whose time in C grows with the run of set bits before it.
fn searches(shape: Shape) -> u64 {
    let clear = shape.bits - shape.ones();
    let run = shape.ones() / (clear.min(shape.ones()) + 1);
    ((1 << 24) / (run + 1)).clamp(4, CALLS / 2)
}

fn each(
    content: &Content,
    offsets: Vec<u64>,
    run: fn(&mut Hb, &mut Caller, &[u64]) -> u64,
) -> Work {
    let offsets = Rc::<[u64]>::from(offsets);
    steady(content, offsets.len() as u64, move |bitmap, caller| run(bitmap, caller, &offsets))
}

/// The loop of a store: the parts that have set bits.
fn store(bitmap: &Hb, buffer: &mut [u8], part: u64) -> u64 {
    let (size, mut at, mut parts) = (bitmap.size, 0, 0);
    while at < size {
        let dirty = bitmap.next_dirty(at, size - at);
        if dirty < 0 {
            break;
        }
        let start = dirty as u64 / part * part;
        bitmap.store_part(buffer, start, part.min(size - start));
        parts += u64::from(buffer[0]) + 1;
        at = start + part;
    }
    parts
}

/// Bytes of the disk for so many bytes of a serialised bitmap.
pub fn covers(shape: Shape, bytes: u64) -> u64 {
    (bytes * 8) << shape.granularity
}

fn serialise(content: &Content, bytes: u64) -> Work {
    let shape = content.shape;
    let part = covers(shape, bytes).min(shape.disk());
    let mut random = Random::new(6);
    let parts: Vec<u64> = (0..1024).map(|_| random.below(shape.disk() / part) * part).collect();
    let mut buffer = vec![0u8; bytes as usize];
    steady(content, parts.len() as u64, move |bitmap, caller| {
        caller.sum(&parts, |&start| {
            bitmap.store_part(&mut buffer, start, part);
            u64::from(buffer[0])
        })
    })
}

fn operations() -> Vec<Operation> {
    use Needs::{ClearBits, Nothing, SetBits};
    vec![
        Operation::new("get/random", "get, random", Nothing, |content| {
            each(content, random_offsets(content.shape, CALLS), |bitmap, caller, offsets| {
                crate::bits::Bits::get_each(bitmap, caller, offsets)
            })
        }),
        Operation::new("get/set", "get, on set bits", SetBits, |content| {
            each(
                content,
                offsets(content.shape, &content.set_bits(CALLS)),
                |bitmap, caller, offsets| crate::bits::Bits::get_each(bitmap, caller, offsets),
            )
        }),
        Operation::new("next-dirty/random", "next_dirty from random offsets", Nothing, |content| {
            each(content, random_offsets(content.shape, CALLS), |bitmap, caller, offsets| {
                bitmap.next_dirty_each(caller, offsets, i64::MAX as u64)
            })
        }),
        Operation::new("next-zero/random", "next_zero from random offsets", Nothing, |content| {
            let offsets = random_offsets(content.shape, searches(content.shape));
            each(content, offsets, |bitmap, caller, offsets| bitmap.next_zero_each(caller, offsets))
        }),
        Operation::new("next-zero/set", "next_zero from set bits", SetBits, |content| {
            let bits = content.set_bits(searches(content.shape));
            each(
                content,
                bits.iter().map(|bit| bit << content.shape.granularity).collect(),
                |bitmap, caller, offsets| bitmap.next_zero_each(caller, offsets),
            )
        }),
        Operation::new("next-dirty/clear", "next_dirty from clear bits", ClearBits, |content| {
            each(
                content,
                offsets(content.shape, &content.clear_bits(CALLS)),
                |bitmap, caller, offsets| bitmap.next_dirty_each(caller, offsets, i64::MAX as u64),
            )
        }),
        Operation::new("areas", "next_dirty_area, from area to area", Nothing, |content| {
            let steps = searches(content.shape);
            steady(content, steps, move |bitmap, caller| bitmap.some_areas(caller, steps as usize))
        }),
        Operation::new("status", "status, from extent to extent", Nothing, |content| {
            let steps = searches(content.shape);
            steady(content, steps, move |bitmap, caller| {
                bitmap.some_extents(caller, steps as usize)
            })
        }),
        Operation::new("iterate", "iterate with hbitmap_iter_next", SetBits, |content| {
            let steps = content.shape.ones().min(2 * CALLS);
            steady(content, steps, move |bitmap, caller| bitmap.iterate(caller, steps as usize))
        }),
        Operation::new(
            "store/cluster",
            "store by 64 KiB cluster: next_dirty, serialize_part",
            Nothing,
            |content| {
                let (part, mut buffer) = (covers(content.shape, 64 << 10), vec![0; 64 << 10]);
                steady(content, 1, move |bitmap, _| store(bitmap, &mut buffer, part))
            },
        ),
        Operation::new("store/part", "serialize_part, 1 KiB parts", Nothing, |content| {
            serialise(content, 1 << 10)
        }),
        Operation::new("store/small", "serialize_part, 8 byte parts", Nothing, |content| {
            serialise(content, 8)
        }),
    ]
}

pub(super) fn rows() -> Vec<Row> {
    let mut rows: Vec<Row> =
        operations().into_iter().flat_map(|operation| operation.rows(&CONTENTS)).collect();
    let count = Operation::new("count", "count and empty", Needs::Nothing, |content| {
        steady(content, 512, |bitmap, caller| bitmap.count_each(caller, 256))
    });
    rows.extend(count.rows(&[(Pattern::Random, T1)]));
    let digest = Operation::new("sha256", "sha256", Needs::Nothing, |content| {
        steady(content, 1, |bitmap, _| bitmap.sha256())
    });
    rows.extend(digest.rows(&[(Pattern::Random, G1), (Pattern::Random, G64)]));
    rows
}
