// SPDX-License-Identifier: GPL-2.0-or-later
//! An iterator on another thread borrows the bitmap all the same.

fn main() {
    let bitmap = qemu_dirty_bitmap::HBitmap::new(1 << 20, 4096).unwrap();
    let items = bitmap.iter();
    std::thread::spawn(move || items.count());
}
