// SPDX-License-Identifier: GPL-2.0-or-later
//! What the library uses of the crate crossbeam-epoch (and, in QEMU, of RCU), as it is promised and
//! no better: what is deferred runs as soon as no thread is pinned that was pinned before.
//!
//! Who is pinned is kept in plain memory: the threads of a model take turns on one thread of the
//! machine. Of the library's own loads and stores nothing is ordered but what has to be: who pins
//! sees what was done before something was deferred. The crate, and RCU, also have full barriers
//! there, but not in a section inside another one.

use std::cell::RefCell;

use loom::sync::atomic::{AtomicUsize, Ordering};

struct Deferred {
    /// The pins that it waits for.
    pins: Vec<u64>,
    run: Box<dyn FnOnce()>,
}

struct Pins {
    next: u64,
    open: Vec<u64>,
    deferred: Vec<Deferred>,
}

thread_local! {
    static PINS: RefCell<Pins> =
        const { RefCell::new(Pins { next: 0, open: Vec::new(), deferred: Vec::new() }) };
}

loom::lazy_static! {
    /// How often something was deferred.
    static ref DEFERRED: AtomicUsize = AtomicUsize::new(0);
}

/// A thread that is pinned, as long as this lives.
pub struct Guard {
    pin: u64,
}

/// There is one: a model has nothing else that defers.
pub struct Collector;

impl Collector {
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        Collector
    }

    pub fn register(&self) -> LocalHandle {
        LocalHandle
    }
}

/// A thread's.
pub struct LocalHandle;

impl LocalHandle {
    pub fn pin(&self) -> Guard {
        pin()
    }
}

/// Pins the thread.
fn pin() -> Guard {
    let pin = PINS.with_borrow_mut(|pins| {
        pins.next += 1;
        pins.open.push(pins.next);
        pins.next
    });
    // Reads the last value, as an addition does, and orders nothing for others.
    DEFERRED.fetch_add(0, Ordering::Acquire);
    Guard { pin }
}

impl Guard {
    /// Runs `run` later.
    pub fn defer<R>(&self, run: impl FnOnce() -> R + Send + 'static) {
        DEFERRED.fetch_add(1, Ordering::Release);
        PINS.with_borrow_mut(|pins| {
            let run = Box::new(|| drop(run()));
            pins.deferred.push(Deferred { pins: pins.open.clone(), run });
        });
    }

    /// Nothing waits longer than it has to.
    pub fn flush(&self) {}
}

impl Drop for Guard {
    fn drop(&mut self) {
        let ready: Vec<Deferred> = PINS.with_borrow_mut(|pins| {
            pins.open.retain(|pin| *pin != self.pin);
            pins.deferred
                .iter_mut()
                .for_each(|deferred| deferred.pins.retain(|pin| *pin != self.pin));
            let (ready, waiting) =
                std::mem::take(&mut pins.deferred).into_iter().partition(|d| d.pins.is_empty());
            pins.deferred = waiting;
            ready
        });
        ready.into_iter().for_each(|deferred| (deferred.run)());
    }
}
