// SPDX-License-Identifier: GPL-2.0-or-later
//! Measures rows, and again what was under the floor.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::floor::Times;
use super::measure::{Effort, measure};
use super::{Cell, Row, isolated};
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

/// Measures all cells whose ids contain one of the filters; any without filters. Also returns what
/// went wrong, cell by cell.
///
/// # Errors
/// If there can be no child process.
pub fn run(
    rows: &[Row],
    filters: &[String],
    engines: [&'static Api; 2],
) -> std::io::Result<(Vec<CellResult>, Vec<String>)> {
    let cells: Vec<(&Row, &Cell)> = rows
        .iter()
        .flat_map(|row| row.cells.iter().map(move |cell| (row, cell)))
        .filter(|(row, cell)| {
            filters.is_empty() || filters.iter().any(|filter| row.cell_id(cell).contains(filter))
        })
        .collect();
    let timed = |cells: &[(&Row, &Cell)], effort| {
        isolated::each(cells.iter().map(|(row, cell)| measure(&row.work(cell), engines, effort)))
    };
    let (mut results, mut measured, mut failures) = (Vec::new(), Vec::new(), Vec::new());
    let (start, mut done) = (Instant::now(), 0);
    for row in cells.chunk_by(|(a, _), (b, _)| a.id == b.id) {
        let mut times = timed(row, Effort(1))?.into_iter();
        for &(row, cell) in row {
            let id = row.cell_id(cell);
            match times.next() {
                Some(Ok(times)) => {
                    results.push(CellResult { id, times, under: times.is_under_the_floor() });
                    measured.push((row, cell));
                }
                Some(Err(error)) => failures.push(format!("{id}: {error}")),
                None => failures.push(format!(
                    "{id}: not measured, because this cell or an earlier one of its row ended the \
                     process"
                )),
            }
        }
        if done / 400 < (done + row.len()) / 400 {
            eprintln!(
                "{} of {} cells, {} s",
                done + row.len(),
                cells.len(),
                start.elapsed().as_secs()
            );
        }
        done += row.len();
    }
    // The machine may have been busy with something else.
    for pass in 0..AGAIN {
        let under: Vec<usize> = (0..results.len()).filter(|&index| results[index].under).collect();
        eprintln!(
            "{} cells under the floor: measured again ({} of {AGAIN})",
            under.len(),
            pass + 1
        );
        for index in under {
            if let Some(Ok(times)) = timed(&measured[index..=index], Effort(2))?.first() {
                let result = &mut results[index];
                if times.ratio() > result.times.ratio() {
                    result.times = *times;
                }
                result.under = times.is_under_the_floor();
            }
        }
    }
    Ok((results, failures))
}
