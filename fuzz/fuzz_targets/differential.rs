// SPDX-License-Identifier: GPL-2.0-or-later
//! The same sequence on this library, on QEMU's own C and on the model: results, errors and hashes compared after each call. The
//! first byte chooses between HBitmaps and dirty bitmaps. Needs `QDB_ORACLE` (tools/fuzz sets it).
#![no_main]

use libfuzzer_sys::fuzz_target;
use qemu_dirty_bitmap_fuzz::op::{sequence, Subject};
use qemu_dirty_bitmap_fuzz::oracle;
use qemu_dirty_bitmap_fuzz::session::{run, Setup};

fuzz_target!(|bytes: &[u8]| {
    let Some((&first, rest)) = bytes.split_first() else { return };
    let subject = if first % 2 == 0 { Subject::HBitmaps } else { Subject::DirtyBitmaps };
    let setup = Setup { ours: oracle::ours(), qemu: Some(oracle::qemu()), abort_every: 32 };
    run(setup, &sequence(subject, rest));
});
