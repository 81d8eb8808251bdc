// SPDX-License-Identifier: GPL-2.0-or-later
//! Word kernels: the loops over whole arrays of words, and the choice of the instruction set that they run with.
//!
//! Each kernel is written once, in `portable`, as a plain loop that the compiler turns into vector code. [`kernel!`]
//! compiles that one source again for AVX2 and (with a compiler that knows it) for AVX-512, and picks one at run time. So the
//! paths cannot drift apart, and the tests run every path that the machine has against the portable one.
//!
//! What works on a few values at once, as single calls do, cannot pay for that choice: `find`, `sorted` and `unite` use the vectors
//! that the target always has, each beside a portable form.

mod ahead;
mod find;
mod isa;
pub(crate) mod portable;
pub(crate) mod rescale;
mod select;
mod sorted;
mod stream;
mod unite;

#[cfg(test)]
mod tests;

pub(crate) use ahead::ask_behind;
pub(crate) use find::{any_is, any_lane_is};
pub(crate) use isa::Isa;
pub(crate) use portable::Summary;
pub(crate) use select::{clear_lowest, mask_if, select};
pub(crate) use sorted::{insert_sorted, remove_sorted};
pub(crate) use stream::Stream;
pub(crate) use unite::unite_disjoint;

/// Defines a kernel's entry points: `$name`, which runs on the best instruction set of this machine, and `on`, inside a module
/// of the same name, which runs on a given one.
macro_rules! kernel {
    ($(#[$doc:meta])* $name:ident($($arg:ident: $ty:ty),*) $(-> $ret:ty)?, $body:path) => {
        $(#[$doc])*
        #[inline]
        pub(crate) fn $name($($arg: $ty),*) $(-> $ret)? {
            $name::on(Isa::best(), $($arg),*)
        }

        pub(crate) mod $name {
            use super::*;

            /// Runs the kernel compiled for `isa`, which must not be more than the machine has.
            #[inline]
            pub(crate) fn on(isa: Isa, $($arg: $ty),*) $(-> $ret)? {
                match isa {
                    // SAFETY: `Isa` values are made by detection only, so the processor has the features that this copy was
                    // compiled for; the body itself is safe code.
                    #[cfg(all(target_arch = "x86_64", qdb_avx512))]
                    Isa::Avx512 => unsafe { avx512($($arg),*) },
                    // SAFETY: as above.
                    #[cfg(target_arch = "x86_64")]
                    Isa::Avx2 => unsafe { avx2($($arg),*) },
                    Isa::Portable => $body($($arg),*),
                }
            }

            #[cfg(all(target_arch = "x86_64", qdb_avx512))]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vpopcntdq,avx2,bmi1,bmi2,popcnt,lzcnt")]
            unsafe fn avx512($($arg: $ty),*) $(-> $ret)? {
                $body($($arg),*)
            }

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,bmi1,bmi2,popcnt,lzcnt")]
            unsafe fn avx2($($arg: $ty),*) $(-> $ret)? {
                $body($($arg),*)
            }
        }
    };
}

kernel!(
    /// The number of bits set in `words`.
    count_ones(words: &[u64]) -> u64, portable::count_ones
);
kernel!(
    /// One bit for each word that is not zero (bit `i % 64` of summary word `i / 64`), and the number of bits set.
    ///
    /// `words` holds at most 512 words.
    summarize(words: &[u64]) -> Summary, portable::summarize
);
kernel!(
    /// The same as [`summarize`] for the little-endian words in `bytes`: at most 512, in a multiple of 64.
    summarize_bytes(bytes: &[u8]) -> Summary, portable::summarize_bytes
);
kernel!(
    /// Ors `src` into `dst`, which is as long; returns the number of bits that `dst` gained.
    or_into(dst: &mut [u64], src: &[u64]) -> u64, portable::or_into
);
kernel!(
    /// Whether each bit of `words` is set. Leaves off at the first word that has a zero.
    all_ones(words: &[u64]) -> bool, portable::all_ones
);
kernel!(
    /// Reads little-endian words from `bytes`, which is eight times as long as `words`.
    from_little_endian(words: &mut [u64], bytes: &[u8]), portable::from_little_endian
);
kernel!(
    /// Overwrites `words` by the little-endian words in `bytes`, which is eight times as long. Returns the summary of the new
    /// words, and how many bits the old ones had. `words` holds at most 512 words.
    replace(words: &mut [u64], bytes: &[u8]) -> (Summary, u64), portable::replace
);
kernel!(
    /// Writes `words` to `bytes`, which is eight times as long, as little-endian words.
    to_little_endian(bytes: &mut [u8], words: &[u64]), portable::to_little_endian
);
kernel!(
    /// Writes each bit of `src` `2^shift` times in a row to `dst`, `shift` being 1 to 14: `dst[i]` takes its bits from bit
    /// `(64 * i) >> shift` of `src` on.
    expand(dst: &mut [u64], src: &[u64], shift: u32), rescale::expand
);
kernel!(
    /// Ors each aligned group of `2^shift` bits of `src` into one bit of `dst`, `shift` being 1 to 14. `dst` is overwritten.
    compress(dst: &mut [u64], src: &[u64], shift: u32), rescale::compress
);

/// The mask with the bits `first..=last` of a word, both below 64.
#[inline]
pub(crate) fn mask(first: u64, last: u64) -> u64 {
    (u64::MAX << (first & 63)) & (u64::MAX >> (63 - (last & 63)))
}
