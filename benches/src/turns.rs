// SPDX-License-Identifier: GPL-2.0-or-later
//! Quick measuring: the implementations in turn, and the median of each.

use std::hint::black_box;
use std::time::{Duration, Instant};

use crate::api::Engine;
use crate::case::{Case, Row};

/// Nanoseconds of one run, in the order of the engines; `None` where an engine has no such
/// operation.
pub type Times = Vec<Option<f64>>;

/// A row's cases, one for each engine that has it.
pub fn cases(row: &Row, engines: &[Engine]) -> Vec<Option<Box<dyn Case>>> {
    engines.iter().map(|&engine| (row.make)(engine)).collect()
}

/// Runs a case once; the result must not be optimised away.
pub fn time(case: &mut dyn Case) -> Duration {
    case.prepare();
    let start = Instant::now();
    black_box(case.run());
    start.elapsed()
}

/// Checks that the implementations of the C ABI led to the same after a run of each: a fast wrong
/// answer is no result.
///
/// # Panics
/// If they did not.
pub fn compare(row: &Row, engines: &[Engine], cases: &[Option<Box<dyn Case>>]) {
    let outcomes: Vec<_> = engines
        .iter()
        .zip(cases)
        .filter(|(engine, _)| engine.api().is_some())
        .filter_map(|(engine, case)| Some((engine.name(), case.as_ref()?.outcome())))
        .collect();
    for (name, outcome) in &outcomes[1.min(outcomes.len())..] {
        assert_eq!(*outcome, outcomes[0].1, "{}: {} and {} differ", row.id, name, outcomes[0].0);
    }
}

/// How long to go on.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Rounds at least and at most.
    pub rounds: (usize, usize),
    /// Time after which no new round begins, once there were enough.
    pub time: Duration,
}

impl Effort {
    /// For the whole table in less than three minutes.
    pub const QUICK: Effort = Effort { rounds: (3, 21), time: Duration::from_millis(900) };
    /// For a few rows.
    pub const CAREFUL: Effort = Effort { rounds: (7, 51), time: Duration::from_millis(4000) };
}

/// Nanoseconds of one operation on each engine: medians of interleaved runs.
pub fn measure(row: &Row, engines: &[Engine], effort: Effort) -> Times {
    let mut cases = cases(row, engines);
    let mut times: Vec<Vec<f64>> = vec![Vec::new(); engines.len()];
    let start = Instant::now();
    for round in 0..effort.rounds.1 {
        // Who goes first changes, so that nobody always finds the caches as the same other left
        // them.
        for turn in 0..engines.len() {
            let engine = (turn + round) % engines.len();
            if let Some(case) = &mut cases[engine] {
                let elapsed = time(case.as_mut()).as_nanos() as f64;
                times[engine].push(elapsed / row.operations as f64);
            }
        }
        if round == 0 {
            compare(row, engines, &cases);
        }
        let spent = start.elapsed();
        // A run of seconds needs no more than one turn: its spread is small against what it is
        // compared with.
        if (round + 1 >= effort.rounds.0 && spent > effort.time) || spent > 6 * effort.time {
            break;
        }
    }
    times.into_iter().map(median).collect()
}

fn median(mut times: Vec<f64>) -> Option<f64> {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied()
}
