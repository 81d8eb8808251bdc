// SPDX-License-Identifier: GPL-2.0-or-later
//! What a row of the benchmark is.

use crate::api::{Api, Engine};
use crate::bits::Maker;
use crate::roar::Roaring;

/// One row on one implementation, with what it works on.
pub trait Case {
    /// Restores the state at the start of a run. Not timed.
    fn prepare(&mut self);
    /// The timed part.
    fn run(&mut self) -> u64;
    /// What the last run led to, equal for all implementations but `roaring`. Not timed.
    fn outcome(&self) -> u64;
}

struct Closures<S, P, R, O> {
    state: S,
    prepare: P,
    run: R,
    outcome: O,
    result: u64,
}

impl<S, P: FnMut(&mut S), R: FnMut(&mut S) -> u64, O: Fn(&S) -> u64> Case for Closures<S, P, R, O> {
    fn prepare(&mut self) {
        (self.prepare)(&mut self.state);
    }
    fn run(&mut self) -> u64 {
        self.result = (self.run)(&mut self.state);
        self.result
    }
    fn outcome(&self) -> u64 {
        self.result ^ (self.outcome)(&self.state).rotate_left(32)
    }
}

/// A case from its three parts, which share a state.
pub fn case<S: 'static>(
    state: S,
    prepare: impl FnMut(&mut S) + 'static,
    run: impl FnMut(&mut S) -> u64 + 'static,
    outcome: impl Fn(&S) -> u64 + 'static,
) -> Box<dyn Case> {
    Box::new(Closures { state, prepare, run, outcome, result: 0 })
}

/// What the machine allows at best.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// A copy of this many bytes.
    Copy(u64),
    /// An OR of two arrays of this many bytes each into one of them, with the number of bits.
    OrCount(u64),
    /// A call from a loop, to a function that does nothing.
    Call,
}

/// Which table a row belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// The goals of the project; the geometric mean is theirs.
    Goals,
    /// Other ways to do the same, and operations without a goal.
    Extra,
    /// How cost grows with size and granularity.
    Growth,
    /// Generated file-system workloads.
    Workload,
    /// `bdrv_set_dirty` on a node with several bitmaps.
    Node,
    /// A block backend in Rust, beside `AtomicBitmap`.
    Embed,
}

/// A maker of a row's case for one implementation, or `None` where that has no such operation.
pub type MakeCase = Box<dyn Fn(Engine) -> Option<Box<dyn Case>>>;

/// A row of the benchmark.
pub struct Row {
    /// Stable, and the first part is the group.
    pub id: String,
    /// For a reader.
    pub what: String,
    /// Operations in one run: times are given for one operation.
    pub operations: u64,
    /// How many times faster than QEMU's C it shall be.
    pub target: f64,
    /// What the machine allows, where something else than the work could bind.
    pub bound: Option<Bound>,
    /// Where it is reported.
    pub table: Table,
    /// Whether `roaring` does other work there than the two: then its time is shown, and this
    /// library may be slower.
    pub roaring_differs: bool,
    /// Makes what is timed.
    pub make: MakeCase,
}

impl Row {
    /// A row of the table of goals.
    pub fn new(id: &str, what: &str, operations: u64, target: f64, make: MakeCase) -> Row {
        Row {
            id: id.into(),
            what: what.into(),
            operations,
            target,
            bound: None,
            table: Table::Goals,
            roaring_differs: false,
            make,
        }
    }
    /// Adds what the machine allows.
    pub fn bound(mut self, bound: Bound) -> Row {
        self.bound = Some(bound);
        self
    }
    /// Says that `roaring` does other work there.
    pub fn roaring_differs(mut self) -> Row {
        self.roaring_differs = true;
        self
    }
    /// Reports the row in another table.
    pub fn table(mut self, table: Table) -> Row {
        self.table = table;
        self
    }
}

/// Makes a case of any implementation from a function that is generic over it.
pub trait Generic {
    /// The case on one implementation's bitmaps.
    fn make<M: Maker>(&self, maker: M) -> Box<dyn Case>;
}

/// A row's maker that also covers `roaring`.
pub fn all_three(generic: impl Generic + 'static) -> MakeCase {
    Box::new(move |engine| {
        Some(match engine {
            Engine::Qemu(api) | Engine::Ours(api) => generic.make(api),
            Engine::Roaring => generic.make(Roaring),
            Engine::AtomicBitmap => return None,
        })
    })
}

/// A row's maker for C's ABI alone.
pub fn c_only(make: impl Fn(&'static Api) -> Box<dyn Case> + 'static) -> MakeCase {
    Box::new(move |engine| engine.api().map(&make))
}
