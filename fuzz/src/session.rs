// SPDX-License-Identifier: GPL-2.0-or-later
//! Runs a sequence on the model and on implementations, and compares after each call.

use std::fmt::Write;

use crate::api::Api;
use crate::c_library::CLibrary;
use crate::call::{Call, IterKind, Lock, Outcome, Slot, Target, Verdict};
use crate::child::{self, End};
use crate::library::{Library, Origin};
use crate::model::Model;
use crate::op::Op;
use crate::position::Limits;

/// Bits up to which the model's hash is compared after every call; larger bitmaps take turns.
const SMALL: u64 = 1 << 15;
/// Bits up to which this library's hash is compared with QEMU's after every call.
const HASHED: u64 = 5 << 20;
/// Bits up to which the invariants are checked after every call.
const CHECKED: u64 = 1 << 22;
/// How many calls there are to one look at a large bitmap.
const TURNS: usize = 16;

/// What a session did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Calls that returned and were compared.
    pub calls: u64,
    /// Calls that had to abort, and did, in a child.
    pub aborts: u64,
    /// Calls for which QEMU's C is undefined or aborts, and this library returns.
    pub differences: u64,
    /// How often an entry of docs/differences.md decided (0: "Return types"); some decide without
    /// being counted here.
    pub entries: [u64; 32],
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.calls += other.calls;
        self.aborts += other.aborts;
        self.differences += other.differences;
        for (own, other) in self.entries.iter_mut().zip(other.entries) {
            *own += other;
        }
    }
}

/// What to run on.
#[derive(Clone, Copy)]
pub struct Setup {
    /// This library, or a shared object of it.
    pub ours: &'static Api,
    /// QEMU's C, if it takes part.
    pub qemu: Option<&'static Api>,
    /// One of so many calls that must abort is made, in a child.
    pub abort_every: usize,
}

/// A session: the objects of one sequence in every implementation.
struct Session {
    setup: Setup,
    model: Model,
    ours: CLibrary,
    qemu: Option<CLibrary>,
    log: Vec<Call>,
    must_abort: usize,
    tally: Tally,
}

/// Runs a sequence.
///
/// # Panics
/// If implementations differ, or do not do what the model says; the message has the calls up to
/// there.
pub fn run(setup: Setup, ops: &[Op]) -> Tally {
    let limits = if setup.qemu.is_some() { Limits::WITH_QEMU } else { Limits::ALONE };
    let mut session = Session {
        setup,
        model: Model::new(limits),
        ours: CLibrary::new(setup.ours, Origin::Ours),
        qemu: setup.qemu.map(|api| CLibrary::new(api, Origin::Qemu)),
        log: Vec::new(),
        must_abort: ops.len() % setup.abort_every,
        tally: Tally::default(),
    };
    for op in ops {
        for call in session.model.plan(op) {
            session.call(call);
        }
    }
    for target in session.model.targets() {
        session.observe(target, true, true);
    }
    while let Some(call) = session.model.next_of_ending() {
        session.call(call);
    }
    session.ours.free_nodes();
    if let Some(qemu) = session.qemu {
        qemu.free_nodes();
    }
    session.tally
}

impl Session {
    fn call(&mut self, call: Call) {
        if !self.lives(&call) {
            return;
        }
        let verdict = self.model.run(&call);
        if verdict == Verdict::Skip {
            return;
        }
        self.log.push(call.clone());
        if let Verdict::OursReturns { entry, .. }
        | Verdict::OursAborts(entry)
        | Verdict::OracleAborts(_, entry) = verdict
        {
            self.tally.entries[usize::from(entry)] += 1;
        }
        match verdict {
            Verdict::Returns(expected) => {
                self.ours_returns(&call, &expected);
                if let Some(qemu) = &mut self.qemu {
                    let got = qemu.run(&call);
                    if got != expected {
                        self.fail(&format!("QEMU returned {got:?}, the model {expected:?}"));
                    }
                }
                self.tally.calls += 1;
            }
            Verdict::Iterates(iter) => self.iterate(&call, iter),
            Verdict::Aborts => self.abort(&call, true),
            Verdict::OursAborts(_) => self.abort(&call, false),
            Verdict::OursReturns { outcome, repair, .. } => {
                self.ours_returns(&call, &outcome);
                if let Some(slot) = repair {
                    self.repair(slot);
                }
                self.tally.differences += 1;
            }
            Verdict::OracleAborts(outcome, _) => {
                self.ours_returns(&call, &outcome);
                if self.due() {
                    self.qemu_aborts(&call);
                }
                self.tally.differences += 1;
            }
            Verdict::Skip => {}
        }
        let finished = !matches!(
            call,
            Call::DeserializePart { finish: false, .. }
                | Call::DeserializeZeroes { finish: false, .. }
                | Call::DeserializeOnes { finish: false, .. }
        );
        for target in self.touched(&call) {
            self.observe(target, finished, false);
        }
    }

    /// Whether what a planned call needs is still there: the calls of one operation are planned
    /// together.
    fn lives(&self, call: &Call) -> bool {
        match call {
            Call::IterNext { iter } => self.model.has_iter(IterKind::Hb(*iter)),
            Call::DirtyIterNext { iter } => self.model.has_iter(IterKind::Dirty(*iter)),
            _ => true,
        }
    }

    fn ours_returns(&mut self, call: &Call, expected: &Outcome) {
        let got = self.ours.run(call);
        if got != *expected {
            self.fail(&format!("this library returned {got:?}, the model {expected:?}"));
        }
    }

    fn iterate(&mut self, call: &Call, iter: IterKind) {
        let got = self.ours.run(call);
        if let Err(message) = self.model.judge(iter, Origin::Ours, &got) {
            self.fail(&format!("this library's iterator returned {got:?}: {message}"));
        }
        if self.model.oracle_lost(iter) {
            self.tally.differences += 1;
            return;
        }
        if let Some(qemu) = &mut self.qemu {
            let got = qemu.run(call);
            if let Err(message) = self.model.judge(iter, Origin::Qemu, &got) {
                self.fail(&format!("QEMU's iterator returned {got:?}: {message}"));
            }
        }
        self.tally.calls += 1;
    }

    /// Whether it is the turn of a call that aborts: a child takes as long as many calls.
    fn due(&mut self) -> bool {
        self.must_abort += 1;
        self.must_abort % self.setup.abort_every == 0
    }

    fn abort(&mut self, call: &Call, both: bool) {
        if !self.due() {
            return;
        }
        let ours = child::run(|| drop(self.ours.run(call)));
        let message =
            ours.stderr.contains("Assertion `") || ours.stderr.contains("must not be NULL");
        if ours.end != End::Killed(libc::SIGABRT) || !message {
            self.fail(&format!("this library must abort with a message: {ours:?}"));
        }
        if both {
            self.qemu_aborts(call);
        }
        self.tally.aborts += 1;
    }

    fn qemu_aborts(&mut self, call: &Call) {
        let Some(qemu) = &mut self.qemu else { return };
        let end = child::run(|| drop(qemu.run(call)));
        if end.end != End::Killed(libc::SIGABRT) {
            self.fail(&format!("QEMU must abort: {end:?}"));
        }
    }

    /// Gives an HBitmap's content to QEMU, which could not do the call itself.
    fn repair(&mut self, slot: Slot) {
        let Some(qemu) = &mut self.qemu else { return };
        qemu.run(&Call::ResetAll { slot });
        for (start, count) in self.model.item_ranges(slot) {
            qemu.run(&Call::Set { target: Target::Hb(slot), start, count, lock: Lock::Inside });
        }
    }

    /// What a call may have changed.
    fn touched(&self, call: &Call) -> Vec<Target> {
        let wanted: Vec<Target> = match *call {
            Call::Set { target, .. }
            | Call::Reset { target, .. }
            | Call::Comb { target, .. }
            | Call::DeserializePart { target, .. }
            | Call::DeserializeZeroes { target, .. }
            | Call::DeserializeOnes { target, .. }
            | Call::DeserializeFinish { target } => vec![target],
            Call::Alloc { slot, .. } | Call::Truncate { slot, .. } | Call::ResetAll { slot } => {
                vec![Target::Hb(slot)]
            }
            Call::MergeHb { a, b, result } => {
                vec![Target::Hb(a), Target::Hb(b), Target::Hb(result)]
            }
            Call::Write { .. } | Call::TruncateAll { .. } => self
                .model
                .targets()
                .into_iter()
                .filter(|target| matches!(target, Target::Bm(_)))
                .collect(),
            Call::Abdicate { bitmap, .. }
            | Call::Reclaim { bitmap, .. }
            | Call::Restore { bitmap, .. } => {
                vec![Target::Bm(bitmap)]
            }
            Call::Create { slot, .. } | Call::CreateSuccessor { slot, .. } => {
                vec![Target::Bm(slot)]
            }
            Call::Clear { bitmap, out } => {
                std::iter::once(Target::Bm(bitmap)).chain(out.map(Target::Hb)).collect()
            }
            Call::Merge { dest, src, backup, .. }
            | Call::MergeInternal { dest, src, backup, .. } => {
                [dest, src].map(Target::Bm).into_iter().chain(backup.map(Target::Hb)).collect()
            }
            _ => return Vec::new(),
        };
        let live = self.model.targets();
        wanted.into_iter().filter(|target| live.contains(target)).collect()
    }

    /// Compares what is in a bitmap, and checks it from inside.
    fn observe(&mut self, target: Target, with_qemu: bool, whole: bool) {
        let bits = self.model.bits(target);
        let turn = whole || self.log.len() % TURNS == 0;
        if bits <= CHECKED || turn && bits <= CHECKED << 6 {
            self.ours.check_invariants(target);
        }
        let mut looks = vec![Call::Count { target }];
        if bits <= SMALL || turn && self.model.readable(target) {
            looks.push(Call::Sha256 { target });
        } else if let (true, Some(qemu)) = (with_qemu && bits <= HASHED, &mut self.qemu) {
            // The model is slow at this, so it is checked at intervals.
            let look = Call::Sha256 { target };
            let (got, other) = (self.ours.run(&look), qemu.run(&look));
            if got != other {
                self.fail(&format!("{look:?}: this library has {got:?}, QEMU {other:?}"));
            }
        }
        for look in looks {
            let Verdict::Returns(expected) = self.model.run(&look) else { continue };
            let got = self.ours.run(&look);
            if got != expected {
                self.fail(&format!("{look:?}: this library has {got:?}, the model {expected:?}"));
            }
            if let (true, Some(qemu)) = (with_qemu, &mut self.qemu) {
                let got = qemu.run(&look);
                if got != expected {
                    self.fail(&format!("{look:?}: QEMU has {got:?}, the model {expected:?}"));
                }
            }
        }
    }

    fn fail(&self, message: &str) -> ! {
        let mut calls = String::new();
        for (number, call) in self.log.iter().enumerate() {
            let mut text = format!("{call:?}");
            if text.len() > 400 {
                text.truncate(400); // debug output of these is ASCII
                text.push_str(" ...");
            }
            let _ = writeln!(calls, "{number:4}  {text}");
        }
        panic!("{calls}the last call: {message}");
    }
}
