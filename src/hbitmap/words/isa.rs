// SPDX-License-Identifier: GPL-2.0-or-later
//! The instruction sets that kernels are compiled for.

use std::sync::atomic::{AtomicU8, Ordering};

/// An instruction set that this machine has. Values come from [`Isa::best`] and [`Isa::available`] alone: that is what makes
/// running a kernel with one sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Isa {
    /// What the target always has.
    Portable,
    /// AVX2, BMI1, BMI2, POPCNT and LZCNT (x86-64-v3).
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX-512 F, BW, DQ, VL and VPOPCNTDQ.
    #[cfg(all(target_arch = "x86_64", qdb_avx512))]
    Avx512,
}

/// 0: not asked yet; else the place in [`Isa::ALL`], from 1.
static BEST: AtomicU8 = AtomicU8::new(0);

impl Isa {
    /// All that this build has kernels for, the plainest first.
    const ALL: &'static [Isa] = &[
        Isa::Portable,
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2,
        #[cfg(all(target_arch = "x86_64", qdb_avx512))]
        Isa::Avx512,
    ];

    fn detected(self) -> bool {
        match self {
            Isa::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => {
                is_x86_feature_detected!("avx2")
                    && is_x86_feature_detected!("bmi1")
                    && is_x86_feature_detected!("bmi2")
                    && is_x86_feature_detected!("popcnt")
                    && is_x86_feature_detected!("lzcnt")
            }
            #[cfg(all(target_arch = "x86_64", qdb_avx512))]
            Isa::Avx512 => {
                Isa::Avx2.detected()
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512vpopcntdq")
            }
        }
    }

    /// The instruction sets of this machine, the plainest first.
    pub(crate) fn available() -> impl Iterator<Item = Isa> {
        Self::ALL.iter().copied().filter(|isa| isa.detected())
    }

    /// The best instruction set of this machine. Asked once, then one load.
    #[inline]
    pub(crate) fn best() -> Isa {
        match BEST.load(Ordering::Relaxed) {
            0 => Self::detect(),
            known => Self::ALL[usize::from(known) - 1],
        }
    }

    #[cold]
    fn detect() -> Isa {
        let best = Self::available().last().unwrap_or(Isa::Portable);
        let place = Self::ALL.iter().position(|&isa| isa == best).unwrap_or(0);
        BEST.store(place as u8 + 1, Ordering::Relaxed);
        best
    }
}
