// SPDX-License-Identifier: GPL-2.0-or-later
//! What is read with the lock held does not outlive it.

fn main() {
    let disk = qemu_dirty_bitmap::Node::new(1 << 20).unwrap();
    let bitmap = disk.create_bitmap("backup", 4096).unwrap();
    let items = bitmap.lock().iter();
    println!("{}", items.count());
}
