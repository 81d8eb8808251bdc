// SPDX-License-Identifier: GPL-2.0-or-later
//! The loops of callers whose calls take nanoseconds.
//!
//! How fast such a loop runs depends on where its instructions lie in a cache line, and the
//! callee's: by up to half, for each implementation differently, and differently after every change
//! of this program. That is chance, and not the implementation's doing. So each loop exists at
//! sixteen addresses, and a measurement goes through all of them. (`tools/bench` asks the compiler
//! not to align loops: it would make four addresses of them.)

use crate::api::Iter;
use std::arch::asm;
use std::hint::black_box;

/// Calls from one address before the next one has its turn.
const TURN: usize = 1 << 12;

/// Instructions that do nothing, so that what follows lies `4 * ADDRESS` bytes further on.
#[inline(always)]
fn shift<const ADDRESS: usize>() {
    // SAFETY: they change no register and no memory.
    unsafe {
        asm!(
            ".rept 4 * {address}",
            "nop",
            ".endr",
            address = const ADDRESS,
            options(nomem, nostack, preserves_flags)
        )
    }
}

/// The copies of a function, one for each address: its first generic argument.
macro_rules! at_each_address {
    ($function:ident $(, $ty:ty)*) => {
        [
            $function::<0 $(, $ty)*>, $function::<1 $(, $ty)*>, $function::<2 $(, $ty)*>,
            $function::<3 $(, $ty)*>, $function::<4 $(, $ty)*>, $function::<5 $(, $ty)*>,
            $function::<6 $(, $ty)*>, $function::<7 $(, $ty)*>, $function::<8 $(, $ty)*>,
            $function::<9 $(, $ty)*>, $function::<10 $(, $ty)*>, $function::<11 $(, $ty)*>,
            $function::<12 $(, $ty)*>, $function::<13 $(, $ty)*>, $function::<14 $(, $ty)*>,
            $function::<15 $(, $ty)*>,
        ]
    };
}

/// A caller that has its loop at sixteen addresses.
#[derive(Default)]
pub struct Caller {
    turns: usize,
}

impl Caller {
    /// Makes a call for each of `items`, in order.
    #[inline]
    pub fn each<T>(&mut self, items: &[T], mut call: impl FnMut(&T)) {
        // The compiler leaves out sums of nothing.
        self.sum(items, |item| {
            call(item);
            0
        });
    }

    /// The sum of what a call for each of `items` returns, in order.
    #[inline]
    pub fn sum<T, F: FnMut(&T) -> u64>(&mut self, items: &[T], mut call: F) -> u64 {
        let addresses: [fn(&[T], &mut F) -> u64; 16] = at_each_address!(sum_of_some, T, F);
        items.chunks(TURN).fold(0u64, |sum, items| {
            self.turns += 1;
            sum.wrapping_add(addresses[self.turns % addresses.len()](items, &mut call))
        })
    }
}

#[inline(never)]
fn sum_of_some<const ADDRESS: usize, T, F: FnMut(&T) -> u64>(items: &[T], call: &mut F) -> u64 {
    shift::<ADDRESS>();
    let mut sum = 0u64;
    for item in items {
        sum = sum.wrapping_add(call(item));
    }
    sum
}

/// The `hbitmap_iter_next` of an implementation.
type Next = unsafe extern "C" fn(*mut Iter) -> i64;

/// [`some_items`] at one of its addresses.
type SomeItems = unsafe fn(Next, &mut Iter) -> (u64, bool);

/// The sum of all items that an iterator returns.
///
/// # Safety
/// `next` is of the implementation that has set up `iter`, and the bitmap lives and does not change
/// meanwhile.
pub unsafe fn sum_of_items(next: Next, iter: &mut Iter) -> u64 {
    let addresses: [SomeItems; 16] = at_each_address!(some_items);
    let mut sum = 0u64;
    for some_items in addresses.iter().cycle() {
        // SAFETY: the caller's promise.
        let (part, more) = unsafe { some_items(next, iter) };
        sum = sum.wrapping_add(part);
        if !more {
            break;
        }
    }
    sum
}

/// The sum of the next items, which a C program's loop has in a register, and whether there may be
/// more.
///
/// # Safety
/// As [`sum_of_items`].
#[inline(never)]
unsafe fn some_items<const ADDRESS: usize>(next: Next, iter: &mut Iter) -> (u64, bool) {
    shift::<ADDRESS>();
    let mut sum = 0u64;
    for _ in 0..TURN {
        // SAFETY: the caller's promise.
        let item = unsafe { next(iter) };
        if item < 0 {
            return (sum, false);
        }
        sum = sum.wrapping_add(item as u64);
    }
    (sum, true)
}

/// Calls a function that does nothing, from each of the sixteen addresses; no iterator is faster.
/// Returns how many times.
pub fn calls_of_nothing() -> usize {
    extern "C" fn nothing(_: *mut Iter) -> i64 {
        0
    }
    let addresses: [SomeItems; 16] = at_each_address!(some_items);
    let next: Next = black_box(nothing);
    let all_came_back = addresses.iter().all(|some_items| {
        // SAFETY: the function takes any iterator.
        let (_, more) = unsafe { some_items(next, &mut [0; 10]) };
        more
    });
    assert!(all_came_back);
    addresses.len() * TURN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_leaves_nothing_out() {
        let items: Vec<usize> = (0..TURN * 40 + 7).collect();
        let mut seen = Vec::new();
        let mut caller = Caller::default();
        caller.each(&items, |&item| seen.push(item));
        assert_eq!(seen, items);
        assert_eq!(caller.turns, 41);
    }
}
