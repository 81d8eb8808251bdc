// SPDX-License-Identifier: GPL-2.0-or-later
//! Merging.

use crate::bits::{Bits, Hb, Maker};
use crate::caller::Caller;
use crate::case::{Bound, Case, Generic, Row, Table, all_three, c_only, case};
use crate::disks::{BITS, BYTES, DISK, GRANULARITY};
use crate::pattern::{Density, bytes, refine16};
use crate::rows::set::Writes;

/// Adds a bitmap to another of the same density, which is restored between runs.
struct InPlace(Density);

impl Generic for InPlace {
    fn make<M: Maker>(&self, maker: M) -> Box<dyn Case> {
        let before = bytes(BITS, self.0, 1);
        let mut source = maker.make(DISK, GRANULARITY);
        source.load(&bytes(BITS, self.0, 2));
        case(
            (maker.make(DISK, GRANULARITY), source),
            move |(target, _)| target.load(&before),
            |(target, source)| {
                target.merge(source);
                0
            },
            |(target, _)| target.count(),
        )
    }
}

/// Merges 40 % set blocks of 64 KiB into an empty bitmap of another granularity.
fn across(id: &str, what: &str, from: u32, to: u32, new: bool, target: f64) -> Row {
    let make = c_only(move |api| {
        let coarse = bytes(BITS, Density::Percent40, 2);
        let mut source = api.make(DISK, from);
        if from == GRANULARITY {
            source.load(&coarse);
        } else {
            source.load(&refine16(&coarse));
        }
        case(
            (Some(api.make(DISK, to)), source),
            move |(target, _): &mut (Option<Hb>, Hb)| {
                if new {
                    drop(target.take());
                    *target = Some(api.make(DISK, to));
                } else if let Some(target) = target {
                    // The memory, in C, stays.
                    target.set(0, DISK);
                    target.clear();
                }
            },
            |(target, source)| {
                target.as_mut().expect("made in prepare").merge(source);
                0
            },
            |(target, _)| target.as_ref().map_or(0, Bits::count),
        )
    });
    Row::new(id, what, 1, target, make)
}

/// What is done to a bitmap of 4 KiB blocks right after 40 % set blocks of 64 KiB were merged into
/// it, on a disk of 1 TiB: what the merge has saved may have to be paid then.
fn after(
    id: &str,
    what: &str,
    operations: u64,
    run: impl Fn(&mut Hb) -> u64 + Clone + 'static,
) -> Row {
    const TIB: u64 = 1 << 40;
    let make = c_only(move |api| {
        let mut source = api.make(TIB, GRANULARITY);
        source.load(&bytes(TIB >> GRANULARITY, Density::Percent40, 2));
        let run = run.clone();
        case(
            None,
            move |merged: &mut Option<Hb>| {
                drop(merged.take());
                let mut bitmap = api.make(TIB, 12);
                bitmap.merge(&source);
                *merged = Some(bitmap);
            },
            move |merged| run(merged.as_mut().expect("made in prepare")),
            |merged| merged.as_ref().map_or(0, Bits::count),
        )
    });
    Row::new(id, what, operations, 1.0, make).table(Table::Extra)
}

pub(super) fn rows() -> Vec<Row> {
    let mut rows: Vec<Row> = [
        (Density::Sparse, 10.0),
        (Density::Percent1, 4.0),
        (Density::Percent40, 5.0),
        (Density::Full, 500.0),
    ]
    .map(|(density, target)| {
        let what = format!("merge in place, {} %", density.id());
        Row::new(&format!("merge/{}", density.id()), &what, 1, target, all_three(InPlace(density)))
            .bound(Bound::OrCount(BYTES))
    })
    .into();
    let fine = Bound::Copy(16 * BYTES);
    rows.push(
        across("merge/64k-to-4k", "merge 64 KiB → 4 KiB granularity, 40 % set", 16, 12, true, 7.0)
            .bound(fine),
    );
    rows.push(
        across("merge/4k-to-64k", "merge 4 KiB → 64 KiB, 40 % set", 12, 16, true, 10.0).bound(fine),
    );
    rows.push(
        across(
            "merge/64k-to-4k-used",
            "the same, into a bitmap that was full before",
            16,
            12,
            false,
            1.0,
        )
        .bound(fine)
        .table(Table::Extra),
    );
    let writes = Writes::Random(1 << 18, 1 << 40);
    let list = writes.list();
    let looks: Vec<u64> = list.iter().map(|&(offset, _)| offset).collect();
    let what = "the first random writes of 4 KiB after such a merge";
    rows.push(after("merge/64k-to-4k-then-set", what, writes.count(), move |bitmap| {
        writes.replay(&list, bitmap);
        0
    }));
    rows.push(after(
        "merge/64k-to-4k-then-get",
        "get random after such a merge",
        looks.len() as u64,
        move |bitmap| bitmap.get_each(&mut Caller::default(), &looks),
    ));
    rows.push(after(
        "merge/64k-to-4k-then-areas",
        "next_dirty_area loop over all of it, after such a merge",
        1,
        |bitmap| bitmap.areas(),
    ));
    rows
}
