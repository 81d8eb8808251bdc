// SPDX-License-Identifier: GPL-2.0-or-later
//! Measures rows, and again what was under the floor.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::floor::Times;
use super::measure::{measure, Effort};
use super::{Cell, Row};
use crate::api::Api;
use crate::results::Machine;

/// A measured cell.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CellResult {
    /// As `Row::cell_id`.
    pub id: String,
    /// The times; of the best measurement, if there were more.
    #[serde(flatten)]
    pub times: Times,
    /// Whether it was under the floor each time that it was measured.
    pub under: bool,
}

/// The file `sweep.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sweep {
    /// What it was measured on.
    pub machine: Machine,
    /// In the order of the rows.
    pub cells: Vec<CellResult>,
}

/// How often a cell that is under the floor is measured again.
const AGAIN: usize = 2;

/// Measures all cells whose ids contain one of the filters; any without filters.
///
/// # Errors
/// If the two implementations did not do the same in a cell.
pub fn run(rows: &[Row], filters: &[String], engines: [&'static Api; 2]) -> Result<Vec<CellResult>, String> {
    let cells: Vec<(&Row, &Cell)> = rows
        .iter()
        .flat_map(|row| row.cells.iter().map(move |cell| (row, cell)))
        .filter(|(row, cell)| filters.is_empty() || filters.iter().any(|filter| row.cell_id(cell).contains(filter)))
        .collect();
    let timed = |row: &Row, cell: &Cell, effort| {
        measure(&row.work(cell), engines, effort).map_err(|error| format!("{}: {error}", row.cell_id(cell)))
    };
    let mut results = Vec::new();
    let start = Instant::now();
    for (index, (row, cell)) in cells.iter().enumerate() {
        let times = timed(row, cell, Effort(1))?;
        results.push(CellResult { id: row.cell_id(cell), times, under: times.is_under_the_floor() });
        if (index + 1) % 200 == 0 {
            eprintln!("{} of {} cells, {} s", index + 1, cells.len(), start.elapsed().as_secs());
        }
    }
    // The machine may have been busy with something else.
    for pass in 0..AGAIN {
        let under: Vec<usize> = (0..results.len()).filter(|&index| results[index].under).collect();
        eprintln!("{} cells under the floor: measured again ({} of {AGAIN})", under.len(), pass + 1);
        for index in under {
            let (row, cell) = cells[index];
            let times = timed(row, cell, Effort(2))?;
            let result = &mut results[index];
            if times.ratio() > result.times.ratio() {
                result.times = times;
            }
            result.under = times.is_under_the_floor();
        }
    }
    Ok(results)
}
