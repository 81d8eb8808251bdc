// SPDX-License-Identifier: GPL-2.0-or-later
//! Calls on nodes.

use std::ffi::{CStr, CString};

use super::Model;
use super::content::{Checked, allowed, fits, require};
use crate::call::{Call, Info, Outcome, Report, Slot, Verdict};
use crate::driver;

/// The text of an errno.
pub(super) fn os_error(errno: i32) -> Vec<u8> {
    // SAFETY: gives a C string that stays until this thread's next call of it.
    unsafe { CStr::from_ptr(libc::strerror(errno)) }.to_bytes().to_vec()
}

/// What is left in `errp`.
pub(super) fn report(errp: bool, parts: &[&[u8]]) -> Report {
    errp.then(|| (parts.concat(), None))
}

impl Model {
    pub(super) fn on_node(&mut self, call: &Call) -> Option<Checked<Verdict>> {
        Some(Ok(Verdict::Returns(match *call {
            Call::SetLength { node, length } => {
                self.nodes[node].length = length;
                Outcome::I64(length)
            }
            Call::SetDriver { node, driver } => {
                self.nodes[node].driver = driver;
                Outcome::Nothing
            }
            Call::SupportsPersistent { node } => Outcome::Bool(self.nodes[node].driver == 2),
            Call::CanStore { node, granularity, errp, .. } => {
                self.can_store(node, granularity, errp)
            }
            Call::RemovePersistent { node, ref name, errp, .. } => {
                self.remove_persistent(node, name, errp)
            }
            Call::DefaultGranularity { node } => Outcome::U64([65536, 8192][node]),
            Call::Write { node, offset, bytes } => {
                return Some(self.write(node, offset as u64, bytes as u64));
            }
            Call::TruncateAll { node, bytes } => return Some(self.truncate_all(node, bytes)),
            Call::ReleaseNamed { node } => return Some(self.release_named(node)),
            Call::HasReadonly { node } => {
                Outcome::Bool(self.on(node).any(|slot| self.bitmap(slot).readonly))
            }
            Call::HasNamed { node } => {
                Outcome::Bool(self.on(node).any(|slot| self.bitmap(slot).name.is_some()))
            }
            Call::Query { node } => {
                Outcome::Infos(self.on(node).map(|slot| self.info(slot)).collect())
            }
            Call::Find { node, ref name } => Outcome::Object(
                self.on(node).find(|&slot| self.bitmap(slot).name.as_ref() == Some(name)),
            ),
            Call::First { node } => Outcome::Object(self.on(node).next()),
            Call::Next { bitmap } => {
                let mut rest = self.on(self.bitmap(bitmap).node).skip_while(|&slot| slot != bitmap);
                Outcome::Object(rest.nth(1))
            }
            _ => return None,
        })))
    }

    /// The bitmaps of a node, newest first.
    fn on(&self, node: Slot) -> impl Iterator<Item = Slot> + '_ {
        self.nodes[node].bitmaps.iter().copied()
    }

    fn can_store(&self, node: Slot, granularity: u32, errp: bool) -> Outcome {
        let refuse = |errno| {
            let node = [b"node0", b"node1"][node];
            let parts: [&[u8]; 4] =
                [b"Can't store persistent bitmaps to ", node, b": ", &os_error(errno)];
            Outcome::Reported(0, report(errp, &parts))
        };
        match self.nodes[node].driver {
            0 => refuse(libc::ENOMEDIUM),
            1 => refuse(libc::ENOTSUP),
            _ => match driver::stores(granularity) {
                Ok(()) => Outcome::Reported(1, None),
                Err(message) => Outcome::Reported(0, report(errp, &[message.to_bytes()])),
            },
        }
    }

    fn remove_persistent(&self, node: Slot, name: &[u8], errp: bool) -> Outcome {
        if self.nodes[node].driver != 2 {
            return Outcome::Reported(0, None);
        }
        let name = CString::new(name).expect("names have no NUL");
        match driver::removes(&name) {
            Ok(result) => Outcome::Reported(i64::from(result), None),
            Err(message) => {
                Outcome::Reported(i64::from(-libc::EPERM), report(errp, &[message.to_bytes()]))
            }
        }
    }

    /// Checked in the list's order, and done only if all can be done: a call that aborts leaves
    /// nothing to look at.
    fn write(&mut self, node: Slot, offset: u64, bytes: u64) -> Checked<Verdict> {
        let enabled: Vec<Slot> =
            self.on(node).filter(|&slot| !self.bitmap(slot).disabled).collect();
        let mut ranges = Vec::new();
        for &slot in &enabled {
            require(!self.bitmap(slot).readonly)?;
            ranges.push(self.bitmap(slot).content.settable(offset, bytes)?);
        }
        for (slot, range) in enabled.into_iter().zip(ranges) {
            self.bitmap_mut(slot).content.assign(range, true);
        }
        Ok(Verdict::Returns(Outcome::Nothing))
    }

    fn truncate_all(&mut self, node: Slot, bytes: i64) -> Checked<Verdict> {
        let all: Vec<Slot> = self.on(node).collect();
        for &slot in &all {
            let bitmap = self.bitmap(slot);
            require(!bitmap.busy && bitmap.successor.is_none() && bitmap.iterators == 0)?;
            let shape = allowed(bytes as u64, bitmap.content.shape.granularity as i32)?;
            if !fits(shape, self.limits.max_bits) {
                // Before what may be wrong with the next one.
                return Ok(Verdict::Skip);
            }
        }
        for slot in all {
            let bitmap = self.bitmap_mut(slot);
            let shape = crate::position::Shape { size: bytes as u64, ..bitmap.content.shape };
            bitmap.content.truncate(shape);
            bitmap.size = bytes;
        }
        Ok(Verdict::Returns(Outcome::Nothing))
    }

    fn release_named(&mut self, node: Slot) -> Checked<Verdict> {
        let named: Vec<Slot> =
            self.on(node).filter(|&slot| self.bitmap(slot).name.is_some()).collect();
        for &slot in &named {
            let bitmap = self.bitmap(slot);
            require(!bitmap.busy && bitmap.successor.is_none() && bitmap.iterators == 0)?;
        }
        for slot in named {
            self.drop_bitmap(slot);
        }
        Ok(Verdict::Returns(Outcome::Nothing))
    }

    /// Takes a bitmap off its node.
    pub(super) fn drop_bitmap(&mut self, slot: Slot) {
        if let Some(bitmap) = self.bitmaps[slot].take() {
            self.nodes[bitmap.node].bitmaps.retain(|&other| other != slot);
        }
    }

    fn info(&self, slot: Slot) -> Info {
        let bitmap = self.bitmap(slot);
        let successor_records =
            bitmap.successor.is_some_and(|successor| !self.bitmap(successor).disabled);
        Info {
            name: bitmap.name.clone(),
            count: bitmap.content.count() as i64,
            granularity: 1 << bitmap.content.shape.granularity,
            recording: !bitmap.disabled || successor_records,
            busy: bitmap.busy,
            persistent: bitmap.persistent,
            has_inconsistent: bitmap.inconsistent,
            inconsistent: bitmap.inconsistent,
        }
    }
}
