// SPDX-License-Identifier: GPL-2.0-or-later
//! From saved results to the document: only what stands between a table's two marks is rewritten.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

use serde::Deserialize;

use crate::case::{Bound, Row, Table};
use crate::memory::{MemoryResult, SizeResult};
use crate::pictures;
use crate::results::{RowResult, Rows, Verdict};
use crate::results::{duration, geometric_mean, read, size, three_digits};
use crate::rows;
use crate::sweep::{self, run::Sweep};
use crate::waits::{WaitResult, Waits};

/// Rewrites the tables of `document` and draws the pictures from the files in `directory`.
///
/// # Errors
/// If rows.json is missing, a file is not as it should be, or the document lacks a mark.
pub fn write(directory: &Path, document: &Path, pictures: &Path) -> io::Result<()> {
    let measured: Rows = read(&directory.join("rows.json"))?;
    let known = rows::all();
    let mut text = fs::read_to_string(document)?;
    let mut tables = vec![
        ("machine", machine(&measured)),
        ("goals", goals(&known, &measured)),
        ("extra", plain(&known, &measured, Table::Extra)),
        ("growth", plain(&known, &measured, Table::Growth)),
        ("workload", plain(&known, &measured, Table::Workload)),
        ("node", plain(&known, &measured, Table::Node)),
        ("embed", embed_table(&known, &measured)),
    ];
    fs::write(pictures.join("performance.svg"), pictures::bars::svg(&known, &measured))?;
    fs::write(pictures.join("growth.svg"), pictures::growth::svg(&measured))?;
    // Measured on their own; a table without a file stays as it is.
    if let Some(results) = saved::<Vec<MemoryResult>>(&directory.join("memory.json"))? {
        tables.push(("memory", memory_table(&results)));
    }
    if let Some(results) = saved::<Vec<SizeResult>>(&directory.join("memory-sizes.json"))? {
        fs::write(pictures.join("memory.svg"), pictures::memory::svg(&results))?;
    }
    if let Some(results) = saved::<Vec<WaitResult>>(&directory.join("waits.json"))? {
        tables.push(("waits", waits_table(&results)));
        fs::write(pictures.join("latency.svg"), pictures::latency::svg(&results))?;
    }
    if let Some(sweep) = saved::<Sweep>(&directory.join("sweep.json"))? {
        let rows = sweep::all();
        tables.push(("sweep", sweep::summary::markdown(&rows, &sweep)));
        fs::write(pictures.join("sweep.svg"), sweep::heatmap::svg(&rows, &sweep))?;
    }
    for (name, table) in tables {
        text = replace(&text, name, &table)?;
    }
    fs::write(document, text)
}

fn saved<T: for<'a> Deserialize<'a>>(path: &Path) -> io::Result<Option<T>> {
    if path.is_file() { read(path).map(Some) } else { Ok(None) }
}

/// Replaces what stands between `<!-- bench:NAME -->` and `<!-- bench:end -->`.
fn replace(text: &str, name: &str, table: &str) -> io::Result<String> {
    let missing = || io::Error::other(format!("the document has no table marked bench:{name}"));
    let mark = format!("<!-- bench:{name} -->\n");
    let start = text.find(&mark).ok_or_else(missing)? + mark.len();
    let end = start + text[start..].find("<!-- bench:end -->").ok_or_else(missing)?;
    Ok(format!("{}{table}{}", &text[..start], &text[end..]))
}

fn measured_rows<'a>(
    known: &'a [Row],
    measured: &'a Rows,
    table: Table,
) -> impl Iterator<Item = (&'a Row, &'a RowResult)> {
    known
        .iter()
        .filter(move |row| row.table == table)
        .filter_map(|row| Some((row, measured.rows.get(&row.id)?)))
}

fn machine(measured: &Rows) -> String {
    let machine = &measured.machine;
    format!(
        "{} · Linux {} ·\n{} · {} ·\nQEMU {} · {} · medians by {}\n\n\
         The machine's limits over 32 MiB: memcpy {}, OR of two arrays with a popcount {}.\n\
         A loop's call of a function that does nothing: {}.\n",
        machine.cpu,
        machine.kernel,
        machine.rustc,
        machine.cc,
        machine.qemu,
        machine.date,
        measured.method,
        duration(measured.limits.copy_ns),
        duration(measured.limits.or_count_ns),
        duration(measured.limits.call_ns)
    )
}

fn goals(known: &[Row], measured: &Rows) -> String {
    let mut text = String::from(
        "| operation | id | QEMU C | ours | roaring | C ÷ ours | goal | ours ÷ limit | |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    let mut ratios = Vec::new();
    let mut good = 0;
    for (row, result) in measured_rows(known, measured, Table::Goals) {
        let limit = row.bound.map_or("".into(), |bound| {
            let name = match bound {
                Bound::Copy(_) => "memcpy",
                Bound::OrCount(_) => "OR + popcount",
                Bound::Call => "empty call",
            };
            format!("{} × {name}", three_digits(result.ours_ns / measured.limits.of(bound)))
        });
        let verdict = result.verdict(row);
        let _ = writeln!(
            text,
            "| {} | `{}` | {} | {} | {} | **{}** | ≥ {} | {limit} | {} |",
            row.what,
            row.id,
            duration(result.qemu_ns),
            duration(result.ours_ns),
            result.roaring_ns.map_or("".into(), duration),
            three_digits(result.ratio()),
            row.target,
            verdict.word()
        );
        good += usize::from(verdict == Verdict::Ok);
        ratios.push(result.ratio());
    }
    let count = ratios.len();
    let mean = three_digits(geometric_mean(ratios.into_iter()));
    let _ = writeln!(
        text,
        "\n{good} of {count} rows reach their goal; geometric mean of C ÷ ours: **{mean}**."
    );
    text
}

/// A table whose first columns are a row's name and id; `cells` makes the others.
fn table<'a>(
    rows: impl Iterator<Item = (&'a Row, &'a RowResult)>,
    columns: &str,
    cells: impl Fn(&RowResult) -> Option<[String; 4]>,
) -> String {
    let mut text = format!("| operation | id | {columns} |\n|{}\n", " --- |".repeat(6));
    for (row, result) in rows {
        let Some(cells) = cells(result) else { continue };
        let _ = writeln!(text, "| {} | `{}` | {} |", row.what, row.id, cells.join(" | "));
    }
    text
}

fn plain(known: &[Row], measured: &Rows, kind: Table) -> String {
    let columns = "QEMU C | ours | roaring | C ÷ ours";
    table(measured_rows(known, measured, kind), columns, |result| {
        let roaring = result.roaring_ns.map_or("".into(), duration);
        let (qemu, ours) = (duration(result.qemu_ns), duration(result.ours_ns));
        Some([qemu, ours, roaring, three_digits(result.ratio())])
    })
}

/// Beside vm-memory's `AtomicBitmap`.
fn embed_table(known: &[Row], measured: &Rows) -> String {
    let columns = "QEMU C | `AtomicBitmap` | this library | `AtomicBitmap` ÷ this library";
    table(measured_rows(known, measured, Table::Embed), columns, |result| {
        let atomic = result.atomic_ns?;
        let (qemu, ours) = (duration(result.qemu_ns), duration(result.ours_ns));
        Some([qemu, duration(atomic), ours, three_digits(atomic / result.ours_ns)])
    })
}

fn memory_table(results: &[MemoryResult]) -> String {
    let mut text = String::from(
        "| bitmaps | held: C | held: ours | goal | peak: C | peak: ours | cleared, peak: C \
         | cleared, peak: ours | cleared, held: C | cleared, held: ours |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for result in results {
        let (c, ours) = (result.qemu, result.ours);
        let cells = [c.peak, ours.peak, c.clear_peak, ours.clear_peak, c.cleared, ours.cleared]
            .map(size)
            .join(" | ");
        let target = result.target.map_or("≤ C".into(), |target| format!("≤ {}", size(target)));
        let _ = writeln!(
            text,
            "| {} | {} | {} | {target} | {cells} |",
            result.what,
            size(c.held),
            size(ours.held)
        );
    }
    text
}

fn waits_table(results: &[WaitResult]) -> String {
    let mut text = String::from(
        "| another thread does | longest write: C | ours | writes over 1 ms: C | ours |\n\
         | --- | --- | --- | --- | --- |\n",
    );
    let over = |waits: &Waits| format!("{:.2} %", 100.0 * waits.histogram.share_from(1_000_000));
    for WaitResult { what, qemu, ours, .. } in results {
        let _ = writeln!(
            text,
            "| {what} | {} | {} | {} | {} |",
            duration(qemu.longest_ns),
            duration(ours.longest_ns),
            over(qemu),
            over(ours)
        );
    }
    text
}

#[derive(Deserialize)]
struct Benchmark {
    group_id: String,
    function_id: Option<String>,
}

#[derive(Deserialize)]
struct Estimates {
    median: Estimate,
}

#[derive(Deserialize)]
struct Estimate {
    point_estimate: f64,
}

/// Criterion's medians in nanoseconds a run, by row and implementation.
///
/// # Errors
/// If criterion has saved nothing, or not as expected.
pub fn medians(criterion: &Path) -> io::Result<BTreeMap<String, BTreeMap<String, f64>>> {
    let mut medians: BTreeMap<String, BTreeMap<String, f64>> = BTreeMap::new();
    for group in fs::read_dir(criterion)? {
        let Ok(functions) = fs::read_dir(group?.path()) else { continue };
        for function in functions {
            let new = function?.path().join("new");
            if new.join("estimates.json").is_file() {
                let benchmark: Benchmark = read(&new.join("benchmark.json"))?;
                let estimates: Estimates = read(&new.join("estimates.json"))?;
                let engine = benchmark.function_id.unwrap_or_default();
                medians
                    .entry(benchmark.group_id)
                    .or_default()
                    .insert(engine, estimates.median.point_estimate);
            }
        }
    }
    Ok(medians)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_marked_table_changes() {
        let text = "a\n<!-- bench:x -->\nold\n<!-- bench:end -->\n\
                    b\n<!-- bench:y -->\nkept\n<!-- bench:end -->\n";
        let new = replace(text, "x", "new\n").expect("the mark is there");
        assert_eq!(new, text.replace("old", "new"));
        assert!(replace(text, "z", "").is_err());
    }
}
