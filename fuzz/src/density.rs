// SPDX-License-Identifier: GPL-2.0-or-later
//! A chunk that gets a number of bits in some way. How a bitmap stores a chunk depends on its
//! history: a chunk with one bit may have had a thousand, a full one may have become full bit by
//! bit.

use arbitrary::Arbitrary;

use crate::call::{Call, Lock, Target};
use crate::position::{CHUNK, Position, Shape};

/// Numbers of bits at which some way to store a chunk may begin or end.
const DENSITIES: [u64; 12] = [1, 4, 5, 6, 7, 8, 9, 12, 32, 33, 64, 65];
/// How far apart they are; 0: evenly, over the whole chunk.
const STEPS: [u64; 6] = [0, 1, 2, 63, 64, 65];
/// The bits of a crowd that is thinned.
const CROWD: u64 = 200;

/// So many bits, one by one, or what is left of more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Arbitrary)]
pub enum Way {
    /// One by one in an empty chunk.
    Sets,
    /// Many bits are set, then all but these reset, gap by gap.
    CrowdReset,
    /// As before; the rest is reset bit by bit.
    CrowdResetByBit,
    /// The whole chunk is set, then all but these reset, gap by gap.
    FullReset,
}

/// A few bits of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Arbitrary)]
pub struct Few {
    density: u8,
    step: u8,
    offset: u8,
    way: Way,
}

/// What becomes of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Arbitrary)]
pub enum Fill {
    /// These bits and no others.
    Few(Few),
    /// All bits but one; the rest at once or bit by bit.
    AllButOne(u16, bool),
    /// Full, bit by bit.
    FullByBit,
    /// Full at once, then empty, bit by bit.
    EmptyByBit,
    /// A run from so many bits before the chunk's start to so many after it: set or reset.
    AcrossStart(u16, u16, bool),
}

/// The bits of a bitmap's chunk that are whole.
#[derive(Clone, Copy, Debug)]
pub struct Chunk {
    target: Target,
    shape: Shape,
    start: u64,
    end: u64,
}

impl Chunk {
    /// The chunk of a position. `None` if the bitmap has no whole bit.
    #[must_use]
    pub fn at(target: Target, shape: Shape, position: Position) -> Option<Self> {
        Self::nth(target, shape, (position.item(shape) >> shape.granularity) / CHUNK)
    }

    /// The chunk with a number, which wraps.
    #[must_use]
    pub fn nth(target: Target, shape: Shape, number: u64) -> Option<Self> {
        let whole = shape.size >> shape.granularity;
        let start = number.checked_rem(whole.div_ceil(CHUNK))? * CHUNK;
        Some(Self { target, shape, start, end: (start + CHUNK).min(whole) })
    }

    /// So many chunks before, or the first one.
    #[must_use]
    pub fn earlier(self, chunks: u64) -> Self {
        let start = self.start - self.start.min(chunks * CHUNK);
        Self { start, end: self.end.min(start + CHUNK), ..self }
    }

    /// The same chunk of another bitmap of the same shape.
    #[must_use]
    pub fn of(self, target: Target) -> Self {
        Self { target, ..self }
    }

    /// The first item of the chunk.
    #[must_use]
    pub fn first_item(self) -> u64 {
        self.start << self.shape.granularity
    }

    fn items(self, start: u64, end: u64) -> (u64, u64) {
        (start << self.shape.granularity, (end - start) << self.shape.granularity)
    }

    fn set(self, start: u64, end: u64) -> Option<Call> {
        let (from, count) = self.items(start, end);
        (start < end).then_some(Call::Set {
            target: self.target,
            start: from,
            count,
            lock: Lock::Inside,
        })
    }

    fn reset(self, start: u64, end: u64) -> Option<Call> {
        let (from, count) = self.items(start, end);
        (start < end).then_some(Call::Reset {
            target: self.target,
            start: from,
            count,
            lock: Lock::Inside,
        })
    }

    fn comb(self, start: u64, step: u64, times: u64, dirty: bool) -> Call {
        let (start, unit) = self.items(start, start + 1);
        // One bit alone may be so coarse that there is no step.
        let step = step.checked_mul(unit).unwrap_or(0);
        Call::Comb { target: self.target, start, step, times, unit, dirty }
    }

    /// Resets all between one bit and the next, so many times.
    fn gaps(self, start: u64, step: u64, times: u64) -> Call {
        let (start, unit) = self.items(start, start + step - 1);
        let (_, step) = self.items(0, step);
        Call::Comb { target: self.target, start, step, times, unit, dirty: false }
    }

    /// The calls that give the chunk these bits.
    #[must_use]
    pub fn fill(self, fill: Fill) -> Vec<Call> {
        let Self { start, end, .. } = self;
        let length = end - start;
        match fill {
            Fill::Few(few) => few.reset_to(self),
            Fill::AllButOne(at, by_bit) => {
                let hole = start + u64::from(at) % length;
                if by_bit {
                    let before = self.comb(start, 1, hole - start, true);
                    let after = self.comb(hole + 1, 1, end - hole - 1, true);
                    self.reset(hole, hole + 1).into_iter().chain([before, after]).collect()
                } else {
                    self.set(start, end).into_iter().chain(self.reset(hole, hole + 1)).collect()
                }
            }
            Fill::FullByBit => vec![self.comb(start, 1, length, true)],
            Fill::EmptyByBit => self
                .set(start, end)
                .into_iter()
                .chain([self.comb(start, 1, length, false)])
                .collect(),
            Fill::AcrossStart(before, after, dirty) => {
                let (from, to) =
                    (start - u64::from(before).min(start), start + u64::from(after) % (length + 1));
                let run = if dirty { self.set(from, to) } else { self.reset(from, to) };
                run.into_iter().collect()
            }
        }
    }
}

impl Few {
    /// The first bit, the step and the number.
    fn bits(self, chunk: Chunk) -> (u64, u64, u64) {
        let length = chunk.end - chunk.start;
        let offset = u64::from(self.offset) % length;
        let wanted = DENSITIES[usize::from(self.density) % DENSITIES.len()];
        let step = match STEPS[usize::from(self.step) % STEPS.len()] {
            0 => ((length - offset) / (wanted + 1)).max(1),
            step => step,
        };
        (chunk.start + offset, step, wanted.min((length - offset - 1) / step + 1))
    }

    /// Adds them, one by one.
    #[must_use]
    pub fn added_to(self, chunk: Chunk) -> Call {
        let (first, step, times) = self.bits(chunk);
        chunk.comb(first, step, times, true)
    }

    /// A part of the bitmap as it is serialised, from the chunk's start to its end or the bitmap's:
    /// start and count, and the bytes.
    #[must_use]
    pub fn serialized(self, chunk: Chunk) -> (u64, u64, Vec<u8>) {
        let Shape { size, granularity } = chunk.shape;
        let end = (chunk.start + CHUNK).min(chunk.shape.bits());
        let mut bytes = vec![0; ((end - chunk.start).div_ceil(64) * 8) as usize];
        let (first, step, times) = self.bits(chunk);
        for bit in (0..times).map(|number| first + number * step - chunk.start) {
            bytes[bit as usize / 8] |= 1 << (bit % 8);
        }
        let start = chunk.first_item();
        (start, u64::min((end - chunk.start) << granularity, size - start), bytes)
    }

    /// Leaves these bits in the chunk, and no others.
    #[must_use]
    pub fn reset_to(self, chunk: Chunk) -> Vec<Call> {
        let (first, step, times) = self.bits(chunk);
        let mut calls = Vec::new();
        match self.way {
            Way::Sets => calls.extend(chunk.reset(chunk.start, chunk.end)),
            Way::CrowdReset => {
                let apart = ((chunk.end - chunk.start) / CROWD).max(1);
                let crowd = CROWD.min((chunk.end - chunk.start - 1) / apart + 1);
                calls.push(chunk.comb(chunk.start, apart, crowd, true));
            }
            Way::CrowdResetByBit => {
                calls.extend(chunk.reset(chunk.start, chunk.end));
                let crowd = CROWD.min(chunk.end - chunk.start);
                calls.push(chunk.comb(chunk.start, 1, crowd, true));
                calls.push(chunk.comb(chunk.start, 1, crowd, false));
            }
            Way::FullReset => calls.extend(chunk.set(chunk.start, chunk.end)),
        }
        calls.push(chunk.comb(first, step, times, true));
        calls.extend(chunk.reset(chunk.start, first));
        if step > 1 {
            calls.push(chunk.gaps(first + 1, step, times - 1));
        }
        calls.extend(chunk.reset(first + (times - 1) * step + 1, chunk.end));
        calls
    }
}
