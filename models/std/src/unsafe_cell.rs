// SPDX-License-Identifier: GPL-2.0-or-later
//! `UnsafeCell` for the models.

use crate::Alive;

/// As std's. Every pointer that is taken counts as a write, which must come after all others before
/// it: the library takes them with a lock held, also to read.
pub struct UnsafeCell<T> {
    alive: Alive,
    accesses: loom::cell::UnsafeCell<()>,
    value: ::std::cell::UnsafeCell<T>,
}

impl<T> UnsafeCell<T> {
    /// A cell with a value.
    pub fn new(value: T) -> Self {
        Self {
            alive: Alive::new(),
            accesses: loom::cell::UnsafeCell::new(()),
            value: ::std::cell::UnsafeCell::new(value),
        }
    }

    /// A pointer to the value.
    pub fn get(&self) -> *mut T {
        self.alive.check();
        self.accesses.with_mut(|_| ());
        self.value.get()
    }
}

impl<T> Drop for UnsafeCell<T> {
    /// The end of the value is the last access.
    fn drop(&mut self) {
        self.accesses.with_mut(|_| ());
    }
}
