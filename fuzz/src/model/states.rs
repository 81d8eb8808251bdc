// SPDX-License-Identifier: GPL-2.0-or-later
//! Calls on dirty bitmaps: states, successors, merging, iterators.

use super::content::{Checked, Content, Fault, allowed, fits, require};
use super::names::{MAX_NAME, printed};
use super::nodes::{os_error, report};
use super::{Bitmap, Model, Walk};
use crate::call::{Call, Change, IterKind, Outcome, Property, Report, Slot, Verdict};
use crate::position::Shape;

const BUSY: u32 = 1;
const READONLY: u32 = 2;
const INCONSISTENT: u32 = 4;
const DEFAULT: u32 = BUSY | READONLY | INCONSISTENT;
const ALLOW_RO: u32 = BUSY | INCONSISTENT;

/// The granularities, log2, that dirty bitmaps are made with.
pub(super) const GRANULARITIES: std::ops::Range<u32> = 9..32;

fn returns(outcome: Outcome) -> Checked<Verdict> {
    Ok(Verdict::Returns(outcome))
}

impl Model {
    pub(super) fn on_dirty_bitmap(&mut self, call: &Call) -> Option<Checked<Verdict>> {
        Some(match *call {
            Call::Create { slot, node, granularity, ref name, errp } => {
                self.create(slot, node, granularity, name.as_deref(), errp)
            }
            Call::Release { bitmap } => self.release(bitmap),
            Call::Property { bitmap, property } => returns(self.property(bitmap, property)),
            Call::Change { bitmap, change } => self.change(bitmap, change),
            Call::Check { bitmap, flags, errp } => returns(match self.refusal(bitmap, flags) {
                None => Outcome::Reported(0, None),
                Some(error) => Outcome::Reported(-1, error.filter(|_| errp)),
            }),
            Call::CreateSuccessor { bitmap, slot, errp } => {
                self.create_successor(bitmap, slot, errp)
            }
            Call::EnableSuccessor { bitmap } => match self.bitmap(bitmap).successor {
                // QEMU reads through the NULL.
                None => Err(Fault::OursAborts(18)),
                Some(successor) => {
                    self.bitmap_mut(successor).disabled = false;
                    returns(Outcome::Nothing)
                }
            },
            Call::Abdicate { bitmap, errp } => self.abdicate(bitmap, errp),
            Call::Reclaim { bitmap, errp, .. } => self.reclaim(bitmap, errp),
            Call::Clear { bitmap, out } => self.clear(bitmap, out),
            Call::Restore { bitmap, backup } => self.restore(bitmap, backup),
            Call::Coverage { bitmap, chunk } => self.coverage(bitmap, chunk),
            Call::Merge { dest, src, backup, errp } => self.merge(dest, src, backup, errp),
            Call::MergeInternal { dest, src, backup, .. } => {
                self.merge_internal(dest, src, backup).map(|sizes_match| {
                    if sizes_match {
                        Verdict::Returns(Outcome::I64(1))
                    } else {
                        // "Return types" in docs/differences.md.
                        Verdict::OracleAborts(Outcome::I64(0), 0)
                    }
                })
            }
            Call::DirtyIterNew { iter, bitmap } => {
                require(self.bitmap(bitmap).content.shape.size > 0).map(|()| {
                    self.dirty_iters[iter] =
                        Some((bitmap, Walk::new(&self.bitmap(bitmap).content, 0)));
                    self.bitmap_mut(bitmap).iterators += 1;
                    Verdict::Returns(Outcome::Nothing)
                })
            }
            Call::DirtyIterFree { iter } => {
                let (bitmap, _) =
                    self.dirty_iters[iter].take().expect("calls are made for what lives");
                self.bitmap_mut(bitmap).iterators -= 1;
                returns(Outcome::Nothing)
            }
            Call::DirtyIterNext { iter } => Ok(Verdict::Iterates(IterKind::Dirty(iter))),
            Call::DirtyIterSeek { iter, offset } => self.seek(iter, offset as u64),
            _ => return None,
        })
    }

    fn create(
        &mut self,
        slot: Slot,
        node: Slot,
        granularity: u32,
        name: Option<&[u8]>,
        errp: bool,
    ) -> Checked<Verdict> {
        require(granularity.is_power_of_two() && granularity >= 512)?;
        let refuse = |parts: &[&[u8]]| returns(Outcome::Reported(0, report(errp, parts)));
        if let Some(name) = name {
            if self.nodes[node]
                .bitmaps
                .iter()
                .any(|&other| self.bitmap(other).name.as_deref() == Some(name))
            {
                return refuse(&[b"Bitmap already exists: ", name]);
            }
            if name.len() > MAX_NAME {
                return refuse(&[b"Bitmap name too long: ", name]);
            }
        }
        let length = self.nodes[node].length;
        if length < 0 {
            return refuse(&[b"could not get length of device: ", &os_error(-length as i32)]);
        }
        let shape = allowed(length as u64, granularity.trailing_zeros() as i32)?;
        if !fits(shape, self.limits.max_bits) {
            return Ok(Verdict::Skip);
        }
        self.insert(slot, node, shape, name.map(<[u8]>::to_vec));
        returns(Outcome::Reported(1, None))
    }

    fn insert(&mut self, slot: Slot, node: Slot, shape: Shape, name: Option<Vec<u8>>) {
        self.bitmaps[slot] = Some(Bitmap {
            node,
            content: Content::new(shape),
            size: shape.size as i64,
            name,
            busy: false,
            disabled: false,
            readonly: false,
            persistent: false,
            inconsistent: false,
            skip_store: false,
            iterators: 0,
            successor: None,
        });
        self.nodes[node].bitmaps.insert(0, slot);
    }

    fn require_releasable(&self, slot: Slot) -> Checked<()> {
        let bitmap = self.bitmap(slot);
        require(bitmap.iterators == 0 && !bitmap.busy && bitmap.successor.is_none())
    }

    fn release(&mut self, slot: Slot) -> Checked<Verdict> {
        if self.bitmaps.iter().flatten().any(|other| other.successor == Some(slot)) {
            // A successor belongs to its parent.
            return Ok(Verdict::Skip);
        }
        self.require_releasable(slot)?;
        self.drop_bitmap(slot);
        returns(Outcome::Nothing)
    }

    fn property(&self, slot: Slot, property: Property) -> Outcome {
        let bitmap = self.bitmap(slot);
        match property {
            Property::Size => Outcome::I64(bitmap.size),
            Property::Name => Outcome::Bytes(bitmap.name.clone()),
            Property::HasSuccessor => Outcome::Bool(bitmap.successor.is_some()),
            Property::Enabled => Outcome::Bool(!bitmap.disabled),
            Property::Readonly => Outcome::Bool(bitmap.readonly),
            Property::Persistence => Outcome::Bool(bitmap.persistent && !bitmap.skip_store),
            Property::Inconsistent => Outcome::Bool(bitmap.inconsistent),
        }
    }

    fn change(&mut self, slot: Slot, change: Change) -> Checked<Verdict> {
        let bitmap = self.bitmap_mut(slot);
        match change {
            Change::Busy(busy) => bitmap.busy = busy,
            Change::Enable | Change::EnableLocked => bitmap.disabled = false,
            Change::Disable => bitmap.disabled = true,
            Change::Readonly(readonly) => bitmap.readonly = readonly,
            Change::Persistence(persistent) => bitmap.persistent = persistent,
            Change::SkipStore(skip) => bitmap.skip_store = skip,
            Change::SetInconsistent => {
                require(bitmap.persistent)?;
                bitmap.inconsistent = true;
                bitmap.disabled = true;
            }
        }
        returns(Outcome::Nothing)
    }

    /// Why `bdrv_dirty_bitmap_check` refuses a bitmap, if it does.
    fn refusal(&self, slot: Slot, flags: u32) -> Option<Report> {
        let bitmap = self.bitmap(slot);
        let refuse = |text: &[u8], hint: Option<&[u8]>| {
            let message = [b"Bitmap '", printed(bitmap.name.as_deref()), text].concat();
            Some(Some((message, hint.map(<[u8]>::to_vec))))
        };
        if flags & BUSY != 0 && bitmap.busy {
            return refuse(b"' is currently in use by another operation and cannot be used", None);
        }
        if flags & READONLY != 0 && bitmap.readonly {
            return refuse(b"' is readonly and cannot be modified", None);
        }
        if flags & INCONSISTENT != 0 && bitmap.inconsistent {
            let hint = b"Try block-dirty-bitmap-remove to delete this bitmap from disk\n";
            return refuse(b"' is inconsistent and cannot be used", Some(hint));
        }
        None
    }

    fn create_successor(&mut self, slot: Slot, child: Slot, errp: bool) -> Checked<Verdict> {
        if let Some(error) = self.refusal(slot, BUSY) {
            return returns(Outcome::Reported(-1, error.filter(|_| errp)));
        }
        if self.bitmap(slot).successor.is_some() {
            let text = b"Cannot create a successor for a bitmap that already has one";
            return returns(Outcome::Reported(-1, report(errp, &[text])));
        }
        let node = self.bitmap(slot).node;
        let length = self.nodes[node].length;
        if length < 0 {
            let parts: [&[u8]; 2] =
                [b"could not get length of device: ", &os_error(-length as i32)];
            return returns(Outcome::Reported(-1, report(errp, &parts)));
        }
        let shape = allowed(length as u64, self.bitmap(slot).content.shape.granularity as i32)?;
        if !fits(shape, self.limits.max_bits) {
            return Ok(Verdict::Skip);
        }
        self.insert(child, node, shape, None);
        self.bitmap_mut(child).disabled = self.bitmap(slot).disabled;
        let bitmap = self.bitmap_mut(slot);
        bitmap.disabled = true;
        bitmap.busy = true;
        bitmap.successor = Some(child);
        returns(Outcome::Reported(0, None))
    }

    fn abdicate(&mut self, slot: Slot, errp: bool) -> Checked<Verdict> {
        let Some(heir) = self.bitmap(slot).successor else {
            let text = b"Cannot relinquish control if there's no successor present";
            return returns(Outcome::Reported(-1, report(errp, &[text])));
        };
        require(self.bitmap(slot).iterators == 0)?;
        if self.bitmaps.iter().flatten().any(|other| other.successor == Some(slot)) {
            // The bitmap is itself a successor, and its parent would be left with what is released.
            return Ok(Verdict::Skip);
        }
        let (name, persistent) = (self.bitmap(slot).name.clone(), self.bitmap(slot).persistent);
        self.drop_bitmap(slot);
        let successor = self.bitmap_mut(heir);
        successor.name = name;
        successor.persistent = persistent;
        returns(Outcome::Reported(heir as i64, None))
    }

    fn reclaim(&mut self, slot: Slot, errp: bool) -> Checked<Verdict> {
        let Some(child) = self.bitmap(slot).successor else {
            let text = b"Cannot reclaim a successor when none is present";
            return returns(Outcome::Reported(-1, report(errp, &[text])));
        };
        require(self.bitmap(slot).content.shape.size == self.bitmap(child).content.shape.size)?;
        self.require_releasable(child)?;
        let successor = self.bitmap(child).clone();
        self.drop_bitmap(child);
        let bitmap = self.bitmap_mut(slot);
        bitmap.content.merge(&successor.content);
        bitmap.disabled = successor.disabled;
        bitmap.busy = false;
        bitmap.successor = None;
        returns(Outcome::Reported(slot as i64, None))
    }

    /// Replaces a content by another, which goes to a slot for HBitmaps if there is one.
    fn replace(&mut self, slot: Slot, content: Content, out: Option<Slot>) {
        let old = std::mem::replace(&mut self.bitmap_mut(slot).content, content);
        if let Some(out) = out {
            self.hbs[out] = Some(old);
        }
        for (_, walk) in self.dirty_iters.iter_mut().flatten().filter(|(of, _)| *of == slot) {
            // Entry 4.
            walk.content_replaced();
        }
    }

    fn clear(&mut self, slot: Slot, out: Option<Slot>) -> Checked<Verdict> {
        require(!self.bitmap(slot).readonly)?;
        match out {
            None => self.bitmap_mut(slot).content.clear(),
            Some(_) => {
                let bitmap = self.bitmap(slot);
                let shape = Shape { size: bitmap.size as u64, ..bitmap.content.shape };
                self.replace(slot, Content::new(shape), out);
            }
        }
        returns(Outcome::Nothing)
    }

    fn restore(&mut self, slot: Slot, backup: Slot) -> Checked<Verdict> {
        require(!self.bitmap(slot).readonly)?;
        let shape = self.hbs[backup].as_ref().expect("calls are made for what lives").shape;
        if shape.size != self.bitmap(slot).size as u64
            || !GRANULARITIES.contains(&shape.granularity)
        {
            // Not a backup of this bitmap, whatever it is.
            return Ok(Verdict::Skip);
        }
        let content = self.take_hb(backup).expect("it was there just now");
        self.replace(slot, content, None);
        returns(Outcome::Nothing)
    }

    fn coverage(&self, slot: Slot, chunk: i32) -> Checked<Verdict> {
        require(chunk % 8 == 0)?;
        if !(0..=i32::MAX >> 3).contains(&chunk) {
            return Err(Fault::OursAborts(16));
        }
        returns(Outcome::U64((chunk as u64 * 8) << self.bitmap(slot).content.shape.granularity))
    }

    fn merge(
        &mut self,
        dest: Slot,
        src: Slot,
        backup: Option<Slot>,
        errp: bool,
    ) -> Checked<Verdict> {
        if let Some(error) = self.refusal(dest, DEFAULT).or_else(|| self.refusal(src, ALLOW_RO)) {
            return returns(Outcome::Reported(0, error.filter(|_| errp)));
        }
        let (own, other) = (self.bitmap(dest).size, self.bitmap(src).size);
        if own != other {
            let text = format!(
                "Bitmaps are of different sizes (destination size is {own}, source size is \
                 {other}) and can't be merged"
            );
            return returns(Outcome::Reported(0, report(errp, &[text.as_bytes()])));
        }
        let sizes_match = self.merge_internal(dest, src, backup)?;
        assert!(sizes_match, "bitmaps are as large as their contents");
        returns(Outcome::Reported(1, None))
    }

    /// Whether the sizes match and it was done.
    fn merge_internal(&mut self, dest: Slot, src: Slot, backup: Option<Slot>) -> Checked<bool> {
        require(
            !self.bitmap(dest).readonly
                && !self.bitmap(dest).inconsistent
                && !self.bitmap(src).inconsistent,
        )?;
        let from = self.bitmap(src).content.clone();
        if from.shape.size != self.bitmap(dest).content.shape.size {
            return Ok(false);
        }
        match backup {
            None => self.bitmap_mut(dest).content.merge(&from),
            Some(_) => {
                let mut union = self.bitmap(dest).content.clone();
                union.merge(&from);
                self.replace(dest, union, backup);
            }
        }
        Ok(true)
    }

    fn seek(&mut self, iter: Slot, offset: u64) -> Checked<Verdict> {
        let (bitmap, walk) =
            self.dirty_iters[iter].as_ref().expect("calls are made for what lives");
        let (bitmap, lost) = (*bitmap, walk.oracle_lost);
        let content = &self.bitmap(bitmap).content;
        let inside = offset >> content.shape.granularity < content.shape.bits();
        if !inside && lost {
            return Err(Fault::OursAborts(4));
        }
        require(inside)?;
        let mut walk = Walk::new(content, offset);
        walk.oracle_lost = lost;
        self.dirty_iters[iter] = Some((bitmap, walk));
        let outcome = Outcome::Nothing;
        Ok(if lost {
            Verdict::OursReturns { outcome, entry: 4, repair: None }
        } else {
            Verdict::Returns(outcome)
        })
    }
}
