// SPDX-License-Identifier: GPL-2.0-or-later
//! All rows. Unless an id says otherwise: a 16 TiB disk at 64 KiB granularity, 2^28 bits, 32 MiB of
//! them.

mod embed;
mod growth;
mod iterate;
mod merge;
mod node;
mod query;
mod serialise;
mod set;
mod whole;
mod workload;

use crate::case::Row;

/// Bytes of the disk.
pub const DISK: u64 = 16 << 40;
/// 64 KiB.
pub const GRANULARITY: u32 = 16;
/// Bits of the bitmap.
pub const BITS: u64 = DISK >> GRANULARITY;
/// Bytes of the bitmap.
pub const BYTES: u64 = BITS / 8;

/// Disks of the series by size: the name in ids, and bytes.
pub const SIZES: [(&str, u64); 7] = [
    ("1g", 1 << 30),
    ("16g", 1 << 34),
    ("256g", 1 << 38),
    ("4t", 1 << 42),
    ("64t", 1 << 46),
    ("256t", 1 << 48),
    ("1p", 1 << 50),
];

/// Every row, in the order of the tables.
pub fn all() -> Vec<Row> {
    [
        set::rows(),
        whole::rows(),
        query::rows(),
        iterate::rows(),
        merge::rows(),
        serialise::rows(),
        growth::rows(),
        workload::rows(),
        node::rows(),
        embed::rows(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    #[test]
    fn ids_are_unique() {
        let rows = super::all();
        let ids: HashSet<_> = rows.iter().map(|row| &row.id).collect();
        assert_eq!(ids.len(), rows.len());
    }
}
