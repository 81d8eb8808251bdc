// SPDX-License-Identifier: GPL-2.0-or-later
//! What a sweep showed, as text.

use std::collections::HashMap;
use std::fmt::Write as _;

use super::content::CHUNK;
use super::run::{CellResult, Sweep};
use super::{Cell, Row};
use crate::results::{duration, geometric_mean, three_digits};

/// Cells in the table of the worst.
const WORST: usize = 20;

/// A column's heading.
pub fn heading(density: u64) -> String {
    match density {
        0 => "empty".into(),
        CHUNK => "all".into(),
        1000.. => format!("{},{:03}", density / 1000, density % 1000),
        _ => density.to_string(),
    }
}

/// A cell that was measured, with what it is.
pub struct Measured<'a> {
    /// Its row.
    pub row: &'a Row,
    /// Its column.
    pub cell: &'a Cell,
    /// What was measured.
    pub result: &'a CellResult,
}

/// The cells that were measured and still exist, in the order of the rows.
pub fn measured<'a>(rows: &'a [Row], results: &'a [CellResult]) -> Vec<Measured<'a>> {
    let by_id: HashMap<&str, &CellResult> =
        results.iter().map(|result| (result.id.as_str(), result)).collect();
    let cells = rows.iter().flat_map(|row| row.cells.iter().map(move |cell| (row, cell)));
    cells
        .filter_map(|(row, cell)| {
            by_id.get(row.cell_id(cell).as_str()).map(|&result| Measured { row, cell, result })
        })
        .collect()
}

/// The sentence of the whole.
pub fn sentence(cells: &[Measured]) -> String {
    let mean = geometric_mean(cells.iter().map(|cell| cell.result.times.ratio()));
    let under = cells.iter().filter(|cell| cell.result.under).count();
    format!(
        "{} cells; geometric mean of C ÷ ours {}; under the floor: {under}.",
        cells.len(),
        three_digits(mean)
    )
}

/// The cells with the least ratios, the worst one first.
fn worst<'a, 'b>(cells: &'b [Measured<'a>]) -> impl Iterator<Item = &'b Measured<'a>> {
    let mut sorted: Vec<_> = cells.iter().collect();
    sorted.sort_by(|a, b| a.result.times.ratio().total_cmp(&b.result.times.ratio()));
    sorted.into_iter()
}

/// For a terminal: the cells under the floor, the worst twenty, and the sentence.
pub fn text(cells: &[Measured]) -> String {
    let line = |cell: &Measured| {
        let times = cell.result.times;
        let mark = if cell.result.under { "  under the floor" } else { "" };
        let (c, ours) = (duration(times.qemu_ns), duration(times.ours_ns));
        format!("{:44} {c:>9} {ours:>9} {:>8}{mark}\n", cell.result.id, ratio(times.ratio()))
    };
    let head = format!("{:44} {:>9} {:>9} {:>8}\n", "cell", "C", "ours", "C/ours");
    let under: String = worst(cells).filter(|cell| cell.result.under).map(line).collect();
    let worst: String = worst(cells).take(WORST).map(line).collect();
    format!("under the floor\n{head}{under}\nthe worst\n{head}{worst}\n{}\n", sentence(cells))
}

/// Every cell of some rows, for a terminal: ratio, C's and this library's time.
pub fn matrix(cells: &[Measured]) -> String {
    let mut text = String::new();
    let mut rest = cells;
    while let Some(first) = rest.first() {
        let row: Vec<_> = rest.iter().take_while(|cell| cell.row.id == first.row.id).collect();
        rest = &rest[row.len()..];
        let _ = writeln!(text, "{}", first.row.id);
        let mut line = |name: &str, of: &dyn Fn(&Measured) -> String| {
            let _ = write!(text, "  {name:7}");
            row.iter().for_each(|cell| _ = write!(text, "{:>10}", of(cell)));
            text.push('\n');
        };
        line("bits", &|cell| cell.cell.column.map_or("-".into(), heading));
        line("C", &|cell| duration(cell.result.times.qemu_ns));
        line("ours", &|cell| duration(cell.result.times.ours_ns));
        line("C/ours", &|cell| {
            ratio(cell.result.times.ratio()) + if cell.result.under { "!" } else { "" }
        });
    }
    text
}

/// A ratio with the digits that a slow one needs.
fn ratio(value: f64) -> String {
    if value < 0.1 { format!("{value:.4}") } else { three_digits(value) }
}

/// For the document: the sentence and the table of the worst.
pub fn markdown(rows: &[Row], sweep: &Sweep) -> String {
    let cells = measured(rows, &sweep.cells);
    let machine = &sweep.machine;
    let mut text = format!(
        "{} · Linux {} ·\n{} · QEMU {} · {}\n\n{}\n\nThe worst twenty:\n\n",
        machine.cpu,
        machine.kernel,
        machine.rustc,
        machine.qemu,
        machine.date,
        sentence(&cells)
    );
    text += "| operation | content | bits in a chunk | QEMU C | ours | C ÷ ours | |\n\
             | --- | --- | --- | --- | --- | --- | --- |\n";
    for cell in worst(&cells).take(WORST) {
        let times = cell.result.times;
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} |",
            cell.row.operation.what,
            cell.row.content,
            cell.cell.column.map_or(String::new(), heading),
            duration(times.qemu_ns),
            duration(times.ours_ns),
            ratio(times.ratio()),
            if cell.result.under { "under the floor" } else { "" }
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sweep::DENSITIES;

    #[test]
    fn headings() {
        assert_eq!(DENSITIES.map(heading)[9..], ["300", "3,000", "16,384", "32,700", "all"]);
        assert_eq!(heading(0), "empty");
    }
}
