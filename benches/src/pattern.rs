// SPDX-License-Identifier: GPL-2.0-or-later
//! Contents of bitmaps: the serialised form, which both implementations load in one call.

use crate::random::Random;

/// How much of a bitmap is set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Density {
    /// 0.01 % of the bits, each at random.
    Sparse,
    /// 1 % of the bits, each at random.
    Percent1,
    /// 40 % of the bits, each at random.
    Percent40,
    /// Every bit.
    Full,
}

impl Density {
    /// The part of the bits that is set.
    pub fn fraction(self) -> f64 {
        match self {
            Density::Sparse => 0.0001,
            Density::Percent1 => 0.01,
            Density::Percent40 => 0.4,
            Density::Full => 1.0,
        }
    }

    /// The name in a row's id.
    pub fn id(self) -> &'static str {
        match self {
            Density::Sparse => "0.01",
            Density::Percent1 => "1",
            Density::Percent40 => "40",
            Density::Full => "100",
        }
    }
}

/// The serialised form of a bitmap of `bits` bits (a multiple of 64).
pub fn bytes(bits: u64, density: Density, seed: u64) -> Vec<u8> {
    words(bits, density, seed).iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn words(bits: u64, density: Density, seed: u64) -> Vec<u64> {
    let mut random = Random::new(seed);
    let length = (bits / 64) as usize;
    match density {
        Density::Full => vec![!0; length],
        Density::Sparse => {
            let mut words = vec![0; length];
            for _ in 0..(bits as f64 * density.fraction()) as u64 {
                let bit = random.below(bits);
                words[(bit / 64) as usize] |= 1 << (bit % 64);
            }
            words
        }
        // 64 biased coins at once: walk the binary digits of the probability from the last to the
        // first.
        _ => {
            let digits = (density.fraction() * 65536.0) as u32;
            let mut word = || {
                (0..16).fold(0u64, |bits, digit| {
                    let coin = random.next_u64();
                    if digits >> digit & 1 == 1 { bits | coin } else { bits & coin }
                })
            };
            (0..length).map(|_| word()).collect()
        }
    }
}

/// Every bit of a serialised bitmap repeated 16 times: the same blocks at a 16 times finer
/// granularity.
pub fn refine16(coarse: &[u8]) -> Vec<u8> {
    let mut fine = Vec::with_capacity(coarse.len() * 16);
    for byte in coarse {
        for bit in 0..8 {
            let run = if byte >> bit & 1 == 1 { 0xff } else { 0 };
            fine.extend_from_slice(&[run, run]);
        }
    }
    fine
}

/// The number of runs of set bits in a serialised bitmap.
pub fn runs(bytes: &[u8]) -> u64 {
    let mut before = 0u64;
    let mut runs = 0u64;
    for word in bytes.chunks_exact(8) {
        let word = u64::from_le_bytes(word.try_into().expect("8 bytes"));
        runs += u64::from((word & !(word << 1 | before)).count_ones());
        before = word >> 63;
    }
    runs
}

/// The number of set bits in a serialised bitmap.
pub fn ones(bytes: &[u8]) -> u64 {
    bytes.iter().map(|byte| u64::from(byte.count_ones())).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn densities_are_what_they_say() {
        let bits = 1 << 22;
        for density in [Density::Sparse, Density::Percent1, Density::Percent40, Density::Full] {
            let got = ones(&bytes(bits, density, 1)) as f64 / bits as f64;
            assert!((got / density.fraction() - 1.0).abs() < 0.1, "{density:?}: {got}");
        }
    }

    #[test]
    fn runs_cross_words() {
        let mut bytes = vec![0u8; 24];
        bytes[7] = 0x80;
        bytes[8] = 0x05;
        assert_eq!(runs(&bytes), 2);
        assert_eq!(runs(&[0xff; 24]), 1);
    }

    #[test]
    fn refining_keeps_the_runs() {
        let coarse = bytes(1 << 16, Density::Percent40, 3);
        let fine = refine16(&coarse);
        assert_eq!(ones(&fine), 16 * ones(&coarse));
        assert_eq!(runs(&fine), runs(&coarse));
    }
}
