// SPDX-License-Identifier: GPL-2.0-or-later
//! A lock is released by the thread that took it.

fn main() {
    let disk = qemu_dirty_bitmap::Node::new(1 << 20).unwrap();
    let bitmap = disk.create_bitmap("backup", 4096).unwrap();
    let locked = bitmap.lock();
    std::thread::scope(|scope| {
        scope.spawn(move || drop(locked));
    });
}
