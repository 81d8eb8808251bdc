// SPDX-License-Identifier: GPL-2.0-or-later
//! Kernels that change the granularity of bits: one bit to many, and many to one.

/// Spreads the low 32 bits of `x` so that bit `i` moves to bit `2 * i`.
#[inline(always)]
fn spread(x: u64) -> u64 {
    let x = x & 0xffff_ffff;
    let x = (x | x << 16) & 0x0000_ffff_0000_ffff;
    let x = (x | x << 8) & 0x00ff_00ff_00ff_00ff;
    let x = (x | x << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    let x = (x | x << 2) & 0x3333_3333_3333_3333;
    (x | x << 1) & 0x5555_5555_5555_5555
}

/// The inverse of [`spread`]: gathers the bits at even places into the low half.
#[inline(always)]
fn gather(x: u64) -> u64 {
    let x = x & 0x5555_5555_5555_5555;
    let x = (x | x >> 1) & 0x3333_3333_3333_3333;
    let x = (x | x >> 2) & 0x0f0f_0f0f_0f0f_0f0f;
    let x = (x | x >> 4) & 0x00ff_00ff_00ff_00ff;
    let x = (x | x >> 8) & 0x0000_ffff_0000_ffff;
    (x | x >> 16) & 0xffff_ffff
}

/// A word in which the low `64 >> SHIFT` bits of `bits` stand `2^SHIFT` times each, for a shift of 1 to 5.
#[inline(always)]
fn widen<const SHIFT: u32>(bits: u64) -> u64 {
    // Spread the bits `2^SHIFT` apart, then fill each gap by a multiplication with a run of ones (no carries: the runs do not
    // meet).
    let mut x = bits;
    for _ in 0..SHIFT {
        x = spread(x);
    }
    x.wrapping_mul((1 << (1 << SHIFT)) - 1)
}

/// The lowest bit of each aligned group of `2^SHIFT` bits.
const fn lowest<const SHIFT: u32>() -> u64 {
    u64::MAX / ((1 << (1 << SHIFT)) - 1)
}

/// The low `64 >> SHIFT` bits say which aligned groups of `2^SHIFT` bits of `word` are not zero, for a shift of 1 to 5.
#[inline(always)]
fn narrow<const SHIFT: u32>(word: u64) -> u64 {
    let top = (1 << SHIFT) - 1;
    let below = !(lowest::<SHIFT>() << top);
    // The sum carries into the top bit of a group if any bit below that is set, and never out of the group.
    let any = (((word & below) + below) | word) >> top & lowest::<SHIFT>();
    match SHIFT {
        1 => gather(any),
        2 => gather(gather(any)),
        // Few enough to be brought together by one multiplication: copy `j` of group `i` lands at `i` in the top bits where `i` is `j`,
        // and no two land at the same place.
        3 => any.wrapping_mul(0x0102_0408_1020_4080) >> 56,
        4 => any.wrapping_mul(0x1000_2000_4000_8000) >> 60,
        _ => (any | any >> 31) & 3,
    }
}

#[inline(always)]
fn expand_within_words<const SHIFT: u32>(dst: &mut [u64], src: &[u64]) {
    let each = 64 >> SHIFT;
    for (words, &bits) in dst.chunks_mut(1 << SHIFT).zip(src) {
        for (place, word) in words.iter_mut().enumerate() {
            *word = widen::<SHIFT>(bits >> (place as u32 * each) & ((1 << each) - 1));
        }
    }
}

#[inline(always)]
fn compress_within_words<const SHIFT: u32>(dst: &mut [u64], src: &[u64]) {
    let each = 64 >> SHIFT;
    for (bits, words) in dst.iter_mut().zip(src.chunks(1 << SHIFT)) {
        *bits = 0;
        for (place, &word) in words.iter().enumerate() {
            *bits |= narrow::<SHIFT>(word) << (place as u32 * each);
        }
    }
}

/// See [`super::expand`].
#[inline(always)]
pub(crate) fn expand(dst: &mut [u64], src: &[u64], shift: u32) {
    match shift {
        1 => expand_within_words::<1>(dst, src),
        2 => expand_within_words::<2>(dst, src),
        3 => expand_within_words::<3>(dst, src),
        4 => expand_within_words::<4>(dst, src),
        5 => expand_within_words::<5>(dst, src),
        _ => {
            for (bit, words) in dst.chunks_mut(1 << (shift - 6)).enumerate() {
                words.fill(0u64.wrapping_sub(src[bit / 64] >> (bit % 64) & 1));
            }
        }
    }
}

/// See [`super::compress`].
#[inline(always)]
pub(crate) fn compress(dst: &mut [u64], src: &[u64], shift: u32) {
    match shift {
        1 => compress_within_words::<1>(dst, src),
        2 => compress_within_words::<2>(dst, src),
        3 => compress_within_words::<3>(dst, src),
        4 => compress_within_words::<4>(dst, src),
        5 => compress_within_words::<5>(dst, src),
        _ => {
            dst.fill(0);
            for (bit, words) in src.chunks(1 << (shift - 6)).enumerate() {
                let any = words.iter().fold(0, |any, &word| any | word) != 0;
                dst[bit / 64] |= u64::from(any) << (bit % 64);
            }
        }
    }
}
