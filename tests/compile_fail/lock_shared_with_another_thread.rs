// SPDX-License-Identifier: GPL-2.0-or-later
//! What a lock guards is read by the thread that holds it.

fn main() {
    let disk = qemu_dirty_bitmap::Node::new(1 << 20).unwrap();
    let bitmap = disk.create_bitmap("backup", 4096).unwrap();
    let locked = bitmap.lock();
    std::thread::scope(|scope| {
        scope.spawn(|| locked.count());
    });
}
