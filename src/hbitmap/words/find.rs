// SPDX-License-Identifier: GPL-2.0-or-later
//! Looking for a value among eight at once, or among many.

/// Whether one of `lanes` is `value`. Looks at all of them, without a branch, which the compiler does by eight.
#[inline(always)]
pub(crate) fn any_is(lanes: impl Iterator<Item = u16>, value: u16) -> bool {
    lanes.fold(0, |found, lane| found | u16::from(lane == value)) != 0
}

/// Whether one of `lanes` is `value`.
#[inline(always)]
pub(crate) fn any_lane_is(lanes: [u16; 8], value: u16) -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{__m128i, _mm_cmpeq_epi16, _mm_movemask_epi8, _mm_set1_epi16};
        // SAFETY: eight 16-bit lanes are the 16 bytes of an __m128i, any of whose values is valid. SSE2 is part of x86-64.
        unsafe {
            let lanes: __m128i = std::mem::transmute(lanes);
            _mm_movemask_epi8(_mm_cmpeq_epi16(lanes, _mm_set1_epi16(value as i16))) != 0
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        any_is(lanes.into_iter(), value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_value_in_any_lane() {
        for value in [0, 1, 0x7fff, 0x8000, 0xffff] {
            for i in 0..8 {
                let mut lanes = [value ^ 0x0100; 8];
                assert!(!any_lane_is(lanes, value) && !any_is(lanes.into_iter(), value));
                lanes[i] = value;
                assert!(any_lane_is(lanes, value) && any_is(lanes.into_iter(), value));
            }
        }
    }
}
