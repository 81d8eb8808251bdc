// SPDX-License-Identifier: GPL-2.0-or-later
//! The engine is no part of the API.

fn main() {
    drop(qemu_dirty_bitmap::hbitmap::HBitmap::new(1 << 20, 12));
}
