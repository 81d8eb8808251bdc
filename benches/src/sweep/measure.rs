// SPDX-License-Identifier: GPL-2.0-or-later
//! Measures a cell: short batches of both implementations in turn, and a low quantile of each.

use std::hint::black_box;
use std::time::{Duration, Instant};

use crate::api::Api;
use crate::case::Case;
use crate::sweep::floor::Times;
use crate::sweep::work::Work;

/// Length of a batch, where a run may be repeated.
const BATCH: Duration = Duration::from_micros(150);
/// Length from which a batch's time is the processor's.
const LONG: Duration = Duration::from_micros(100);
/// Runs of a batch at most.
const REPEATS: u32 = 1 << 14;
/// Batches of each implementation at least, for cells of any length and for short ones, and at
/// most.
const BATCHES: (usize, usize, usize) = (3, 7, 60);
/// Time after which there are no more batches than necessary: for short cells, and for any.
const TIME: (Duration, Duration) = (Duration::from_millis(40), Duration::from_millis(300));

/// How thorough a measurement is: this many times the usual time.
#[derive(Clone, Copy, Debug)]
pub struct Effort(pub u32);

/// Times of C and of this library.
///
/// # Errors
/// If the two did not do the same.
pub fn measure(work: &Work, engines: [&'static Api; 2], effort: Effort) -> Result<Times, String> {
    let mut cases = engines.map(|api| (work.make)(api));
    for case in &mut cases {
        batch(case.as_mut(), 1);
    }
    let [qemu, ours] = [&cases[0], &cases[1]].map(|case| case.outcome());
    if qemu != ours {
        return Err(format!("C and this library differ: {qemu:#x} and {ours:#x}"));
    }
    let repeats = [0, 1].map(|side: usize| {
        if !work.steady {
            return 1;
        }
        let once = batch(cases[side].as_mut(), 1).as_nanos().max(1);
        (BATCH.as_nanos() / once).clamp(1, REPEATS.into()) as u32
    });
    let mut times = [Vec::new(), Vec::new()];
    let start = processor_time();
    for round in 0..BATCHES.2 * effort.0 as usize {
        // Who goes first changes, so that nobody always finds the caches as the same other left
        // them.
        for turn in 0..2 {
            let side = (turn + round) % 2;
            let elapsed = batch(cases[side].as_mut(), repeats[side]).as_nanos() as f64;
            times[side].push(elapsed / f64::from(repeats[side]) / work.calls as f64);
        }
        let (spent, done) = (processor_time() - start, round + 1);
        if (done >= BATCHES.1 && spent > TIME.0 * effort.0)
            || (done >= BATCHES.0 && spent > TIME.1 * effort.0)
        {
            break;
        }
    }
    let [qemu_ns, ours_ns] = times.map(low_quantile);
    Ok(Times { qemu_ns, ours_ns })
}

fn batch(case: &mut dyn Case, repeats: u32) -> Duration {
    case.prepare();
    let processor = processor_time();
    let start = Instant::now();
    for _ in 0..repeats {
        black_box(case.run());
    }
    let elapsed = start.elapsed();
    // Another program may have had the processor meanwhile. To ask for this takes longer than a
    // short batch.
    if elapsed < LONG { elapsed } else { elapsed.min(processor_time() - processor) }
}

/// Time that this thread has had a processor.
fn processor_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the clock is every Linux's, and the result goes to a live structure.
    let done = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    assert_eq!(done, 0, "clock_gettime");
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Others on the machine make batches longer and never shorter; the very shortest may be luck.
fn low_quantile(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 10]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disturbed_batches_do_not_count() {
        let mut times = vec![500.0; 20];
        times[3] = 10.0;
        times[4] = 11.0;
        times[17] = 12.0;
        assert!((low_quantile(times) - 12.0).abs() < 1e-9);
        assert!((low_quantile(vec![7.0, 5.0, 6.0]) - 5.0).abs() < 1e-9);
    }
}
