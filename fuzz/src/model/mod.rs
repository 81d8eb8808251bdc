// SPDX-License-Identifier: GPL-2.0-or-later
//! The model: bitmaps as sets of runs, nodes as lists, and for each call what it must do.
//! It was written from the contract (include/qemu_dirty_bitmap.h and docs/differences.md) and knows
//! no words, levels or chunks.

mod content;
mod contents;
mod hbitmaps;
mod names;
mod nodes;
mod plan;
mod states;
mod thinned;
mod walk;

use crate::call::{BITMAPS, Call, HBS, ITERS, IterKind, NODES, Outcome, Slot, Target, Verdict};
use crate::library::Origin;
use crate::position::Limits;
use content::{Content, Fault};
use walk::Walk;

/// A dirty bitmap.
#[derive(Clone, Debug)]
struct Bitmap {
    node: Slot,
    content: Content,
    size: i64,
    name: Option<Vec<u8>>,
    busy: bool,
    disabled: bool,
    readonly: bool,
    persistent: bool,
    inconsistent: bool,
    skip_store: bool,
    iterators: u32,
    successor: Option<Slot>,
}

/// A node.
#[derive(Clone, Debug, Default)]
struct Node {
    length: i64,
    driver: u8,
    /// Newest first.
    bitmaps: Vec<Slot>,
}

/// Everything that a session's calls have made.
#[derive(Clone, Debug)]
pub struct Model {
    limits: Limits,
    hbs: [Option<Content>; HBS],
    nodes: [Node; NODES],
    bitmaps: [Option<Bitmap>; BITMAPS],
    iters: [Option<(Slot, Walk)>; ITERS],
    dirty_iters: [Option<(Slot, Walk)>; ITERS],
}

impl Model {
    /// Nodes without bitmaps.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            hbs: Default::default(),
            nodes: Default::default(),
            bitmaps: Default::default(),
            iters: Default::default(),
            dirty_iters: Default::default(),
        }
    }

    /// What a call must do. Does it, if it returns.
    pub fn run(&mut self, call: &Call) -> Verdict {
        let verdict = self
            .on_content(call)
            .or_else(|| self.on_hbitmap(call))
            .or_else(|| self.on_node(call))
            .or_else(|| self.on_dirty_bitmap(call))
            .expect("every call is on one of these");
        self.follow();
        verdict.unwrap_or_else(|fault| match fault {
            Fault::Aborts => Verdict::Aborts,
            Fault::OursAborts(entry) => Verdict::OursAborts(entry),
        })
    }

    /// Iterators notice what the call did.
    fn follow(&mut self) {
        for (slot, walk) in self.iters.iter_mut().flatten() {
            if let Some(content) = &self.hbs[*slot] {
                walk.follow(content);
            }
        }
        for (slot, walk) in self.dirty_iters.iter_mut().flatten() {
            if let Some(bitmap) = &self.bitmaps[*slot] {
                walk.follow(&bitmap.content);
            }
        }
    }

    /// Judges what an iterator returned.
    ///
    /// # Errors
    /// What is wrong.
    pub fn judge(
        &mut self,
        iter: IterKind,
        origin: Origin,
        outcome: &Outcome,
    ) -> Result<(), String> {
        let Outcome::I64(item) = *outcome else {
            return Err(format!("{outcome:?} from an iterator"));
        };
        let (walk, content) = match iter {
            IterKind::Hb(iter) => {
                let (slot, walk) = self.iters[iter].as_mut().expect("a live iterator");
                (walk, self.hbs[*slot].as_ref())
            }
            IterKind::Dirty(iter) => {
                let (slot, walk) = self.dirty_iters[iter].as_mut().expect("a live iterator");
                (walk, self.bitmaps[*slot].as_ref().map(|bitmap| &bitmap.content))
            }
        };
        walk.judge(origin, content.expect("an iterator's bitmap lives"), item)
    }

    /// Whether QEMU's iterator can't be used any more.
    #[must_use]
    pub fn oracle_lost(&self, iter: IterKind) -> bool {
        let iter = match iter {
            IterKind::Hb(iter) => &self.iters[iter],
            IterKind::Dirty(iter) => &self.dirty_iters[iter],
        };
        iter.as_ref().is_some_and(|(_, walk)| walk.oracle_lost)
    }

    /// Whether an iterator is in use.
    #[must_use]
    pub fn has_iter(&self, iter: IterKind) -> bool {
        match iter {
            IterKind::Hb(iter) => self.iters[iter].is_some(),
            IterKind::Dirty(iter) => self.dirty_iters[iter].is_some(),
        }
    }

    /// HBitmaps and dirty bitmaps that live.
    #[must_use]
    pub fn targets(&self) -> Vec<Target> {
        let hbs = (0..HBS).filter(|&slot| self.hbs[slot].is_some()).map(Target::Hb);
        let bitmaps = (0..BITMAPS).filter(|&slot| self.bitmaps[slot].is_some()).map(Target::Bm);
        hbs.chain(bitmaps).collect()
    }

    fn content(&self, target: Target) -> &Content {
        match target {
            Target::Hb(slot) => self.hbs[slot].as_ref(),
            Target::Bm(slot) => self.bitmaps[slot].as_ref().map(|bitmap| &bitmap.content),
        }
        .expect("calls are made for what lives")
    }

    fn content_mut(&mut self, target: Target) -> &mut Content {
        match target {
            Target::Hb(slot) => self.hbs[slot].as_mut(),
            Target::Bm(slot) => self.bitmaps[slot].as_mut().map(|bitmap| &mut bitmap.content),
        }
        .expect("calls are made for what lives")
    }

    fn bitmap(&self, slot: Slot) -> &Bitmap {
        self.bitmaps[slot].as_ref().expect("calls are made for what lives")
    }

    fn bitmap_mut(&mut self, slot: Slot) -> &mut Bitmap {
        self.bitmaps[slot].as_mut().expect("calls are made for what lives")
    }

    /// Whether the content is small enough to be looked at as a whole.
    #[must_use]
    pub fn readable(&self, target: Target) -> bool {
        content::fits(self.content(target).shape, self.limits.readable_bits)
    }

    /// Bits of a target.
    #[must_use]
    pub fn bits(&self, target: Target) -> u64 {
        self.content(target).shape.bits()
    }

    /// The ranges of items that are dirty in an HBitmap.
    #[must_use]
    pub fn item_ranges(&self, slot: Slot) -> Vec<(u64, u64)> {
        self.content(Target::Hb(slot)).item_ranges().collect()
    }

    /// The next call on the way to a session's end, where all objects are released, whatever state
    /// they are in.
    #[must_use]
    pub fn next_of_ending(&self) -> Option<Call> {
        use crate::call::Change;
        if let Some(iter) = (0..ITERS).find(|&iter| self.dirty_iters[iter].is_some()) {
            return Some(Call::DirtyIterFree { iter });
        }
        if let Some(slot) = (0..HBS).find(|&slot| self.hbs[slot].is_some()) {
            return Some(Call::Free { slot });
        }
        let is_successor =
            |slot| self.bitmaps.iter().flatten().any(|other| other.successor == Some(slot));
        let bitmap =
            (0..BITMAPS).find(|&slot| self.bitmaps[slot].is_some() && !is_successor(slot))?;
        let state = self.bitmap(bitmap);
        Some(if state.successor.is_some() {
            Call::Abdicate { bitmap, errp: true }
        } else if state.readonly {
            Call::Change { bitmap, change: Change::Readonly(false) }
        } else if state.busy {
            Call::Change { bitmap, change: Change::Busy(false) }
        } else if !state.content.bits.is_empty() {
            // Out of the bitmap, so that it is checked from inside.
            Call::Clear { bitmap, out: Some(0) }
        } else {
            Call::Release { bitmap }
        })
    }
}
