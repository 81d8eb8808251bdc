// SPDX-License-Identifier: GPL-2.0-or-later
//! How often each duration was measured.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Buckets for a factor of ten.
const STEPS: f64 = 8.0;

/// Counts by the least duration of their buckets, in nanoseconds. Empty buckets are left out.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Histogram(BTreeMap<u64, u64>);

impl Histogram {
    /// Counts a duration in nanoseconds.
    pub fn add(&mut self, ns: u64) {
        *self.0.entry(bucket(ns)).or_default() += 1;
    }

    /// Adds what another one counted.
    pub fn merge(&mut self, other: &Histogram) {
        other.0.iter().for_each(|(ns, count)| *self.0.entry(*ns).or_default() += count);
    }

    /// The least duration, the least of the next bucket, and the count of each bucket.
    pub fn buckets(&self) -> impl Iterator<Item = (f64, f64, u64)> + '_ {
        let factor = 10f64.powf(1.0 / STEPS);
        self.0.iter().map(move |(&ns, &count)| (ns as f64, ns as f64 * factor, count))
    }

    /// The part of the durations that took at least `ns`, where a bucket begins.
    pub fn share_from(&self, ns: u64) -> f64 {
        let total: u64 = self.0.values().sum();
        self.0.range(ns..).map(|(_, count)| count).sum::<u64>() as f64 / total as f64
    }
}

/// The least duration of the bucket of `ns`; the first begins at 10 ns.
fn bucket(ns: u64) -> u64 {
    let step = ((ns.max(10) as f64).log10() * STEPS + 1e-9).floor();
    // A power of ten begins a bucket, though the floating-point one may be a little above.
    (10f64.powf(step / STEPS) * (1.0 - 1e-12)).ceil() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_of_ten_begin_buckets() {
        for power in 2..10 {
            let ns = 10u64.pow(power);
            assert_eq!(bucket(ns), ns);
            assert!(bucket(ns - 1) < ns);
        }
        assert_eq!((bucket(0), bucket(9), bucket(14)), (10, 10, 14));
        (10..100_000).for_each(|ns| assert!(bucket(ns) <= ns && bucket(bucket(ns)) == bucket(ns)));
    }

    #[test]
    fn shares() {
        let (mut waits, mut more) = (Histogram::default(), Histogram::default());
        [20, 30, 2_000_000].into_iter().for_each(|ns| waits.add(ns));
        more.add(5_000_000);
        waits.merge(&more);
        assert_eq!(waits.share_from(1_000_000), 0.5);
        assert_eq!(waits.buckets().map(|(.., count)| count).sum::<u64>(), 4);
    }
}
