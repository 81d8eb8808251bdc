// SPDX-License-Identifier: GPL-2.0-or-later
//! The commands of `tools/bench`.
//!
//! `QDB_LIBRARY` and `QDB_ORACLE` name the two shared objects.

use std::collections::BTreeMap;
use std::env;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use qemu_dirty_bitmap_bench::api::{Api, Engine};
use qemu_dirty_bitmap_bench::case::{Row, Table};
use qemu_dirty_bitmap_bench::limits::Limits;
use qemu_dirty_bitmap_bench::results::{
    Machine, RowResult, Rows, Verdict, duration, geometric_mean, read, size, three_digits, write,
};
use qemu_dirty_bitmap_bench::sweep::run::Sweep;
use qemu_dirty_bitmap_bench::turns::{Effort, measure};
use qemu_dirty_bitmap_bench::{allocator, api, memory, report, rows, sweep, waits};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (command, rest) =
        arguments.split_first().map_or(("", &[][..]), |(command, rest)| (command.as_str(), rest));
    if ["quick", "careful", "brief", "sweep"].contains(&command) {
        allocator::steady();
    }
    let done = match (command, rest) {
        ("list", _) => {
            rows::all().iter().for_each(|row| println!("{:32} {}", row.id, row.what));
            Ok(true)
        }
        ("quick", filters) => print(filters, Effort::QUICK).map(|_| true),
        ("careful", filters) => print(filters, Effort::CAREFUL).map(|_| true),
        ("brief", [directory]) => brief(Path::new(directory)),
        ("sweep", [directory, filters @ ..]) => save_sweep(Path::new(directory), filters),
        ("memory", [directory]) => save_memory(Path::new(directory)),
        ("memory-child", [library, case]) => memory_child(Path::new(library), case),
        ("waits", [directory]) => save_waits(Path::new(directory)),
        ("collect", [criterion, directory]) => collect(Path::new(criterion), Path::new(directory)),
        ("report", [directory, document, pictures]) => {
            report::write(Path::new(directory), Path::new(document), Path::new(pictures))
                .map(|()| true)
                .map_err(Into::into)
        }
        _ => {
            eprintln!(
                "usage: bench list | quick [FILTER...] | careful [FILTER...] | brief DIR \
                 | sweep DIR [FILTER...] | memory DIR | waits DIR | collect CRITERION DIR \
                 | report DIR DOCUMENT PICTURES"
            );
            Ok(false)
        }
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The rows whose ids contain one of the filters; without filters the table of goals, with "all"
/// every row.
fn chosen(filters: &[String]) -> Vec<Row> {
    let wanted = |row: &Row| {
        if filters.is_empty() {
            row.table == Table::Goals
        } else {
            filters.iter().any(|filter| filter == "all" || row.id.contains(filter.as_str()))
        }
    };
    rows::all().into_iter().filter(wanted).collect()
}

/// Measures rows and prints them as it goes.
fn print(filters: &[String], effort: Effort) -> Result<Vec<RowResult>> {
    let engines = api::engines()?;
    let limits = Limits::measure();
    let [copy, or_count, call] = [limits.copy_ns, limits.or_count_ns, limits.call_ns].map(duration);
    println!("32 MiB: memcpy {copy}, OR and count {or_count}; empty call {call}\n");
    println!(
        "{:28} {:>10} {:>10} {:>10} {:>12} {:>8} {:>8} {:>8}  verdict",
        "row", "C", "ours", "roaring", "AtomicBitmap", "C/ours", "target", "x limit"
    );
    let mut results = Vec::new();
    for row in chosen(filters) {
        let times = measure(&row, &engines, effort);
        let show = |name: &str| {
            let index = engines.iter().position(|engine| engine.name() == name);
            index.and_then(|index| times[index]).map_or("-".into(), duration)
        };
        let [c, ours, roaring, atomic] = ["qemu", "ours", "roaring", "AtomicBitmap"].map(show);
        print!("{:28} {c:>10} {ours:>10} {roaring:>10} {atomic:>12}", row.id);
        if let Some(result) = RowResult::from_times(&row.id, &engines, &times) {
            let limit = row
                .bound
                .map_or("-".into(), |bound| three_digits(result.ours_ns / limits.of(bound)));
            let (ratio, target) = (three_digits(result.ratio()), three_digits(row.target));
            print!(" {ratio:>8} {target:>8} {limit:>8}  {}", result.verdict(&row).word());
            results.push((row, result));
        }
        println!();
    }
    let good = results.iter().filter(|(row, result)| result.verdict(row) == Verdict::Ok).count();
    let mean = geometric_mean(results.iter().map(|(_, result)| result.ratio()));
    println!(
        "\n{good} of {} rows ok, geometric mean of C/ours {}",
        results.len(),
        three_digits(mean)
    );
    Ok(results.into_iter().map(|(_, result)| result).collect())
}

/// Every row without criterion, saved.
fn brief(directory: &Path) -> Result<bool> {
    both()?;
    let results = print(&["all".into()], Effort::QUICK)?;
    save_rows(directory, "own loop", results)
}

fn both() -> Result<(&'static Api, &'static Api)> {
    let engines = api::engines()?;
    match engines[..] {
        [Engine::Qemu(qemu), Engine::Ours(ours), ..] => Ok((qemu, ours)),
        _ => Err("this needs QDB_LIBRARY, the library itself".into()),
    }
}

/// Every operation at every density; saved unless filters chose some of them.
fn save_sweep(directory: &Path, filters: &[String]) -> Result<bool> {
    let (qemu, ours) = both()?;
    let rows = sweep::all();
    let (cells, failures) = sweep::run::run(&rows, filters, [qemu, ours])?;
    let measured = sweep::summary::measured(&rows, &cells);
    if !filters.is_empty() {
        println!("{}", sweep::summary::matrix(&measured));
    }
    print!("{}", sweep::summary::text(&measured));
    if filters.is_empty() {
        write(&directory.join("sweep.json"), &Sweep { machine: Machine::ask(), cells })?;
    }
    failures.iter().for_each(|failure| eprintln!("{failure}"));
    Ok(failures.is_empty())
}

fn save_memory(directory: &Path) -> Result<bool> {
    both()?;
    let path = |name| env::var_os(name).map(PathBuf::from).ok_or(format!("{name} is not set"));
    let children = memory::Children {
        program: env::current_exe()?,
        oracle: path("QDB_ORACLE")?,
        library: path("QDB_LIBRARY")?,
    };
    let results = children.cases()?;
    let kib = |bytes: u64| format!("{} KiB", bytes >> 10);
    for result in &results {
        let (c, ours) = (result.qemu, result.ours);
        println!(
            "{}: peak {} / {}, held {} / {}, while cleared {} / {}, after {} / {} (C / ours)",
            result.id,
            kib(c.peak),
            kib(ours.peak),
            kib(c.held),
            kib(ours.held),
            kib(c.clear_peak),
            kib(ours.clear_peak),
            kib(c.cleared),
            kib(ours.cleared)
        );
    }
    write(&directory.join("memory.json"), &results)?;
    let sizes = children.sizes()?;
    for memory::SizeResult { content, disk, qemu, ours } in &sizes {
        println!("{content}, {}: {} / {} (C / ours)", size(*disk), kib(*qemu), kib(*ours));
    }
    write(&directory.join("memory-sizes.json"), &sizes)?;
    Ok(true)
}

fn memory_child(library: &Path, id: &str) -> Result<bool> {
    println!("{}", serde_json::to_string(&memory::measure(id, Api::load(library)?)?)?);
    Ok(true)
}

fn save_waits(directory: &Path) -> Result<bool> {
    let (qemu, ours) = both()?;
    let results = waits::measure(qemu, ours);
    for result in &results {
        println!(
            "{}: {} / {} (C / ours)",
            result.what,
            duration(result.qemu.longest_ns),
            duration(result.ours.longest_ns)
        );
    }
    write(&directory.join("waits.json"), &results)?;
    Ok(true)
}

/// Takes the medians from criterion's own files.
fn collect(criterion: &Path, directory: &Path) -> Result<bool> {
    let known = rows::all();
    let mut results = Vec::new();
    for (id, medians) in report::medians(criterion)? {
        let Some(row) = known.iter().find(|row| row.id == id) else { continue };
        let of = |name: &str| medians.get(name).map(|median| median / row.operations as f64);
        if let (Some(qemu_ns), Some(ours_ns)) = (of("qemu"), of("ours")) {
            let (roaring_ns, atomic_ns) = (of("roaring"), of("AtomicBitmap"));
            results.push(RowResult { id, qemu_ns, ours_ns, roaring_ns, atomic_ns });
        }
    }
    save_rows(directory, "criterion", results)
}

/// Rows that were not measured this time stay as they were saved, if they still exist.
fn save_rows(directory: &Path, method: &str, results: Vec<RowResult>) -> Result<bool> {
    let path = directory.join("rows.json");
    let mut saved = if path.is_file() { read::<Rows>(&path)?.rows } else { BTreeMap::new() };
    saved.extend(results.into_iter().map(|result| (result.id.clone(), result)));
    let known = rows::all();
    saved.retain(|id, _| known.iter().any(|row| row.id == *id));
    write(
        &path,
        &Rows {
            machine: Machine::ask(),
            method: method.into(),
            limits: Limits::measure(),
            rows: saved,
        },
    )?;
    Ok(true)
}
