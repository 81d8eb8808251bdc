// SPDX-License-Identifier: GPL-2.0-or-later
//! Reproducible bytes for tests that have no fuzzer.

/// The bytes that belong to a seed (SplitMix64).
#[must_use]
pub fn bytes(seed: u64, length: usize) -> Vec<u8> {
    // Mixed, or the next seed's bytes would be the same ones eight further on.
    let mut state = mix(seed);
    let mut word = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(state)
    };
    let mut bytes: Vec<u8> = (0..length.div_ceil(8)).flat_map(|_| word().to_le_bytes()).collect();
    bytes.truncate(length);
    bytes
}

fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
