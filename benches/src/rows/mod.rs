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
