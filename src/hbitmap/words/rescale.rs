// SPDX-License-Identifier: GPL-2.0-or-later
//! One bit to many, and many to one.

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

/// The inverse of [`spread`]: gathers the bits with even indices into the low half.
#[inline(always)]
fn gather(x: u64) -> u64 {
    let x = x & 0x5555_5555_5555_5555;
    let x = (x | x >> 1) & 0x3333_3333_3333_3333;
    let x = (x | x >> 2) & 0x0f0f_0f0f_0f0f_0f0f;
    let x = (x | x >> 4) & 0x00ff_00ff_00ff_00ff;
    let x = (x | x >> 8) & 0x0000_ffff_0000_ffff;
    (x | x >> 16) & 0xffff_ffff
}

/// See [`super::expand`].
#[inline(always)]
pub(super) fn expand(dst: &mut [u64], bits: u64, shift: u32) {
    match shift {
        1 => expand_by::<1>(dst, bits),
        2 => expand_by::<2>(dst, bits),
        3 => expand_by::<3>(dst, bits),
        4 => expand_by::<4>(dst, bits),
        _ => expand_by::<5>(dst, bits),
    }
}

#[inline(always)]
fn expand_by<const SHIFT: u32>(dst: &mut [u64], bits: u64) {
    let each = 64 >> SHIFT;
    for (i, word) in dst.iter_mut().enumerate() {
        let mut x = bits >> (i as u32 * each);
        // Each time the low half is taken: in the end `each` bits.
        for _ in 0..SHIFT {
            x = spread(x);
        }
        // The bits are `2^SHIFT` apart: a multiplication fills each gap, without carries.
        *word = x.wrapping_mul(u64::MAX >> (64 - (1 << SHIFT)));
    }
}

/// See [`super::compress`].
#[inline(always)]
pub(super) fn compress(dst: &mut [u64], src: &[u64], shift: u32) {
    dst.fill(0);
    match shift {
        1 => compress_by::<1>(dst, src),
        2 => compress_by::<2>(dst, src),
        3 => compress_by::<3>(dst, src),
        4 => compress_by::<4>(dst, src),
        5 => compress_by::<5>(dst, src),
        _ => {
            for (i, &word) in src.iter().enumerate() {
                let bit = i >> (shift - 6);
                dst[bit / 64] |= u64::from(word != 0) << (bit % 64);
            }
        }
    }
}

#[inline(always)]
fn compress_by<const SHIFT: u32>(dst: &mut [u64], src: &[u64]) {
    let each = 64 >> SHIFT;
    for (bits, words) in dst.iter_mut().zip(src.chunks(1 << SHIFT)) {
        for (i, &word) in words.iter().enumerate() {
            let mut x = word;
            for _ in 0..SHIFT {
                x = gather(x | x >> 1);
            }
            *bits |= x << (i as u32 * each);
        }
    }
}
