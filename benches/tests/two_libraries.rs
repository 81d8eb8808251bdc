// SPDX-License-Identifier: GPL-2.0-or-later
//! The two libraries in this process are really two. `tools/bench --check` builds both and runs
//! this.

use qemu_dirty_bitmap_bench::api::{self, Engine};
use qemu_dirty_bitmap_bench::bits::{Bits, Maker};
use qemu_dirty_bitmap_bench::pattern::{Density, bytes};

fn both() -> (&'static api::Api, &'static api::Api) {
    match api::engines().expect("QDB_ORACLE and QDB_LIBRARY name the two libraries")[..] {
        [Engine::Qemu(qemu), Engine::Ours(ours), ..] => (qemu, ours),
        _ => panic!("QDB_LIBRARY is not set"),
    }
}

#[test]
fn each_has_its_own_code() {
    let (qemu, ours) = both();
    assert_eq!(qemu.version, "qemu");
    assert_ne!(ours.version, "qemu");
    let addresses = |api: &api::Api| {
        [
            api.hbitmap_alloc as usize,
            api.hbitmap_set as usize,
            api.hbitmap_merge as usize,
            api.hbitmap_iter_next as usize,
            api.bdrv_set_dirty as usize,
            api.bdrv_merge_dirty_bitmap as usize,
        ]
    };
    assert!(addresses(qemu).iter().all(|address| !addresses(ours).contains(address)));
}

/// Set bits past the end in loaded data: QEMU's C keeps them, this library drops them
/// (docs/differences.md).
#[test]
fn each_behaves_as_itself() {
    let (qemu, ours) = both();
    let stored = |api: &'static api::Api| {
        let mut bitmap = api.make(10, 0);
        bitmap.load(&[0xff; 8]);
        let mut buffer = [0; 8];
        bitmap.store(&mut buffer);
        u64::from_le_bytes(buffer)
    };
    assert_eq!(stored(qemu), u64::MAX);
    assert_eq!(stored(ours), 0x3ff);
}

#[test]
fn both_agree_where_they_should() {
    let (qemu, ours) = both();
    let content = bytes(1 << 20, Density::Percent40, 5);
    let sums = [qemu, ours].map(|api| {
        let mut bitmap = api.make(1 << 36, 16);
        bitmap.load(&content);
        (bitmap.sum(), bitmap.count(), bitmap.areas())
    });
    assert_eq!(sums[0], sums[1]);
}
