// SPDX-License-Identifier: GPL-2.0-or-later
//! Values of one size that chunks own by number: one array for all of them, instead of an allocation for each.

/// An array of values, and which of them no chunk has.
#[derive(Debug)]
pub(super) struct Slab<T> {
    values: Vec<T>,
    /// The numbers of those that no chunk has.
    unused: Vec<u32>,
}

impl<T> Slab<T> {
    pub(super) fn new() -> Self {
        Slab { values: Vec::new(), unused: Vec::new() }
    }

    /// Whether there is no value at all, and no memory for one.
    pub(super) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The value with a number.
    #[inline]
    pub(super) fn get(&self, number: usize) -> &T {
        &self.values[number]
    }

    /// The same, to change.
    #[inline]
    pub(super) fn get_mut(&mut self, number: usize) -> &mut T {
        &mut self.values[number]
    }

    /// Keeps `value`; returns the number that it has from now on. Each of at most 2^26 chunks has at most one.
    pub(super) fn keep(&mut self, value: T) -> usize {
        match self.unused.pop() {
            Some(number) => {
                self.values[number as usize] = value;
                number as usize
            }
            None => {
                self.values.push(value);
                self.values.len() - 1
            }
        }
    }

    /// Frees the value with a number. All memory goes with the last one.
    pub(super) fn free(&mut self, number: usize) {
        self.unused.push(number as u32);
        if self.unused.len() == self.values.len() {
            *self = Slab::new();
        }
    }

    /// Panics unless the values in use are just those of `named`, and none has two chunks.
    pub(super) fn check_invariants(&self, named: impl Iterator<Item = usize>) {
        let mut owners = vec![0; self.values.len()];
        for number in named.chain(self.unused.iter().map(|&number| number as usize)) {
            owners[number] += 1;
        }
        assert!(owners.iter().all(|&owners| owners == 1), "a list is lost, or has two chunks");
    }
}
