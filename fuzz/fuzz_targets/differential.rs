// SPDX-License-Identifier: GPL-2.0-or-later
//! The same sequence on this library, on QEMU's own C and on the model: results, errors and hashes
//! compared after each call. The first byte chooses between HBitmaps and dirty bitmaps. Needs
//! `QDB_ORACLE` (tools/fuzz sets it).
#![no_main]

use libfuzzer_sys::fuzz_target;
use qemu_dirty_bitmap_fuzz::op::sequence_on_either;
use qemu_dirty_bitmap_fuzz::oracle;
use qemu_dirty_bitmap_fuzz::session::{Setup, run};

fuzz_target!(|bytes: &[u8]| {
    let setup = Setup { ours: oracle::ours(), qemu: Some(oracle::qemu()), abort_every: 32 };
    run(setup, &sequence_on_either(bytes));
});
