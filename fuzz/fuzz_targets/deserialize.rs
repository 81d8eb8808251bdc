// SPDX-License-Identifier: GPL-2.0-or-later
//! Hostile bytes: whatever an image or a migration stream has in it, a bitmap has no item past its
//! end afterwards, and gives back what was valid.
#![no_main]

use libfuzzer_sys::fuzz_target;
use qemu_dirty_bitmap_fuzz::{hostile, oracle};

fuzz_target!(|bytes: &[u8]| hostile::run(oracle::ours(), bytes));
