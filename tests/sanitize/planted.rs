// SPDX-License-Identifier: GPL-2.0-or-later
// Faults that a build with checks has to find. tests/library/test_sanitizers.py adds them to a copy
// of the library.

/// Overflows for the largest number.
#[unsafe(no_mangle)]
pub extern "C" fn planted_overflow(number: i32) -> i32 {
    number + 1
}

/// Breaks an assertion for 1.
#[unsafe(no_mangle)]
pub extern "C" fn planted_assertion(number: i32) {
    debug_assert!(number != 1);
}

/// Reads past the end of an array of four.
#[unsafe(no_mangle)]
pub extern "C" fn planted_index(index: usize) -> i32 {
    static NUMBERS: [i32; 4] = [1, 2, 3, 4];
    // SAFETY: none. That is the fault.
    unsafe { *NUMBERS.get_unchecked(index) }
}
