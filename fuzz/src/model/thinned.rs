// SPDX-License-Identifier: GPL-2.0-or-later
//! A merge from a source with a chunk of few bits that may have been many, while an iterator is on
//! its way there.

use super::Model;
use super::plan::pick;
use crate::call::{Call, HBS, ITERS, Slot, Target};
use crate::density::Chunk;
use crate::op::FromThinned;

/// The calls that differ between HBitmaps and dirty bitmaps.
struct Actors {
    source: Target,
    /// A new source.
    make: Vec<Call>,
    /// The source into itself: what it stores is made anew.
    join: Call,
    /// An iterator at the start of a chunk.
    start: Vec<Call>,
    step: Call,
    merge: Call,
    /// Objects to be freed, so that slots are free for others.
    end: Option<Call>,
}

impl Model {
    pub(super) fn plan_from_thinned(&self, op: &FromThinned) -> Option<Vec<Call>> {
        let into = pick(&self.targets(), op.into)?;
        let chunk = Chunk::nth(into, self.content(into).shape, op.chunk.into())?;
        let first = chunk.earlier((op.before % 4).into());
        let actors = match into {
            Target::Hb(slot) => self.hbitmap_actors(op, slot, first),
            Target::Bm(slot) => self.bitmap_actors(slot, first)?,
        };
        let mut calls = actors.make;
        calls.extend(op.few.reset_to(chunk.of(actors.source)));
        match op.origin % 3 {
            1 => calls.push(actors.join),
            2 => calls.extend(self.plan_load(op, into, chunk.of(actors.source), actors.source)),
            _ => {}
        }
        if op.foreign % 4 != 0 {
            calls.push(op.few.added_to(chunk));
        }
        calls.push(op.ahead.added_to(first));
        let steps = |steps: u8| std::iter::repeat_n(actors.step.clone(), usize::from(steps % 9));
        calls.extend(actors.start);
        calls.extend(steps(op.steps.0));
        calls.push(actors.merge);
        calls.extend(steps(op.steps.1));
        calls.extend(actors.end);
        Some(calls)
    }

    fn hbitmap_actors(&self, op: &FromThinned, into: Slot, first: Chunk) -> Actors {
        let shape = self.content(Target::Hb(into)).shape;
        let free = self.free_hb();
        let slot = free.unwrap_or((into + 1) % HBS);
        let iter = op.iter as usize % ITERS;
        let make = free.is_none().then_some(Call::Free { slot });
        let alloc = Call::Alloc { slot, size: shape.size, granularity: shape.granularity as i32 };
        Actors {
            source: Target::Hb(slot),
            make: make.into_iter().chain([alloc]).collect(),
            join: Call::MergeHb { a: slot, b: slot, result: slot },
            start: vec![Call::IterInit { iter, slot: into, first: first.first_item() }],
            step: Call::IterNext { iter },
            merge: Call::MergeHb { a: into, b: slot, result: into },
            end: None,
        }
    }

    /// `None` if there is no slot for a second bitmap of this shape, or for an iterator.
    fn bitmap_actors(&self, into: Slot, first: Chunk) -> Option<Actors> {
        let (slot, bitmap) = (self.free_bitmap()?, self.bitmap(into));
        let iter = (0..ITERS).find(|&iter| self.dirty_iters[iter].is_none())?;
        let granularity = bitmap.content.shape.granularity;
        // A content that was restored may have one that no new bitmap can have.
        if self.nodes[bitmap.node].length != bitmap.size || !(9..=30).contains(&granularity) {
            return None;
        }
        let merge = |dest| Call::Merge { dest, src: slot, backup: None, errp: true };
        Some(Actors {
            source: Target::Bm(slot),
            make: vec![Call::Create {
                slot,
                node: bitmap.node,
                granularity: 1 << granularity,
                name: None,
                errp: true,
            }],
            join: merge(slot),
            start: vec![
                Call::DirtyIterNew { iter, bitmap: into },
                Call::DirtyIterSeek { iter, offset: first.first_item() as i64 },
            ],
            step: Call::DirtyIterNext { iter },
            merge: merge(into),
            end: Some(Call::Release { bitmap: slot }),
        })
    }

    /// Loads a chunk's few bits into a bitmap of the shape of one that lives.
    fn plan_load(
        &self,
        op: &FromThinned,
        like: Target,
        chunk: Chunk,
        target: Target,
    ) -> Option<Call> {
        let content = self.content(like);
        let (start, count, bytes) = op.few.serialized(chunk);
        let words = content.part(start, count).ok()?;
        let tail = content.tail(&words);
        Some(Call::DeserializePart { target, start, count, bytes, tail, finish: true })
    }
}
