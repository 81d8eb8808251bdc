// SPDX-License-Identifier: GPL-2.0-or-later
//! Loops over many words. Each is written once, in `portable` and `rescale`, as plain Rust.
//!
//! [`kernel!`] compiles that source a second time for AVX2, and chooses when it is called. So the
//! two can't drift apart, and the tests run both.

mod portable;
mod rescale;

#[cfg(test)]
mod tests;

pub(in crate::hbitmap) use portable::{
    Summary, first_clear, from_little_endian, nonzero, to_little_endian,
};

/// Defines `$name`, which runs `$body` compiled for AVX2 if the processor has it.
macro_rules! kernel {
    ($(#[$doc:meta])* $name:ident($($arg:ident: $ty:ty),*) $(-> $ret:ty)?, $body:path) => {
        $(#[$doc])*
        #[inline]
        pub(in crate::hbitmap) fn $name($($arg: $ty),*) $(-> $ret)? {
            #[cfg(target_arch = "x86_64")]
            if has_avx2() {
                #[target_feature(enable = "avx2,popcnt")]
                unsafe fn avx2($($arg: $ty),*) $(-> $ret)? {
                    $body($($arg),*)
                }
                // SAFETY: the processor has the features that `avx2` is compiled for; its body is
                // safe code.
                return unsafe { avx2($($arg),*) };
            }
            $body($($arg),*)
        }
    };
}

/// Whether the processor has what the kernels' second copy is compiled for. Asked once, by std.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn has_avx2() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("popcnt")
}

kernel!(
    /// Bits that are set in `words`.
    count_ones(words: &[u64]) -> u64, portable::count_ones
);
kernel!(
    /// Bits that are set in the words of a chunk, and which words are not zero.
    summarize(words: &[u64]) -> Summary, portable::summarize
);
kernel!(
    /// Ors `src` into `dst`, which is as long; returns how many bits `dst` gained.
    or_into(dst: &mut [u64], src: &[u64]) -> u64, portable::or_into
);
kernel!(
    /// Writes each bit of `bits` `2^shift` times in a row to `dst`, which has `2^shift` words.
    /// `shift` is 1 to 5.
    expand(dst: &mut [u64], bits: u64, shift: u32), rescale::expand
);
kernel!(
    /// Ors each aligned run of `2^shift` bits of `src` into one bit of `dst`, which has enough
    /// words for that. `shift` is 1 to 63.
    compress(dst: &mut [u64], src: &[u64], shift: u32), rescale::compress
);
