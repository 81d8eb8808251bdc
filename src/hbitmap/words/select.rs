// SPDX-License-Identifier: GPL-2.0-or-later
//! Choosing without a branch, where no processor could foresee which way it goes; and taking a bit of a word by few instructions.

// Core's, because it is no step of a thread: models/ has an std of its own, which makes one of each atomic access.
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A word of all ones if `condition` holds, else of none.
#[inline(always)]
pub(crate) fn mask_if(condition: bool) -> u64 {
    u64::from(condition).wrapping_neg()
}

/// `a` where `mask` has ones, `b` where it has none.
#[inline(always)]
pub(crate) fn select(mask: u64, a: u64, b: u64) -> u64 {
    b ^ ((a ^ b) & mask)
}

/// Clears the lowest bit of `word`, which has one, and is `value`.
///
/// The new value is computed in memory (`and` with a memory operand on x86) and not in a register that is stored then: one instruction
/// less, so that the way to an iterator's next bit is one cache line. A compiler does that if it may not take the second load for the
/// first one, hence the atomic load, which is a plain one to the machine.
#[inline(always)]
pub(crate) fn clear_lowest(word: &mut u64, value: u64) {
    debug_assert!(value != 0 && value == *word);
    // SAFETY: a `&mut u64` is valid for reads and writes, and nobody else uses the word while it lives. An `AtomicU64` is as large, and
    // no more strictly aligned (see below).
    let word = unsafe { AtomicU64::from_ptr(word) };
    word.store(word.load(Relaxed) & (value - 1), Relaxed);
}

const _: () = assert!(align_of::<AtomicU64>() <= align_of::<u64>());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chooses() {
        assert_eq!(select(mask_if(true), 3, 5), 3);
        assert_eq!(select(mask_if(false), 3, 5), 5);
    }

    #[test]
    fn clears_the_lowest_bit() {
        for (value, rest) in [(1, 0), (0b1011_0100, 0b1011_0000), (1 << 63, 0), (u64::MAX, u64::MAX - 1)] {
            let mut word = value;
            clear_lowest(&mut word, value);
            assert_eq!(word, rest);
        }
    }
}
