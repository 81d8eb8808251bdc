// SPDX-License-Identifier: GPL-2.0-or-later
//! What the library uses of the crate parking_lot, on loom's locks: a thread that waits for a lock
//! for ever is a deadlock that loom reports.

use std::cell::{Cell, OnceCell};

use loom::sync::MutexGuard;
use modelled_std::Alive;

/// The crate lock_api.
pub mod lock_api {
    /// A lock without content.
    pub trait RawMutex {
        /// A lock that nobody holds.
        const INIT: Self;

        /// Waits until nobody holds it.
        fn lock(&self);

        /// Lets others have it.
        ///
        /// # Safety
        /// The calling thread holds it.
        unsafe fn unlock(&self);

        /// Whether a thread holds it.
        fn is_locked(&self) -> bool;
    }
}

/// A lock without content.
pub struct RawMutex {
    alive: Alive,
    inner: OnceCell<Box<loom::sync::Mutex<()>>>,
    held: Cell<Option<MutexGuard<'static, ()>>>,
}

// SAFETY: the threads of a model take turns on one thread of the machine.
unsafe impl Sync for RawMutex {}
// SAFETY: as above.
unsafe impl Send for RawMutex {}

impl lock_api::RawMutex for RawMutex {
    #[allow(clippy::declare_interior_mutable_const)] // parking_lot has it so.
    const INIT: Self = Self { alive: Alive::new(), inner: OnceCell::new(), held: Cell::new(None) };

    fn lock(&self) {
        self.alive.check();
        let inner = self.inner.get_or_init(|| Box::new(loom::sync::Mutex::new(())));
        let guard = inner.lock().expect("loom's locks are never poisoned");
        // SAFETY: the guard is dropped in `unlock` or before `inner`: the fields are dropped in
        // another order than they are used, but a lock that is held is borrowed.
        self.held.set(Some(unsafe {
            std::mem::transmute::<MutexGuard<'_, ()>, MutexGuard<'static, ()>>(guard)
        }));
    }

    unsafe fn unlock(&self) {
        self.alive.check();
        assert!(self.held.take().is_some(), "unlocked without being locked");
    }

    fn is_locked(&self) -> bool {
        let held = self.held.take();
        let is = held.is_some();
        self.held.set(held);
        is
    }
}

/// A lock with content.
pub struct Mutex<T> {
    alive: Alive,
    inner: loom::sync::Mutex<T>,
}

impl<T> Mutex<T> {
    /// With content, not locked.
    pub fn new(value: T) -> Self {
        Self { alive: Alive::new(), inner: loom::sync::Mutex::new(value) }
    }

    /// Waits until nobody holds it.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.alive.check();
        self.inner.lock().expect("loom's locks are never poisoned")
    }
}
