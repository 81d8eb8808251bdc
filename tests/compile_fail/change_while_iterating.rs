// SPDX-License-Identifier: GPL-2.0-or-later
//! A bitmap does not change under an iterator.

fn main() {
    let mut bitmap = qemu_dirty_bitmap::HBitmap::new(1 << 20, 4096).unwrap();
    for item in &bitmap {
        bitmap.reset(item..item + 4096).unwrap();
    }
}
