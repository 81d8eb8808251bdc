// SPDX-License-Identifier: GPL-2.0-or-later
//! The sweep's bitmaps on both libraries. `tools/bench --check` builds both and runs this.

use qemu_dirty_bitmap_bench::api::{self, Api, Engine};
use qemu_dirty_bitmap_bench::bits::Bits;
use qemu_dirty_bitmap_bench::sweep;
use qemu_dirty_bitmap_bench::sweep::content::{Content, Pattern, Shape};
use qemu_dirty_bitmap_bench::sweep::work::{copies, loaded};

fn both() -> [&'static Api; 2] {
    match api::engines().expect("QDB_ORACLE and QDB_LIBRARY name the two libraries")[..] {
        [Engine::Qemu(qemu), Engine::Ours(ours), ..] => [qemu, ours],
        _ => panic!("QDB_LIBRARY is not set"),
    }
}

/// Whichever way the bits come there.
#[test]
fn a_bitmap_has_its_content() {
    for pattern in
        [Pattern::Random, Pattern::SetEach, Pattern::Remains, Pattern::AllBut, Pattern::ResetEach]
    {
        for density in [0, 1, 8, 300] {
            let shape = Shape { pattern, density, bits: 1 << 17, granularity: 16 };
            let content = Content::new(shape, 1);
            let bytes = content.bytes();
            for api in both() {
                let bitmap = loaded(api, shape, &bytes);
                assert_eq!(bitmap.count(), shape.ones() << 16, "{shape:?}");
                let mut stored = vec![0; bytes.len()];
                bitmap.store(&mut stored);
                assert!(stored == bytes, "{shape:?}");
            }
        }
    }
}

/// Each operation runs on small bitmaps, does the same in both libraries, and can be repeated.
#[test]
fn operations_do_the_same() {
    let rows = sweep::all();
    let small = |shape: Shape| shape.bits <= 1 << 20 && copies(shape) >= 4;
    let mut operations = 0;
    for row in &rows {
        let Some(cell) =
            row.cells.iter().filter(|cell| small(cell.shape)).nth(1).or(row.cells.first())
        else {
            continue;
        };
        if !small(cell.shape) {
            continue;
        }
        let work = row.work(cell);
        let mut cases = both().map(|api| (work.make)(api));
        for _ in 0..2 {
            let outcomes = cases.each_mut().map(|case| {
                case.prepare();
                case.run();
                case.outcome()
            });
            assert_eq!(outcomes[0], outcomes[1], "{}", row.cell_id(cell));
        }
        operations += 1;
    }
    assert!(operations > 100, "{operations}");
}
