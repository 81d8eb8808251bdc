// SPDX-License-Identifier: GPL-2.0-or-later
//! What the machine can do at best, measured in the same run.

use std::hint::black_box;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::caller::calls_of_nothing;
use crate::case::Bound;
use crate::disks::{BITS, BYTES};
use crate::pattern::{Density, bytes};

/// Two simple sweeps, in nanoseconds for 32 MiB, and the shortest of calls.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Limits {
    /// memcpy between two arrays.
    pub copy_ns: f64,
    /// `a |= b` with the number of bits of the result.
    pub or_count_ns: f64,
    /// A loop's call of a function that does nothing.
    pub call_ns: f64,
}

impl Limits {
    /// Measures them: the medians of some sweeps, over memory that was touched before.
    pub fn measure() -> Limits {
        let source = bytes(BITS, Density::Percent40, 1);
        let mut target = source.clone();
        let copy_ns = median(|| target.copy_from_slice(black_box(&source)));
        let words = |bytes: Vec<u8>| -> Vec<u64> {
            bytes
                .chunks_exact(8)
                .map(|word| u64::from_le_bytes(word.try_into().expect("8 bytes")))
                .collect()
        };
        let (source, mut target) = (words(source), words(target));
        let or_count_ns = median(|| {
            black_box(or_count(&mut target, black_box(&source)));
        });
        let calls = calls_of_nothing() as f64;
        let call_ns = median(|| _ = black_box(calls_of_nothing())) / calls;
        Limits { copy_ns, or_count_ns, call_ns }
    }

    /// The limit of an operation.
    pub fn of(&self, bound: Bound) -> f64 {
        match bound {
            Bound::Copy(bytes) => self.copy_ns * bytes as f64 / BYTES as f64,
            Bound::OrCount(bytes) => self.or_count_ns * bytes as f64 / BYTES as f64,
            Bound::Call => self.call_ns,
        }
    }
}

fn median(mut sweep: impl FnMut()) -> f64 {
    let mut times: Vec<f64> = (0..21)
        .map(|_| {
            let start = Instant::now();
            sweep();
            start.elapsed().as_nanos() as f64
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// With the widest instructions that the machine has.
fn or_count(target: &mut [u64], source: &[u64]) -> u64 {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vpopcntdq") {
            // SAFETY: the features were just detected.
            return unsafe { or_count_avx512(target, source) };
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("popcnt") {
            // SAFETY: the features were just detected.
            return unsafe { or_count_avx2(target, source) };
        }
    }
    or_count_portable(target, source)
}

#[inline(always)]
fn or_count_portable(target: &mut [u64], source: &[u64]) -> u64 {
    target
        .iter_mut()
        .zip(source)
        .map(|(target, source)| {
            *target |= source;
            u64::from(target.count_ones())
        })
        .sum()
}

// The compiler vectorises the loop for each set of features.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vpopcntdq")]
fn or_count_avx512(target: &mut [u64], source: &[u64]) -> u64 {
    or_count_portable(target, source)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,popcnt")]
fn or_count_avx2(target: &mut [u64], source: &[u64]) -> u64 {
    or_count_portable(target, source)
}
