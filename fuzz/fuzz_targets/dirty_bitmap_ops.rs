// SPDX-License-Identifier: GPL-2.0-or-later
//! Any sequence of the `bdrv_…` functions on two nodes and their bitmaps, in all states: results
//! and error texts as the model says.
#![no_main]

use libfuzzer_sys::fuzz_target;
use qemu_dirty_bitmap_fuzz::op::{Subject, sequence};
use qemu_dirty_bitmap_fuzz::oracle;
use qemu_dirty_bitmap_fuzz::session::{Setup, run};

fuzz_target!(|bytes: &[u8]| {
    let setup = Setup { ours: oracle::ours(), qemu: None, abort_every: 32 };
    run(setup, &sequence(Subject::DirtyBitmaps, bytes));
});
