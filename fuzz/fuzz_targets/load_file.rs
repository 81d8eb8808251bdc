// SPDX-License-Identifier: GPL-2.0-or-later
//! Hostile files: whatever a stored bitmap says, it is refused, or loaded as docs/format.md reads,
//! in Rust and in C.
#![no_main]

use libfuzzer_sys::fuzz_target;
use qemu_dirty_bitmap_fuzz::stored;

fuzz_target!(|bytes: &[u8]| stored::run(bytes));
