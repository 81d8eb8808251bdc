// SPDX-License-Identifier: GPL-2.0-or-later
//! Calls on HBitmaps alone.

use super::content::{Checked, Content, allowed, fits, require};
use super::{Model, Walk};
use crate::call::{Call, IterKind, Outcome, Slot, Verdict};

impl Model {
    fn hb(&self, slot: Slot) -> &Content {
        self.hbs[slot].as_ref().expect("calls are made for what lives")
    }

    pub(super) fn on_hbitmap(&mut self, call: &Call) -> Option<Checked<Verdict>> {
        let nothing = Ok(Verdict::Returns(Outcome::Nothing));
        Some(match *call {
            Call::Alloc { slot, size, granularity } => allowed(size, granularity).map(|shape| {
                if self.hbs[slot].is_some() || !fits(shape, self.limits.max_bits) {
                    return Verdict::Skip;
                }
                self.hbs[slot] = Some(Content::new(shape));
                Verdict::Returns(Outcome::Bool(true))
            }),
            Call::Free { slot } => {
                self.take_hb(slot);
                nothing
            }
            Call::Truncate { slot, size } => self.truncate_hb(slot, size),
            Call::MergeHb { a, b, result } => Ok(self.merge_hbs(a, b, result)),
            Call::Empty { slot } => {
                Ok(Verdict::Returns(Outcome::Bool(self.hb(slot).bits.is_empty())))
            }
            Call::ResetAll { slot } => {
                self.hbs[slot].as_mut().expect("calls are made for what lives").clear();
                nothing
            }
            Call::IsSerializable { slot } => {
                Ok(Verdict::Returns(Outcome::Bool(self.hb(slot).shape.granularity < 58)))
            }
            Call::IterInit { iter, slot, first } => {
                let content = self.hb(slot);
                let walk = require(first >> content.shape.granularity < content.shape.bits())
                    .map(|()| Walk::new(content, first));
                walk.map(|walk| {
                    self.iters[iter] = Some((slot, walk));
                    Verdict::Returns(Outcome::Nothing)
                })
            }
            Call::IterNext { iter } => Ok(Verdict::Iterates(IterKind::Hb(iter))),
            _ => return None,
        })
    }

    /// Empties a slot; iterators of what was in it must not be used any more.
    pub(super) fn take_hb(&mut self, slot: Slot) -> Option<Content> {
        for iter in &mut self.iters {
            if iter.as_ref().is_some_and(|&(of, _)| of == slot) {
                *iter = None;
            }
        }
        self.hbs[slot].take()
    }

    fn truncate_hb(&mut self, slot: Slot, size: u64) -> Checked<Verdict> {
        let old = self.hb(slot).shape;
        let shape = allowed(size, old.granularity as i32)?;
        if !fits(shape, self.limits.max_bits) {
            return Ok(Verdict::Skip);
        }
        self.hbs[slot].as_mut().expect("calls are made for what lives").truncate(shape);
        if shape.bits() < old.bits() {
            // Entry 3.
            for (_, walk) in self.iters.iter_mut().flatten().filter(|(of, _)| *of == slot) {
                walk.oracle_lost = true;
            }
        }
        Ok(Verdict::Returns(Outcome::Nothing))
    }

    fn merge_hbs(&mut self, a: Slot, b: Slot, result: Slot) -> Verdict {
        let (from, with, to) = (self.hb(a), self.hb(b), self.hb(result));
        if from.shape.size != to.shape.size || with.shape.size != to.shape.size {
            // "Return types" in docs/differences.md.
            return Verdict::OracleAborts(Outcome::I64(0), 0);
        }
        let one_granularity = from.shape.granularity == with.shape.granularity;
        let foreign = one_granularity && from.shape.granularity != to.shape.granularity;
        let wrong_in_c = foreign && !(from.bits.is_empty() && with.bits.is_empty());
        let mut union = Content::new(to.shape);
        union.merge(from);
        union.merge(with);
        let version = to.version + 1;
        self.hbs[result] = Some(Content { version, ..union });
        let outcome = Outcome::I64(1);
        if wrong_in_c {
            Verdict::OursReturns { outcome, entry: 2, repair: Some(result) }
        } else {
            Verdict::Returns(outcome)
        }
    }
}
