// SPDX-License-Identifier: GPL-2.0-or-later
//! Visiting every set bit through `HBitmapIter`.

use crate::bits::{Bits, Maker};
use crate::case::{Bound, Case, Generic, Row, all_three, case};
use crate::disks::{BITS, DISK, GRANULARITY};
use crate::pattern::{Density, bytes};

struct Iterate(Density);

impl Generic for Iterate {
    fn make<M: Maker>(&self, maker: M) -> Box<dyn Case> {
        let mut bitmap = maker.make(DISK, GRANULARITY);
        bitmap.load(&bytes(BITS, self.0, 1));
        case(bitmap, |_| (), |bitmap| bitmap.sum(), |bitmap| bitmap.count())
    }
}

pub(super) fn rows() -> Vec<Row> {
    [
        (Density::Sparse, 1.8),
        (Density::Percent1, 0.95),
        (Density::Percent40, 0.95),
        (Density::Full, 0.95),
    ]
    .map(|(density, target)| {
        let operations = (BITS as f64 * density.fraction()) as u64;
        let what = format!("iterate, {} % (per bit)", density.id());
        let make = all_three(Iterate(density));
        Row::new(&format!("iterate/{}", density.id()), &what, operations, target, make)
            .bound(Bound::Call)
    })
    .into()
}
