// SPDX-License-Identifier: GPL-2.0-or-later
//! What a guest's writes cost, and what a backup does with the map that they leave.

use crate::api::Api;
use crate::bits::{Bits, Hb, Maker};
use crate::caller::Caller;
use crate::case::{Case, Generic, Row, Table, all_three, c_only, case};
use crate::disks::GRANULARITY;
use crate::trace::{DISK, Workload, Write};

struct Replay(Workload);

fn replay<B: Bits>(bitmap: &mut B, writes: &[Write]) {
    bitmap.set_each(&mut Caller::default(), writes);
}

impl Generic for Replay {
    fn make<M: Maker>(&self, maker: M) -> Box<dyn Case> {
        let writes = self.0.writes();
        case(
            None,
            move |bitmap| {
                drop(bitmap.take());
                *bitmap = Some(maker.make(DISK, GRANULARITY));
            },
            move |bitmap| {
                replay(bitmap.as_mut().expect("made in prepare"), &writes);
                0
            },
            |bitmap| bitmap.as_ref().map_or(0, Bits::count),
        )
    }
}

fn written(api: &'static Api, workload: Workload) -> Hb {
    let mut bitmap = api.make(DISK, GRANULARITY);
    replay(&mut bitmap, &workload.writes());
    bitmap
}

/// Merges the map into one that another guest left.
struct Merge(Workload);

impl Generic for Merge {
    fn make<M: Maker>(&self, maker: M) -> Box<dyn Case> {
        let mut source = maker.make(DISK, GRANULARITY);
        replay(&mut source, &self.0.writes());
        let other = Workload::SmallFiles.writes();
        case(
            (None, source),
            move |(target, _)| {
                drop(target.take());
                let mut new = maker.make(DISK, GRANULARITY);
                replay(&mut new, &other);
                *target = Some(new);
            },
            |(target, source)| {
                target.as_mut().expect("made in prepare").merge(source);
                0
            },
            |(target, _)| target.as_ref().map_or(0, Bits::count),
        )
    }
}

fn of(workload: Workload) -> [Row; 4] {
    let row = |id: &str, what: &str, operations, make| {
        Row::new(
            &format!("workload/{}/{id}", workload.id()),
            &format!("{what}, {}", workload.id()),
            operations,
            1.0,
            make,
        )
        .table(Table::Workload)
    };
    [
        row(
            "set",
            "replay (per write)",
            workload.writes().len() as u64,
            all_three(Replay(workload)),
        ),
        row(
            "areas",
            "next_dirty_area loop",
            1,
            c_only(move |api| case(written(api, workload), |_| (), |bitmap| bitmap.areas(), |_| 0)),
        ),
        row(
            "iterate",
            "iterate",
            1,
            c_only(move |api| case(written(api, workload), |_| (), |bitmap| bitmap.sum(), |_| 0)),
        ),
        row("merge", "merge into the map of many files", 1, all_three(Merge(workload))),
    ]
}

pub(super) fn rows() -> Vec<Row> {
    Workload::ALL.into_iter().flat_map(of).collect()
}
