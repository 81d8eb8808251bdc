// SPDX-License-Identifier: GPL-2.0-or-later
//! Any sequence of the `hbitmap_…` functions on several bitmaps of mixed size and granularity,
//! iterators alive across changes: results as the model says, and the engine's invariants hold.
#![no_main]

use libfuzzer_sys::fuzz_target;
use qemu_dirty_bitmap_fuzz::op::{Subject, sequence};
use qemu_dirty_bitmap_fuzz::oracle;
use qemu_dirty_bitmap_fuzz::session::{Setup, run};

fuzz_target!(|bytes: &[u8]| {
    let setup = Setup { ours: oracle::ours(), qemu: None, abort_every: 32 };
    run(setup, &sequence(Subject::HBitmaps, bytes));
});
