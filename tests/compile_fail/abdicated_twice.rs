// SPDX-License-Identifier: GPL-2.0-or-later
//! A frozen bitmap is given up once.

fn main() {
    let disk = qemu_dirty_bitmap::Node::new(1 << 20).unwrap();
    let frozen = disk.create_bitmap("backup", 4096).unwrap().freeze().unwrap();
    drop(frozen.abdicate());
    frozen.reclaim();
}
