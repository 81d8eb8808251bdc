// SPDX-License-Identifier: GPL-2.0-or-later
//! What is timed in a cell.

use std::rc::Rc;

use crate::api::Api;
use crate::bits::{Bits, Hb, Maker};
use crate::caller::Caller;
use crate::case::{Case, case};
use crate::sweep::content::{CHUNK, Content, Pattern, Shape};

/// The timed part of a cell, to be made for each implementation.
pub struct Work {
    /// Calls in one run: times are given for one call.
    pub calls: u64,
    /// Whether a run leaves everything as it was, so that it can be repeated without a pause.
    pub steady: bool,
    /// Makes it, with the bitmaps that it needs.
    pub make: Box<dyn Fn(&'static Api) -> Box<dyn Case>>,
}

/// Bits above which a bitmap is loaded again instead of made anew.
const LARGE: u64 = 1 << 26;

/// Bits of a chunk that were set and reset where its content is what remained.
const MORE: usize = 128;

/// An empty bitmap.
pub fn new(api: &'static Api, shape: Shape) -> Hb {
    api.make(shape.disk(), shape.granularity)
}

/// A bitmap with a content, which came there as its pattern says.
pub fn loaded(api: &'static Api, shape: Shape, bytes: &[u8]) -> Hb {
    let mut bitmap = new(api, shape);
    let bits = |value: u8| {
        let is = move |&bit: &u64| bytes[(bit / 8) as usize] >> (bit % 8) & 1 == value;
        (0..shape.bits).filter(is).map(|bit| bit << shape.granularity)
    };
    match shape.pattern {
        Pattern::SetEach => bits(1).for_each(|offset| bitmap.set(offset, shape.granule())),
        Pattern::ResetEach => {
            bitmap.set(0, shape.disk());
            bits(0).for_each(|offset| bitmap.reset(offset, shape.granule()));
        }
        Pattern::Remains => {
            bitmap.load(bytes);
            let others = || bits(0).step_by(CHUNK as usize / MORE);
            others().for_each(|offset| bitmap.set(offset, shape.granule()));
            others().for_each(|offset| bitmap.reset(offset, shape.granule()));
        }
        _ if shape.ones() > 0 => bitmap.load(bytes),
        _ => (),
    }
    bitmap
}

/// How many bitmaps a run that changes them has, so that it is long enough for a clock.
pub fn copies(shape: Shape) -> u64 {
    ((1 << 22) / shape.bits).clamp(1, 64)
}

/// What bitmaps hold, by their counts and by some of their areas.
pub fn outcome(bitmaps: &[Hb]) -> u64 {
    let of = |bitmap: &Hb| {
        bitmap.count() ^ bitmap.some_areas(&mut Caller::default(), 16).rotate_left(24)
    };
    bitmaps.iter().fold(0, |sum: u64, bitmap| sum.rotate_left(1) ^ of(bitmap))
}

/// Work that leaves a bitmap as it was.
pub fn steady(
    content: &Content,
    calls: u64,
    run: impl FnMut(&mut Hb, &mut Caller) -> u64 + Clone + 'static,
) -> Work {
    let (shape, bytes) = (content.shape, Rc::<[u8]>::from(content.bytes()));
    let make = move |api| {
        let mut run = run.clone();
        case(
            (loaded(api, shape, &bytes), Caller::default()),
            |_| (),
            move |(bitmap, caller)| run(bitmap, caller),
            |(bitmap, _)| bitmap.count(),
        )
    };
    Work { calls, steady: true, make: Box::new(make) }
}

/// Work that changes a bitmap, which is made again for each run: anew if it is empty or small, so
/// that a first write finds memory that nobody has touched.
pub fn changing(
    content: &Content,
    calls: u64,
    run: impl Fn(&mut Hb, &mut Caller) -> u64 + Clone + 'static,
) -> Work {
    let (shape, bytes) = (content.shape, Rc::<[u8]>::from(content.bytes()));
    let make = move |api: &'static Api| {
        let (run, bytes) = (run.clone(), bytes.clone());
        case(
            (Vec::new(), Caller::default()),
            move |(bitmaps, _): &mut (Vec<Hb>, Caller)| {
                if shape.bits > LARGE && shape.ones() > 0 && !bitmaps.is_empty() {
                    if bitmaps[0].size != shape.disk() {
                        bitmaps[0].truncate(shape.disk());
                    }
                    bitmaps[0].load(&bytes);
                } else {
                    bitmaps.clear();
                    bitmaps.extend((0..copies(shape)).map(|_| loaded(api, shape, &bytes)));
                }
            },
            move |(bitmaps, caller)| {
                bitmaps.iter_mut().fold(0u64, |sum, bitmap| sum.wrapping_add(run(bitmap, caller)))
            },
            |(bitmaps, _)| outcome(bitmaps),
        )
    };
    Work { calls: calls * copies(shape), steady: false, make: Box::new(make) }
}

/// Work on two bitmaps. The first is made by `target` before each run, from the one of the run
/// before; the second has a content and stays.
pub fn pairs(
    source: &Content,
    target: impl Fn(&'static Api, Option<Hb>) -> Hb + Clone + 'static,
    run: impl Fn(&mut Hb, &mut Hb) + Clone + 'static,
) -> Work {
    let (shape, bytes) = (source.shape, Rc::<[u8]>::from(source.bytes()));
    let make = move |api: &'static Api| {
        let (target, run) = (target.clone(), run.clone());
        let mut source = loaded(api, shape, &bytes);
        case(
            Vec::new(),
            move |targets: &mut Vec<Hb>| {
                let mut used: Vec<Option<Hb>> = targets.drain(..).map(Some).collect();
                used.resize_with(copies(shape) as usize, || None);
                targets.extend(used.into_iter().map(|used| target(api, used)));
            },
            move |targets| {
                targets.iter_mut().for_each(|target| run(target, &mut source));
                0
            },
            |targets| outcome(targets),
        )
    };
    Work { calls: copies(shape), steady: false, make: Box::new(make) }
}
