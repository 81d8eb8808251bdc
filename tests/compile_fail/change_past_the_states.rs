// SPDX-License-Identifier: GPL-2.0-or-later
//! A dirty bitmap changes through methods that look at its state.

fn main() {
    let disk = qemu_dirty_bitmap::Node::new(1 << 20).unwrap();
    let bitmap = disk.create_bitmap("backup", 4096).unwrap();
    let mut locked = bitmap.lock();
    locked.truncate(4096).unwrap();
}
