// SPDX-License-Identifier: GPL-2.0-or-later
//! Calls that HBitmaps and dirty bitmaps have in common.

use super::Model;
use super::content::{Checked, require};
use crate::call::{Call, Outcome, Target, Verdict};

fn returns(outcome: Outcome) -> Checked<Verdict> {
    Ok(Verdict::Returns(outcome))
}

impl Model {
    /// Dirty bitmaps can be read-only.
    fn require_writable(&self, target: Target) -> Checked<()> {
        match target {
            Target::Hb(_) => Ok(()),
            Target::Bm(slot) => require(!self.bitmap(slot).readonly),
        }
    }

    pub(super) fn on_content(&mut self, call: &Call) -> Option<Checked<Verdict>> {
        Some(match *call {
            Call::Set { target, start, count, .. } => self.assign(target, start, count, true),
            Call::Reset { target, start, count, .. } => self.assign(target, start, count, false),
            Call::Comb { target, start, step, times, unit, dirty } => {
                let items = if dirty { 1 } else { unit };
                self.comb(target, (start, step, times), items, dirty)
            }
            Call::Get { target, item, .. } => {
                self.content(target).get(item).map(|dirty| Verdict::Returns(Outcome::Bool(dirty)))
            }
            Call::Count { target } => returns(Outcome::U64(self.content(target).count())),
            Call::Granularity { target } => {
                let granularity = self.content(target).shape.granularity;
                returns(Outcome::U64(match target {
                    Target::Hb(_) => u64::from(granularity),
                    Target::Bm(_) => 1 << granularity,
                }))
            }
            Call::Sha256 { target } => {
                if !self.readable(target) {
                    return Some(Ok(Verdict::Skip));
                }
                returns(Outcome::Bytes(Some(self.content(target).sha256().into_bytes())))
            }
            Call::NextDirty { target, start, count } => self
                .content(target)
                .next_dirty(start, count)
                .map(|item| Verdict::Returns(Outcome::I64(item))),
            Call::NextZero { target, start, count } => {
                let content = self.content(target);
                content.next_zero(start, count).map(|item| {
                    let outcome = Outcome::I64(item);
                    if content.overread(start) {
                        Verdict::OursReturns { outcome, entry: 1, repair: None }
                    } else {
                        Verdict::Returns(outcome)
                    }
                })
            }
            Call::NextDirtyArea { target, start, end, max } => self
                .content(target)
                .next_dirty_area(start, end, max)
                .map(|area| Verdict::Returns(Outcome::Area(area))),
            Call::Status { target, start, count } => self
                .content(target)
                .status(start, count)
                .map(|(dirty, same)| Verdict::Returns(Outcome::Status(dirty, same))),
            Call::SerializationAlign { target } => {
                self.content(target).alignment().map(|align| Verdict::Returns(Outcome::U64(align)))
            }
            Call::SerializationSize { target, start, count } => self
                .content(target)
                .part_size(start, count)
                .map(|bytes| Verdict::Returns(Outcome::U64(bytes))),
            Call::SerializePart { target, start, count, .. } => {
                let content = self.content(target);
                content
                    .part(start, count)
                    .map(|part| Verdict::Returns(Outcome::Bytes(Some(content.bytes(part)))))
            }
            Call::DeserializePart { target, start, count, ref bytes, .. } => {
                self.content(target).part(start, count).map(|part| {
                    if !part.is_empty() {
                        self.content_mut(target).load(part, bytes);
                    }
                    Verdict::Returns(Outcome::Nothing)
                })
            }
            Call::DeserializeZeroes { target, start, count, .. } => {
                self.fill(target, start, count, false)
            }
            Call::DeserializeOnes { target, start, count, .. } => {
                self.fill(target, start, count, true)
            }
            Call::DeserializeFinish { target } => {
                if self.content(target).shape.size == 0 {
                    return Some(Ok(Verdict::OracleAborts(Outcome::Nothing, 20)));
                }
                returns(Outcome::Nothing)
            }
            _ => return None,
        })
    }

    fn assign(&mut self, target: Target, start: u64, count: u64, dirty: bool) -> Checked<Verdict> {
        self.require_writable(target)?;
        let content = self.content_mut(target);
        let bits = if dirty {
            content.settable(start, count)?
        } else {
            content.resettable(start, count)?
        };
        content.assign(bits, dirty);
        returns(Outcome::Nothing)
    }

    /// The plan sees to it that all teeth are within the bitmap.
    fn comb(
        &mut self,
        target: Target,
        teeth: (u64, u64, u64),
        items: u64,
        dirty: bool,
    ) -> Checked<Verdict> {
        let (start, step, times) = teeth;
        if times != 0 {
            self.require_writable(target)?;
        }
        let content = self.content_mut(target);
        for tooth in 0..times {
            let bit = (start + tooth * step) >> content.shape.granularity;
            content.assign(bit..bit + items.div_ceil(1 << content.shape.granularity), dirty);
        }
        returns(Outcome::Nothing)
    }

    fn fill(&mut self, target: Target, start: u64, count: u64, dirty: bool) -> Checked<Verdict> {
        let content = self.content_mut(target);
        let part = content.part(start, count)?;
        content.assign(part.start * 64..(part.end * 64).min(content.shape.bits()), dirty);
        returns(Outcome::Nothing)
    }
}
