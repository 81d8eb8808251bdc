// SPDX-License-Identifier: GPL-2.0-or-later
//! Operations become calls: picks become objects that live, positions become numbers.

use super::Model;
use super::names::{name_of, optional};
use crate::call::{BITMAPS, Call, Change, HBS, ITERS, Lock, NODES, Slot, Target};
use crate::density::Chunk;
use crate::op::{ContentOp, FromCoarser, HbOp, NodeOp, Op, Pick};
use crate::position::{Shape, Span};

/// Lengths that nodes get, in bytes; negative ones are errnos.
const LENGTHS: &[i64] = &[
    0,
    1,
    511,
    512,
    32768,
    (1 << 20) - 1,
    1 << 20,
    (1 << 20) + 1,
    64 << 20,
    (64 << 20) + 512 * 7 + 3,
    (2 << 30) - 77,
    1 << 37,
    i64::MAX,
    -(libc::ENOMEDIUM as i64),
    -(libc::EIO as i64),
];
const SIZES: usize = LENGTHS.len() - 2;

pub(super) fn pick<T: Copy>(live: &[T], pick: Pick) -> Option<T> {
    (!live.is_empty()).then(|| live[pick as usize % live.len()])
}

fn around(around: bool) -> Lock {
    if around { Lock::Around } else { Lock::Inside }
}

impl Model {
    /// The calls that an operation means now. None if there is nothing to do it with.
    #[must_use]
    pub fn plan(&self, op: &Op) -> Vec<Call> {
        match op {
            Op::Content(of, op) => {
                let targets = self.targets();
                if targets.is_empty() {
                    return Vec::new();
                }
                self.plan_content(targets[*of as usize % targets.len()], op)
            }
            Op::Hb(op) => self.plan_hbitmap(op).unwrap_or_default(),
            Op::FromCoarser(op) => self.plan_from_coarser(op).unwrap_or_default(),
            Op::FromThinned(op) => self.plan_from_thinned(op).unwrap_or_default(),
            Op::Chunk(of, position, fill) => {
                let target = pick(&self.targets(), *of);
                let chunk = target
                    .and_then(|target| Chunk::at(target, self.content(target).shape, *position));
                chunk.map(|chunk| chunk.fill(*fill)).unwrap_or_default()
            }
            Op::Node(op) => {
                self.plan_node(op).or_else(|| self.plan_dirty_bitmap(op)).unwrap_or_default()
            }
        }
    }

    fn live_hbs(&self) -> Vec<Slot> {
        (0..HBS).filter(|&slot| self.hbs[slot].is_some()).collect()
    }

    fn live_bitmaps(&self) -> Vec<Slot> {
        (0..BITMAPS).filter(|&slot| self.bitmaps[slot].is_some()).collect()
    }

    pub(super) fn free_hb(&self) -> Option<Slot> {
        (0..HBS).find(|&slot| self.hbs[slot].is_none())
    }

    pub(super) fn free_bitmap(&self) -> Option<Slot> {
        (0..BITMAPS).find(|&slot| self.bitmaps[slot].is_none())
    }

    fn plan_content(&self, target: Target, op: &ContentOp) -> Vec<Call> {
        let content = self.content(target);
        let shape = content.shape;
        let set = |span: &Span, lock| {
            let (start, count) = span.items(shape);
            Call::Set { target, start, count, lock }
        };
        let part = |span: &Span| {
            let (start, count) = span.of_words(shape);
            let words = content.part(start, count).unwrap_or(0..0);
            let length = (words.end - words.start) * 8;
            let small = length <= self.limits.max_part;
            (start, count, small.then_some(length as usize), content.tail(&words))
        };
        vec![match op {
            ContentOp::Set(span, lock) => set(span, around(*lock)),
            ContentOp::SetMore(a, b, c) => {
                return [a, b, c].map(|span| set(span, Lock::Inside)).to_vec();
            }
            ContentOp::Reset(span, lock) => {
                let (start, count) = span.of_bits(shape);
                Call::Reset { target, start, count, lock: around(*lock) }
            }
            ContentOp::Comb(position, step, times, dirty) => {
                let (start, step, times) = position.comb(shape, *step, *times, *dirty);
                Call::Comb {
                    target,
                    start,
                    step,
                    times,
                    unit: 1 << shape.granularity,
                    dirty: *dirty,
                }
            }
            ContentOp::Get(position, lock) => {
                Call::Get { target, item: position.item(shape), lock: around(*lock) }
            }
            ContentOp::Count => Call::Count { target },
            ContentOp::Granularity => Call::Granularity { target },
            ContentOp::Sha256 => Call::Sha256 { target },
            ContentOp::NextDirty(span) => {
                let (start, count) = span.items(shape);
                Call::NextDirty { target, start: start as i64, count: count as i64 }
            }
            ContentOp::NextZero(span) => {
                let (start, count) = span.items(shape);
                Call::NextZero { target, start: start as i64, count: count as i64 }
            }
            ContentOp::NextDirtyArea(span, max) => {
                let (start, count) = span.items(shape);
                let end = start.wrapping_add(count) as i64;
                Call::NextDirtyArea {
                    target,
                    start: start as i64,
                    end,
                    max: max.item(shape) as i64,
                }
            }
            ContentOp::Areas(max) => return self.plan_areas(target, max.item(shape) as i64),
            ContentOp::Status(span) => {
                let (start, count) = span.items(shape);
                Call::Status { target, start: start as i64, count: count as i64 }
            }
            ContentOp::SerializationAlign => Call::SerializationAlign { target },
            ContentOp::SerializationSize(span) => {
                let (start, count) = span.of_words(shape);
                Call::SerializationSize { target, start, count }
            }
            ContentOp::Serialize(span) => match part(span) {
                (start, count, Some(length), _) => {
                    Call::SerializePart { target, start, count, length }
                }
                _ => return Vec::new(),
            },
            ContentOp::Deserialize(span, pattern, finish) => match part(span) {
                (start, count, Some(length), tail) => {
                    let bytes = pattern.bytes(length);
                    Call::DeserializePart { target, start, count, bytes, tail, finish: *finish }
                }
                _ => return Vec::new(),
            },
            ContentOp::Zeroes(span, finish) => {
                let (start, count) = span.of_words(shape);
                Call::DeserializeZeroes { target, start, count, finish: *finish }
            }
            ContentOp::Ones(span, finish) => match part(span) {
                (start, count, Some(length), tail) => {
                    Call::DeserializeOnes { target, start, count, length, tail, finish: *finish }
                }
                _ => return Vec::new(),
            },
            ContentOp::Finish => Call::DeserializeFinish { target },
        }]
    }

    /// The loop over areas that QEMU's callers have, for some rounds.
    fn plan_areas(&self, target: Target, max: i64) -> Vec<Call> {
        let max = max.max(1);
        let mut calls = Vec::new();
        let mut start = 0;
        for _ in 0..8 {
            calls.push(Call::NextDirtyArea { target, start, end: i64::MAX, max });
            match self.content(target).next_dirty_area(start, i64::MAX, max) {
                Ok(Some((from, length))) => start = from.saturating_add(length),
                _ => break,
            }
        }
        calls
    }

    fn plan_hbitmap(&self, op: &HbOp) -> Option<Vec<Call>> {
        let live = self.live_hbs();
        let shape = |slot: Slot| self.content(Target::Hb(slot)).shape;
        Some(vec![match *op {
            HbOp::Alloc(slot, extent) => {
                let (size, granularity) = extent.resolve(self.limits);
                let slot = self.free_hb().unwrap_or(slot as usize % HBS);
                let alloc = Call::Alloc { slot, size, granularity };
                if self.hbs[slot].is_some() {
                    return Some(vec![Call::Free { slot }, alloc]);
                }
                alloc
            }
            HbOp::Free(slot) => Call::Free { slot: pick(&live, slot)? },
            HbOp::Truncate(slot, extent) => {
                let slot = pick(&live, slot)?;
                let size = extent.size_for(shape(slot).granularity, self.limits);
                Call::Truncate { slot, size }
            }
            HbOp::Merge(a, b, result) => Call::MergeHb {
                a: pick(&live, a)?,
                b: pick(&live, b)?,
                result: pick(&live, result)?,
            },
            HbOp::MergeAlike(a, b, result) => {
                let a = pick(&live, a)?;
                let alike: Vec<Slot> =
                    live.into_iter().filter(|&slot| shape(slot).size == shape(a).size).collect();
                Call::MergeHb { a, b: pick(&alike, b)?, result: pick(&alike, result)? }
            }
            HbOp::Empty(slot) => Call::Empty { slot: pick(&live, slot)? },
            HbOp::ResetAll(slot) => Call::ResetAll { slot: pick(&live, slot)? },
            HbOp::IsSerializable(slot) => Call::IsSerializable { slot: pick(&live, slot)? },
            HbOp::IterInit(iter, slot, position) => {
                let slot = pick(&live, slot)?;
                Call::IterInit {
                    iter: iter as usize % ITERS,
                    slot,
                    first: position.item(shape(slot)),
                }
            }
            HbOp::IterNext(iter, times) => {
                let iters: Vec<Slot> =
                    (0..ITERS).filter(|&iter| self.iters[iter].is_some()).collect();
                let iter = pick(&iters, iter)?;
                return Some(vec![Call::IterNext { iter }; times as usize % 6 + 1]);
            }
        }])
    }

    fn plan_from_coarser(&self, op: &FromCoarser) -> Option<Vec<Call>> {
        let into = pick(&self.live_hbs(), op.into)?;
        let fine = self.content(Target::Hb(into)).shape;
        let coarse = Shape { granularity: fine.granularity + 4 + u32::from(op.shift % 9), ..fine };
        if coarse.granularity > 63 {
            return None;
        }
        let free = self.free_hb();
        let slot = free.unwrap_or((into + 1) % HBS);
        let target = Target::Hb(slot);
        let (start, step, times) = op.start.comb(coarse, op.step, op.times, true);
        let mut calls = Vec::new();
        calls.extend(op.anew.then_some(Call::ResetAll { slot: into }));
        calls.extend(free.is_none().then_some(Call::Free { slot }));
        calls.push(Call::Alloc { slot, size: coarse.size, granularity: coarse.granularity as i32 });
        calls.push(Call::Comb {
            target,
            start,
            step,
            times,
            unit: 1 << coarse.granularity,
            dirty: true,
        });
        calls.push(Call::MergeHb { a: into, b: slot, result: into });
        Some(calls)
    }

    fn plan_node(&self, op: &NodeOp) -> Option<Vec<Call>> {
        let node = |node: Pick| node as usize % NODES;
        Some(vec![match *op {
            NodeOp::SetLength(on, length) => {
                Call::SetLength { node: node(on), length: LENGTHS[length as usize % LENGTHS.len()] }
            }
            NodeOp::SetDriver(on, driver) => {
                Call::SetDriver { node: node(on), driver: driver % crate::driver::DRIVERS }
            }
            NodeOp::SupportsPersistent(on) => Call::SupportsPersistent { node: node(on) },
            NodeOp::CanStore(on, name, granularity, coroutine, errp) => Call::CanStore {
                node: node(on),
                name: name_of(name),
                granularity: 512 << (granularity % 20),
                coroutine,
                errp,
            },
            NodeOp::RemovePersistent(on, name, coroutine, errp) => {
                Call::RemovePersistent { node: node(on), name: name_of(name), coroutine, errp }
            }
            NodeOp::DefaultGranularity(on) => Call::DefaultGranularity { node: node(on) },
            NodeOp::Write(on, span) => {
                // Relative to a bitmap of the node, or to the node.
                let size = self.nodes[node(on)].length.max(0) as u64;
                let first = self.nodes[node(on)]
                    .bitmaps
                    .first()
                    .map(|&slot| self.bitmap(slot).content.shape);
                let (offset, bytes) = span.items(first.unwrap_or(Shape { size, granularity: 9 }));
                let write =
                    Call::Write { node: node(on), offset: offset as i64, bytes: bytes as i64 };
                // The second one fills the write filter, which a node has for two bitmaps or more;
                // the third one finds it.
                let times = if self.nodes[node(on)].bitmaps.len() > 1 { 3 } else { 1 };
                return Some(vec![write; times]);
            }
            NodeOp::TruncateAll(on, length) => {
                let length = if length == 255 { -1 } else { LENGTHS[length as usize % SIZES] };
                let truncate = Call::TruncateAll { node: node(on), bytes: length };
                if length < 0 {
                    return Some(vec![truncate]);
                }
                // As QEMU does it: the node first.
                return Some(vec![Call::SetLength { node: node(on), length }, truncate]);
            }
            NodeOp::ReleaseNamed(on) => Call::ReleaseNamed { node: node(on) },
            NodeOp::HasReadonly(on) => Call::HasReadonly { node: node(on) },
            NodeOp::HasNamed(on) => Call::HasNamed { node: node(on) },
            NodeOp::Query(on) => Call::Query { node: node(on) },
            NodeOp::Find(on, name) => Call::Find { node: node(on), name: name_of(name) },
            NodeOp::First(on) => Call::First { node: node(on) },
            NodeOp::Create { node: on, granularity, name, errp } => {
                let slot = self.free_bitmap()?;
                let length = self.nodes[node(on)].length;
                let mut log2 = u32::from(granularity % 23) + 9;
                // Mostly one that suits the node.
                let most =
                    if granularity < 220 { self.limits.usual_bits } else { self.limits.max_bits };
                while granularity < 230 && length >> log2 > most as i64 && log2 < 31 {
                    log2 += 1;
                }
                let granularity = if granularity >= 250 {
                    [0, 1, 256, 513, 3, 1 << 31][usize::from(granularity) - 250]
                } else {
                    1 << log2
                };
                Call::Create { slot, node: node(on), granularity, name: optional(name), errp }
            }
            _ => return None,
        }])
    }

    fn plan_dirty_bitmap(&self, op: &NodeOp) -> Option<Vec<Call>> {
        let live = self.live_bitmaps();
        let of = |bitmap: Pick| pick(&live, bitmap);
        let iter_of = |iter: Pick| {
            let iters: Vec<Slot> =
                (0..ITERS).filter(|&iter| self.dirty_iters[iter].is_some()).collect();
            pick(&iters, iter)
        };
        let backup = |wanted: bool| if wanted { self.free_hb() } else { None };
        Some(vec![match *op {
            NodeOp::Next(bitmap) => Call::Next { bitmap: of(bitmap)? },
            NodeOp::Release(bitmap) => Call::Release { bitmap: of(bitmap)? },
            NodeOp::Property(bitmap, property) => Call::Property { bitmap: of(bitmap)?, property },
            NodeOp::Change(bitmap, change) => Call::Change { bitmap: of(bitmap)?, change },
            NodeOp::Calm(bitmap) => {
                let bitmap = of(bitmap)?;
                let changes = [Change::Busy(false), Change::Readonly(false), Change::Enable];
                return Some(changes.map(|change| Call::Change { bitmap, change }).to_vec());
            }
            NodeOp::Check(bitmap, flags, errp) => {
                Call::Check { bitmap: of(bitmap)?, flags: u32::from(flags), errp }
            }
            NodeOp::CreateSuccessor(bitmap, errp) => {
                Call::CreateSuccessor { bitmap: of(bitmap)?, slot: self.free_bitmap()?, errp }
            }
            NodeOp::EnableSuccessor(bitmap) => Call::EnableSuccessor { bitmap: of(bitmap)? },
            NodeOp::Abdicate(bitmap, errp) => Call::Abdicate { bitmap: of(bitmap)?, errp },
            NodeOp::Reclaim(bitmap, lock, errp) => {
                Call::Reclaim { bitmap: of(bitmap)?, lock: around(lock), errp }
            }
            NodeOp::Clear(bitmap, out) => Call::Clear { bitmap: of(bitmap)?, out: backup(out) },
            NodeOp::Restore(bitmap, from) => {
                let bitmap = of(bitmap)?;
                let size = self.bitmap(bitmap).size as u64;
                let fitting: Vec<Slot> = self
                    .live_hbs()
                    .into_iter()
                    .filter(|&slot| self.content(Target::Hb(slot)).shape.size == size)
                    .collect();
                Call::Restore { bitmap, backup: pick(&fitting, from)? }
            }
            NodeOp::Coverage(bitmap, chunk) => Call::Coverage { bitmap: of(bitmap)?, chunk },
            NodeOp::CoverageOfWords(bitmap, words) => {
                Call::Coverage { bitmap: of(bitmap)?, chunk: i32::from(words) * 8 }
            }
            NodeOp::Merge { dest, src, backup: wanted, errp } => {
                Call::Merge { dest: of(dest)?, src: of(src)?, backup: backup(wanted), errp }
            }
            NodeOp::MergeInternal { dest, src, backup: wanted, lock } => {
                Call::MergeInternal { dest: of(dest)?, src: of(src)?, backup: backup(wanted), lock }
            }
            NodeOp::IterNew(bitmap) => {
                let iter = (0..ITERS).find(|&iter| self.dirty_iters[iter].is_none())?;
                Call::DirtyIterNew { iter, bitmap: of(bitmap)? }
            }
            NodeOp::IterFree(iter) => Call::DirtyIterFree { iter: iter_of(iter)? },
            NodeOp::IterNext(iter, times) => {
                return Some(vec![
                    Call::DirtyIterNext { iter: iter_of(iter)? };
                    times as usize % 6 + 1
                ]);
            }
            NodeOp::IterSeek(iter, position) => {
                let iter = iter_of(iter)?;
                let (bitmap, _) = self.dirty_iters[iter].as_ref()?;
                let offset = position.item(self.bitmap(*bitmap).content.shape) as i64;
                Call::DirtyIterSeek { iter, offset }
            }
            NodeOp::WalkFrom(bitmap, position, times) => {
                let iter = (0..ITERS).find(|&iter| self.dirty_iters[iter].is_none())?;
                let bitmap = of(bitmap)?;
                let shape = self.bitmap(bitmap).content.shape;
                let mut calls = vec![Call::DirtyIterNew { iter, bitmap }];
                if shape.size != 0 {
                    calls.push(Call::DirtyIterSeek { iter, offset: position.item(shape) as i64 });
                    calls.extend(vec![Call::DirtyIterNext { iter }; times as usize % 6 + 1]);
                }
                return Some(calls);
            }
            NodeOp::Spoil(bitmap) => {
                let bitmap = of(bitmap)?;
                let changes = [Change::Persistence(true), Change::SetInconsistent];
                return Some(changes.map(|change| Call::Change { bitmap, change }).to_vec());
            }
            NodeOp::Turnover(iter, a, b, times) => {
                let iter = iter_of(iter)?;
                let bitmap = self.dirty_iters[iter].as_ref()?.0;
                let shape = self.bitmap(bitmap).content.shape;
                let mut calls = vec![Call::Clear { bitmap, out: Some(self.free_hb()?) }];
                for span in [a, b] {
                    let (start, count) = span.items(shape);
                    calls.push(Call::Set {
                        target: Target::Bm(bitmap),
                        start,
                        count,
                        lock: Lock::Inside,
                    });
                }
                calls.extend(vec![Call::DirtyIterNext { iter }; times as usize % 3 + 1]);
                return Some(calls);
            }
            _ => return None,
        }])
    }
}
