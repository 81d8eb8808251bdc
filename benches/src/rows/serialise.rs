// SPDX-License-Identifier: GPL-2.0-or-later
//! Storing and loading, all at once (as a caller with a buffer for everything does) and as qcow2
//! does: cluster by cluster of 64 KiB, without those that have nothing set.

use crate::bits::{Bits, Hb, Maker};
use crate::case::{Bound, Case, Generic, Row, Table, all_three, c_only, case};
use crate::disks::{BITS, BYTES, DISK, GRANULARITY};
use crate::pattern::{Density, bytes};

/// Bytes of a qcow2 cluster, and what that covers of the disk.
const CLUSTER: usize = 64 << 10;
const COVERS: u64 = (CLUSTER as u64 * 8) << GRANULARITY;

struct Whole(Density);

impl Generic for Whole {
    fn make<M: Maker>(&self, maker: M) -> Box<dyn Case> {
        let mut bitmap = maker.make(DISK, GRANULARITY);
        bitmap.load(&bytes(BITS, self.0, 1));
        // Touched before; twice as large because roaring's format has headers.
        let buffer = vec![0xaau8; 2 * BYTES as usize];
        case(
            (bitmap, buffer),
            |_| (),
            |(bitmap, buffer)| {
                bitmap.store(&mut buffer[..BYTES as usize + (1 << 20)]);
                0
            },
            |(bitmap, _)| bitmap.count(),
        )
    }
}

fn store_clusters(bitmap: &Hb, buffer: &mut [u8]) -> u64 {
    let (mut at, mut stored) = (0u64, 0);
    loop {
        let dirty = bitmap.next_dirty(at, DISK);
        if dirty < 0 {
            return stored;
        }
        let start = dirty as u64 / COVERS * COVERS;
        bitmap.store_part(buffer, start, COVERS.min(DISK - start));
        stored += 1;
        at = start + COVERS;
        if at >= DISK {
            return stored;
        }
    }
}

fn clusters(density: Density, target: f64) -> Row {
    let make = c_only(move |api| {
        let mut bitmap = api.make(DISK, GRANULARITY);
        bitmap.load(&bytes(BITS, density, 1));
        case(
            (bitmap, vec![0u8; CLUSTER]),
            |_| (),
            |(bitmap, buffer)| store_clusters(bitmap, buffer),
            |_| 0,
        )
    });
    let what = format!("store, {} %, in 64 KiB clusters", density.id());
    Row::new(&format!("serialise/{}-clusters", density.id()), &what, 1, target, make)
        .bound(Bound::Copy(BYTES))
}

/// Loads into a bitmap that was used before (`new` false), or into one made for it, which is what
/// opening an image does.
fn load(id: &str, what: &str, target: f64, density: Density, new: bool, clusters: bool) -> Row {
    let make = c_only(move |api| {
        let content = bytes(BITS, density, 1);
        // qcow2 knows from its table which clusters are stored.
        let stored: Vec<bool> =
            content.chunks(CLUSTER).map(|cluster| cluster.iter().any(|&byte| byte != 0)).collect();
        case(
            Some(api.make(DISK, GRANULARITY)),
            move |bitmap| {
                if new {
                    drop(bitmap.take());
                    *bitmap = Some(api.make(DISK, GRANULARITY));
                }
            },
            move |bitmap| {
                let bitmap = bitmap.as_mut().expect("made in prepare");
                if clusters {
                    load_clusters(bitmap, &content, &stored);
                } else {
                    bitmap.load(&content);
                }
                0
            },
            |bitmap| bitmap.as_ref().map_or(0, Bits::count),
        )
    });
    Row::new(id, what, 1, target, make).bound(Bound::Copy(BYTES))
}

fn load_clusters(bitmap: &mut Hb, content: &[u8], stored: &[bool]) {
    for ((cluster, &stored), start) in
        content.chunks(CLUSTER).zip(stored).zip((0..DISK).step_by(COVERS as usize))
    {
        let bytes = COVERS.min(DISK - start);
        if stored {
            bitmap.load_part(cluster, start, bytes);
        } else {
            bitmap.load_zeroes(start, bytes);
        }
    }
    bitmap.finish();
}

pub(super) fn rows() -> Vec<Row> {
    let whole = |density: Density| {
        let what = format!("serialise {} %", density.id());
        // `roaring` writes a format of its own, as small as its content.
        Row::new(&format!("serialise/{}", density.id()), &what, 1, 1.0, all_three(Whole(density)))
            .bound(Bound::Copy(BYTES))
            .roaring_differs()
            .table(Table::Extra)
    };
    let mut rows = vec![
        whole(Density::Sparse),
        whole(Density::Percent40),
        clusters(Density::Sparse, 2.5),
        clusters(Density::Percent1, 1.5),
        clusters(Density::Percent40, 1.5),
    ];
    for (density, target) in
        [(Density::Sparse, 2.0), (Density::Percent1, 2.5), (Density::Percent40, 2.5)]
    {
        let name = density.id();
        let used = load(
            &format!("deserialise/{name}"),
            &format!("deserialise + finish, {name} %"),
            1.0,
            density,
            false,
            false,
        );
        let new = load(
            &format!("deserialise/{name}-new"),
            &format!("deserialise + finish, {name} %, into a new bitmap"),
            1.0,
            density,
            true,
            false,
        );
        rows.extend([used, new].map(|row| row.table(Table::Extra)));
        rows.push(load(
            &format!("deserialise/{name}-clusters"),
            &format!("load, {name} %, into a new bitmap, in 64 KiB clusters"),
            target,
            density,
            true,
            true,
        ));
    }
    rows
}
