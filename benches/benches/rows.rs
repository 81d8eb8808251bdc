// SPDX-License-Identifier: GPL-2.0-or-later
//! Every row with criterion. Each sample runs all implementations in turn and counts the time of
//! one of them, so that none of them has the machine's better minute.
//!
//! `QDB_ROWS` chooses the rows whose ids contain it.

use std::env;
use std::time::{Duration, Instant};

use criterion::{Criterion, SamplingMode, Throughput};
use qemu_dirty_bitmap_bench::api::Engine;
use qemu_dirty_bitmap_bench::case::{Case, Row};
use qemu_dirty_bitmap_bench::{allocator, api, rows, turns};

/// Time that the samples of one implementation may take, with all that is not counted.
const BUDGET: Duration = Duration::from_secs(3);
const SAMPLES: usize = 11;

type Cases = Vec<Option<Box<dyn Case>>>;

fn main() {
    allocator::steady();
    let engines = match api::engines() {
        Ok(engines) => engines,
        Err(error) => {
            eprintln!("rows: {error}");
            std::process::exit(1);
        }
    };
    let filter = env::var("QDB_ROWS").unwrap_or_default();
    let mut criterion = Criterion::default().configure_from_args();
    for row in rows::all().iter().filter(|row| row.id.contains(&filter)) {
        measure(&mut criterion, row, &engines);
    }
    criterion.final_summary();
}

fn measure(criterion: &mut Criterion, row: &Row, engines: &[Engine]) {
    let mut cases = turns::cases(row, engines);
    // The first turn touches memory for the first time; the second tells what a turn takes.
    turn(&mut cases, 0);
    turns::compare(row, engines, &cases);
    let mut group = criterion.benchmark_group(&row.id);
    group
        .sample_size(SAMPLES)
        .sampling_mode(SamplingMode::Flat)
        .throughput(Throughput::Elements(row.operations));
    for (index, engine) in engines.iter().enumerate() {
        if cases[index].is_none() {
            continue;
        }
        let start = Instant::now();
        let counted = turn(&mut cases, index);
        // Criterion plans with counted time alone, which may be the smallest part of a turn.
        let share = counted.as_secs_f64() / start.elapsed().as_secs_f64();
        let time = BUDGET.mul_f64(share).max(Duration::from_nanos(SAMPLES as u64));
        group.measurement_time(time).warm_up_time(time / 20 + Duration::from_nanos(1));
        group.bench_function(engine.name(), |bencher| {
            bencher.iter_custom(|turns| (0..turns).map(|_| turn(&mut cases, index)).sum());
        });
        turns::compare(row, engines, &cases);
    }
    group.finish();
}

/// Runs all cases; the time of one of them.
fn turn(cases: &mut Cases, index: usize) -> Duration {
    let mut counted = Duration::ZERO;
    for (other, case) in cases.iter_mut().enumerate() {
        let Some(case) = case else { continue };
        let elapsed = turns::time(case.as_mut());
        if other == index {
            counted = elapsed;
        }
    }
    counted
}
