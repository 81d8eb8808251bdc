// SPDX-License-Identifier: GPL-2.0-or-later
//! The union of two short sorted sequences without a branch on how they lie among each other.
//!
//! Where bits are scattered no processor could foresee that. So all lanes are sorted as one, by a network: the smaller half and the
//! larger one first, and then each half by comparing lanes four, two and one apart.

/// The values of `a` and `b`, ascending, and then zeroes; `None` if a value is in both. Each of the two has its values ascending, with
/// the top bit set, and then zeroes.
#[inline(always)]
pub(crate) fn unite_disjoint(a: [u16; 8], b: [u16; 8]) -> Option<[u16; 16]> {
    #[cfg(target_arch = "x86_64")]
    {
        unite_vectors(a, b)
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        unite_portable(a, b)
    }
}

#[cfg(any(test, not(target_arch = "x86_64")))]
fn unite_portable(a: [u16; 8], b: [u16; 8]) -> Option<[u16; 16]> {
    let mut all = [0; 16];
    all[..8].copy_from_slice(&a);
    all[8..].copy_from_slice(&b);
    // Zero behind all of them.
    all.sort_unstable_by_key(|value| value.wrapping_sub(1));
    let twice = all.windows(2).any(|pair| pair[0] == pair[1] && pair[0] != 0);
    (!twice).then_some(all)
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn unite_vectors(a: [u16; 8], b: [u16; 8]) -> Option<[u16; 16]> {
    use super::sorted::RANK;
    use std::arch::x86_64::{
        __m128i, _mm_add_epi16, _mm_and_si128, _mm_andnot_si128, _mm_cmpeq_epi16, _mm_max_epi16, _mm_min_epi16,
        _mm_movemask_epi8, _mm_or_si128, _mm_set1_epi16, _mm_set1_epi32, _mm_set1_epi64x, _mm_setzero_si128,
        _mm_shuffle_epi32, _mm_shufflehi_epi16, _mm_shufflelo_epi16, _mm_slli_si128, _mm_srli_si128, _mm_sub_epi16,
        _mm_unpacklo_epi64,
    };
    // SAFETY: SSE2 is part of x86-64. Eight lanes of 16 bits are the 16 bytes of an __m128i, two of which are sixteen lanes, and any
    // bytes are values of each.
    unsafe {
        let rank = _mm_set1_epi16(RANK);
        let a = _mm_add_epi16(std::mem::transmute::<[u16; 8], __m128i>(a), rank);
        let b = _mm_add_epi16(std::mem::transmute::<[u16; 8], __m128i>(b), rank);
        let descending = _mm_shuffle_epi32::<0x4e>(_mm_shufflehi_epi16::<0x1b>(_mm_shufflelo_epi16::<0x1b>(b)));
        // `smaller` where `lanes` has ones, else `larger`.
        let either =
            |lanes, smaller, larger| _mm_or_si128(_mm_and_si128(lanes, smaller), _mm_andnot_si128(lanes, larger));
        let sort = |half: __m128i| {
            let other = _mm_shuffle_epi32::<0x4e>(half);
            let half = _mm_unpacklo_epi64(_mm_min_epi16(half, other), _mm_max_epi16(half, other));
            let other = _mm_shuffle_epi32::<0xb1>(half);
            let first_of_four = _mm_set1_epi64x(0xffff_ffff);
            let half = either(first_of_four, _mm_min_epi16(half, other), _mm_max_epi16(half, other));
            let other = _mm_shufflehi_epi16::<0xb1>(_mm_shufflelo_epi16::<0xb1>(half));
            let first_of_two = _mm_set1_epi32(0xffff);
            let half = either(first_of_two, _mm_min_epi16(half, other), _mm_max_epi16(half, other));
            _mm_sub_epi16(half, rank)
        };
        let low = sort(_mm_min_epi16(a, descending));
        let high = sort(_mm_max_epi16(a, descending));
        // Whether a lane and the next one are the same value. What comes behind the last is zero.
        let next_to_low = _mm_or_si128(_mm_srli_si128::<2>(low), _mm_slli_si128::<14>(high));
        let same =
            |lanes, next| _mm_andnot_si128(_mm_cmpeq_epi16(lanes, _mm_setzero_si128()), _mm_cmpeq_epi16(lanes, next));
        let twice = _mm_or_si128(same(low, next_to_low), same(high, _mm_srli_si128::<2>(high)));
        if _mm_movemask_epi8(twice) != 0 {
            return None;
        }
        Some(std::mem::transmute::<[__m128i; 2], [u16; 16]>([low, high]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Up to eight values of a small range, so that two of such often have one in common, or of all.
    fn lanes() -> impl Strategy<Value = [u16; 8]> {
        let values = prop_oneof![
            prop::collection::btree_set(0x8000..0x8018u16, 0..=8),
            prop::collection::btree_set(0x8000..=u16::MAX, 0..=8),
            prop::collection::btree_set(prop_oneof![Just(0x8000), 0xfff8..=u16::MAX], 0..=8),
        ];
        values.prop_map(|values| {
            let mut lanes = [0; 8];
            lanes.iter_mut().zip(values).for_each(|(lane, value)| *lane = value);
            lanes
        })
    }

    proptest! {
        #[test]
        fn is_the_sorted_union(a in lanes(), b in lanes()) {
            let mut expected: Vec<u16> = a.into_iter().chain(b).filter(|&value| value != 0).collect();
            expected.sort();
            let len = expected.len();
            expected.dedup();
            let is_disjoint = expected.len() == len;
            expected.resize(16, 0);
            let expected = is_disjoint.then_some(expected);
            prop_assert_eq!(unite_disjoint(a, b).map(Vec::from), expected.clone());
            prop_assert_eq!(unite_portable(a, b).map(Vec::from), expected);
        }
    }
}
