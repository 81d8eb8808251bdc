// SPDX-License-Identifier: GPL-2.0-or-later
//! Another Rust library in the same program, with the standard library in it: formatting,
//! allocation, threads, panics.

#[unsafe(no_mangle)]
pub extern "C" fn other_digits(number: u64) -> usize {
    let thread = std::thread::spawn(move || format!("{number}").len());
    thread.join().unwrap_or(usize::MAX)
}
