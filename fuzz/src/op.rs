// SPDX-License-Identifier: GPL-2.0-or-later
//! What a fuzzer invents. There are few objects, so that operations meet.

use arbitrary::{Arbitrary, Unstructured};

use crate::call::{Change, Property};
use crate::density::{Few, Fill};
use crate::position::{Extent, Position, Span};

/// An index into the objects that live; wraps.
pub type Pick = u8;

/// Content for a bitmap: repeated until the part is full.
#[derive(Clone, Debug, PartialEq, Eq, Arbitrary)]
pub enum Pattern {
    /// All bytes the same.
    Same(u8),
    /// These bytes again and again.
    Repeat([u8; 9]),
    /// Zero but for a few bytes, at positions that wrap.
    Sparse([(u16, u8); 3]),
    /// All ones but for a few bytes.
    Dense([(u16, u8); 3]),
}

impl Pattern {
    /// The bytes of a part.
    #[must_use]
    pub fn bytes(&self, length: usize) -> Vec<u8> {
        let scattered = |base: u8, positions: &[(u16, u8)]| {
            let mut bytes = vec![base; length];
            for &(position, value) in positions {
                if length != 0 {
                    bytes[position as usize % length] = value;
                }
            }
            bytes
        };
        match self {
            Pattern::Same(byte) => vec![*byte; length],
            Pattern::Repeat(bytes) => bytes.iter().copied().cycle().take(length).collect(),
            Pattern::Sparse(positions) => scattered(0, positions),
            Pattern::Dense(positions) => scattered(0xff, positions),
        }
    }
}

/// On an HBitmap or on the content of a dirty bitmap.
#[derive(Clone, Debug, PartialEq, Eq, Arbitrary)]
#[allow(missing_docs)]
pub enum ContentOp {
    Set(Span, bool),
    SetMore(Span, Span, Span),
    Reset(Span, bool),
    /// From a position on, so many bits (up to 2047), so many apart: sets or resets.
    Comb(Position, u8, u16, bool),
    Get(Position, bool),
    Count,
    Granularity,
    Sha256,
    NextDirty(Span),
    NextZero(Span),
    NextDirtyArea(Span, Position),
    /// All areas, as callers loop over them.
    Areas(Position),
    Status(Span),
    SerializationAlign,
    SerializationSize(Span),
    Serialize(Span),
    Deserialize(Span, Pattern, bool),
    Zeroes(Span, bool),
    Ones(Span, bool),
    Finish,
}

/// On HBitmaps alone.
#[derive(Clone, Debug, PartialEq, Eq, Arbitrary)]
#[allow(missing_docs)]
pub enum HbOp {
    Alloc(Pick, Extent),
    Free(Pick),
    Truncate(Pick, Extent),
    Merge(Pick, Pick, Pick),
    /// A merge of bitmaps of one size, which chance alone seldom finds.
    MergeAlike(Pick, Pick, Pick),
    Empty(Pick),
    ResetAll(Pick),
    IsSerializable(Pick),
    IterInit(Pick, Pick, Position),
    IterNext(Pick, u8),
}

/// A new HBitmap as large as one that lives, but of a granularity at least sixteen times as coarse,
/// with a row of bits set, is merged into that one: a way to long runs of bits,
/// which chance alone hardly finds.
#[derive(Clone, Debug, PartialEq, Eq, Arbitrary)]
pub struct FromCoarser {
    /// The one that lives.
    pub into: Pick,
    /// Whether it is emptied first.
    pub anew: bool,
    /// How much coarser, from 4 on; wraps.
    pub shift: u8,
    /// The row, as in [`ContentOp::Comb`].
    pub start: Position,
    /// As there.
    pub step: u8,
    /// As there.
    pub times: u16,
}

/// A new bitmap of the shape of one that lives, with a chunk of few bits that may have been many,
/// is merged into that one while an iterator is on its way there. The merge adds nothing, unless
/// the bits are foreign: then only how the chunk is stored may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Arbitrary)]
pub struct FromThinned {
    /// The one that lives.
    pub into: Pick,
    /// The chunk; wraps.
    pub chunk: u16,
    /// The source's bits.
    pub few: Few,
    /// Whether they are set in the other one before; wraps: mostly.
    pub foreign: u8,
    /// What the source goes through before it is merged; wraps.
    pub origin: u8,
    /// The iterator.
    pub iter: Pick,
    /// It starts so many chunks before that one; wraps.
    pub before: u8,
    /// What the chunk where it starts gets.
    pub ahead: Few,
    /// The iterator's steps before and after the merge; wraps.
    pub steps: (u8, u8),
}

/// On nodes and dirty bitmaps.
#[derive(Clone, Debug, PartialEq, Eq, Arbitrary)]
#[allow(missing_docs)]
pub enum NodeOp {
    SetLength(Pick, u8),
    SetDriver(Pick, u8),
    SupportsPersistent(Pick),
    CanStore(Pick, u8, u8, bool, bool),
    RemovePersistent(Pick, u8, bool, bool),
    DefaultGranularity(Pick),
    Write(Pick, Span),
    TruncateAll(Pick, u8),
    ReleaseNamed(Pick),
    HasReadonly(Pick),
    HasNamed(Pick),
    Query(Pick),
    Find(Pick, u8),
    First(Pick),
    Next(Pick),
    Create {
        node: Pick,
        granularity: u8,
        name: u8,
        errp: bool,
    },
    Release(Pick),
    Property(Pick, Property),
    Change(Pick, Change),
    /// Back to a bitmap that can be used.
    Calm(Pick),
    Check(Pick, u8, bool),
    CreateSuccessor(Pick, bool),
    EnableSuccessor(Pick),
    Abdicate(Pick, bool),
    Reclaim(Pick, bool, bool),
    Clear(Pick, bool),
    Restore(Pick, Pick),
    Coverage(Pick, i32),
    CoverageOfWords(Pick, u16),
    Merge {
        dest: Pick,
        src: Pick,
        backup: bool,
        errp: bool,
    },
    MergeInternal {
        dest: Pick,
        src: Pick,
        backup: bool,
        lock: bool,
    },
    IterNew(Pick),
    IterFree(Pick),
    IterNext(Pick, u8),
    IterSeek(Pick, Position),
    /// A new iterator that starts somewhere.
    WalkFrom(Pick, Position, u8),
    /// Persistent, and then inconsistent.
    Spoil(Pick),
    /// The content is replaced and filled anew under an iterator, which then goes on.
    Turnover(Pick, Span, Span, u8),
}

/// One operation.
#[derive(Clone, Debug, PartialEq, Eq, Arbitrary)]
pub enum Op {
    /// On the content of what `Pick` picks.
    Content(Pick, ContentOp),
    /// On HBitmaps.
    Hb(HbOp),
    /// On two of them.
    FromCoarser(FromCoarser),
    /// On two of them, and an iterator.
    FromThinned(FromThinned),
    /// On a chunk of what `Pick` picks.
    Chunk(Pick, Position, Fill),
    /// On nodes and dirty bitmaps.
    Node(NodeOp),
}

/// What a sequence is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// HBitmaps: node operations are left out.
    HBitmaps,
    /// Nodes with dirty bitmaps; HBitmaps come as backups.
    DirtyBitmaps,
}

/// The most operations of one sequence.
const MOST: usize = 120;

/// The sequence that bytes stand for: any bytes give one.
#[must_use]
pub fn sequence(subject: Subject, bytes: &[u8]) -> Vec<Op> {
    let mut input = Unstructured::new(bytes);
    let mut ops = Vec::new();
    while !input.is_empty() && ops.len() < MOST {
        let op = match subject {
            Subject::HBitmaps => hbitmap_op(&mut input),
            Subject::DirtyBitmaps => dirty_bitmap_op(&mut input),
        };
        match op {
            Ok(op) => ops.push(op),
            Err(_) => break,
        }
    }
    ops
}

/// Bytes that choose what they are about, by their first one.
#[must_use]
pub fn sequence_on_either(bytes: &[u8]) -> Vec<Op> {
    match bytes.split_first() {
        None => Vec::new(),
        Some((first, rest)) if first % 2 == 0 => sequence(Subject::HBitmaps, rest),
        Some((_, rest)) => sequence(Subject::DirtyBitmaps, rest),
    }
}

/// An operation on HBitmaps. Every second question whether one can be serialised, which there are
/// too many of, stands for another operation: so all others keep the bytes that they had in the
/// corpora.
fn on_hbitmaps(input: &mut Unstructured<'_>) -> arbitrary::Result<Op> {
    Ok(match input.arbitrary()? {
        HbOp::IsSerializable(slot) if slot % 2 == 1 => Op::FromCoarser(input.arbitrary()?),
        op => Op::Hb(op),
    })
}

/// From here on a pick of a content, which wraps, stands for an operation on one of its chunks, and
/// from there on for a merge.
const CHUNKWISE: Pick = 0xf0;
const THINNED: Pick = 0xf8;

fn on_content(input: &mut Unstructured<'_>) -> arbitrary::Result<Op> {
    Ok(match input.arbitrary()? {
        THINNED.. => Op::FromThinned(input.arbitrary()?),
        pick @ CHUNKWISE.. => Op::Chunk(pick, input.arbitrary()?, input.arbitrary()?),
        pick => Op::Content(pick, input.arbitrary()?),
    })
}

fn hbitmap_op(input: &mut Unstructured<'_>) -> arbitrary::Result<Op> {
    Ok(match input.int_in_range(0..=2u8)? {
        0 => on_hbitmaps(input)?,
        _ => on_content(input)?,
    })
}

fn dirty_bitmap_op(input: &mut Unstructured<'_>) -> arbitrary::Result<Op> {
    Ok(match input.int_in_range(0..=5u8)? {
        0 => on_hbitmaps(input)?,
        1 | 2 => on_content(input)?,
        _ => Op::Node(input.arbitrary()?),
    })
}
