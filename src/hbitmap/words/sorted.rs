// SPDX-License-Identifier: GPL-2.0-or-later
//! Putting a value among sorted ones, and taking it out, without a branch on where its place is.
//!
//! Where bits are scattered no processor could foresee that. So nothing is searched. To put it in, each lane becomes what it was if that is
//! less than the value, and else the larger of the value and the lane before; to take it out, what it was if that is less, and else the
//! lane behind.

use super::find::any_is;
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{
    __m128i, _mm_add_epi16, _mm_and_si128, _mm_andnot_si128, _mm_cmpgt_epi16, _mm_insert_epi16, _mm_loadu_si128,
    _mm_max_epi16, _mm_min_epi16, _mm_or_si128, _mm_set1_epi16, _mm_slli_si128, _mm_srli_si128, _mm_storeu_si128,
    _mm_sub_epi16,
};

/// Puts `value`, which is not 0, in its place among `lanes`: ascending from the first one, and then zeroes, of which there is at least
/// one. Returns whether it was not there yet; else nothing changes. `N` is a multiple of eight.
#[inline(always)]
pub(crate) fn insert_sorted<const N: usize>(lanes: &mut [u16; N], value: u16) -> bool {
    debug_assert!(value != 0 && lanes[N - 1] == 0);
    if any_is(lanes.iter().copied(), value) {
        return false;
    }
    #[cfg(target_arch = "x86_64")]
    insert_by_eight(lanes, value);
    #[cfg(not(target_arch = "x86_64"))]
    insert_portable(lanes, value);
    true
}

/// Takes `value`, which is not 0, out of `lanes`: ascending from the first one, and then zeroes, if any. Returns whether it was there; else
/// nothing changes. `N` is a multiple of eight.
#[inline(always)]
pub(crate) fn remove_sorted<const N: usize>(lanes: &mut [u16; N], value: u16) -> bool {
    debug_assert!(value != 0);
    if !any_is(lanes.iter().copied(), value) {
        return false;
    }
    #[cfg(target_arch = "x86_64")]
    remove_by_eight(lanes, value);
    #[cfg(not(target_arch = "x86_64"))]
    remove_portable(lanes, value);
    true
}

/// What is added to a value so that, as a signed number, it orders as those do, with zero behind all of them (those have the top bit).
/// Signed, because such vectors are compared by one instruction.
pub(super) const RANK: i16 = i16::MAX;

#[cfg(any(test, not(target_arch = "x86_64")))]
fn insert_portable<const N: usize>(lanes: &mut [u16; N], value: u16) {
    let rank = |lane: u16| (lane as i16).wrapping_add(RANK);
    for i in (0..N).rev() {
        let before = if i == 0 { rank(value) } else { rank(lanes[i - 1]).max(rank(value)) };
        lanes[i] = rank(lanes[i]).min(before).wrapping_sub(RANK) as u16;
    }
}

#[cfg(any(test, not(target_arch = "x86_64")))]
fn remove_portable<const N: usize>(lanes: &mut [u16; N], value: u16) {
    let rank = |lane: u16| (lane as i16).wrapping_add(RANK);
    for i in 0..N {
        let behind = lanes.get(i + 1).copied().unwrap_or(0);
        lanes[i] = if rank(lanes[i]) < rank(value) { lanes[i] } else { behind };
    }
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn insert_by_eight<const N: usize>(lanes: &mut [u16; N], value: u16) {
    const { assert!(N % 8 == 0) };
    let first: *mut u16 = lanes.as_mut_ptr();
    // SAFETY: SSE2 is part of x86-64. Eight lanes are loaded or stored from `at` on, which is at most `N - 8`, or loaded from the lane before
    // that, where there is one: they lie within `lanes`, which this function has to itself.
    unsafe {
        let load = |at: usize| -> __m128i { _mm_loadu_si128(first.add(at).cast()) };
        let to_rank = _mm_set1_epi16(RANK);
        let rank = |lanes: __m128i| _mm_add_epi16(lanes, to_rank);
        let own = rank(_mm_set1_epi16(value as i16));
        // The last lanes first, so that the lanes before are still what they were.
        for at in (8..N).step_by(8).rev() {
            let before = _mm_max_epi16(rank(load(at - 1)), own);
            let moved = _mm_min_epi16(rank(load(at)), before);
            _mm_storeu_si128(first.add(at).cast(), _mm_sub_epi16(moved, to_rank));
        }
        let here = rank(load(0));
        let before = _mm_max_epi16(_mm_slli_si128::<2>(here), own);
        // There is no lane before the first one.
        let before = _mm_insert_epi16::<0>(before, i32::from((value as i16).wrapping_add(RANK)));
        let moved = _mm_min_epi16(here, before);
        _mm_storeu_si128(first.cast(), _mm_sub_epi16(moved, to_rank));
    }
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn remove_by_eight<const N: usize>(lanes: &mut [u16; N], value: u16) {
    const { assert!(N % 8 == 0) };
    let first: *mut u16 = lanes.as_mut_ptr();
    // SAFETY: SSE2 is part of x86-64. Eight lanes are loaded or stored from `at` on, which is at most `N - 8`, or loaded from the lane behind
    // that, where there are more: they lie within `lanes`, which this function has to itself.
    unsafe {
        let load = |at: usize| -> __m128i { _mm_loadu_si128(first.add(at).cast()) };
        let to_rank = _mm_set1_epi16(RANK);
        let own = _mm_add_epi16(_mm_set1_epi16(value as i16), to_rank);
        // The first lanes first, so that the lanes behind are still what they were.
        for at in (0..N).step_by(8) {
            let here = load(at);
            let behind = if at + 8 < N { load(at + 1) } else { _mm_srli_si128::<2>(here) };
            let stays = _mm_cmpgt_epi16(own, _mm_add_epi16(here, to_rank));
            let moved = _mm_or_si128(_mm_and_si128(stays, here), _mm_andnot_si128(stays, behind));
            _mm_storeu_si128(first.add(at).cast(), moved);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOP: u16 = 0x8000;

    fn check<const N: usize>(gap: u16) {
        for len in 0..=N {
            let values: Vec<u16> = (0..len).map(|i| u16::MAX - (len - 1 - i) as u16 * gap).collect();
            let mut lanes = [0; N];
            lanes[..len].copy_from_slice(&values);
            for new in values.iter().flat_map(|&value| [value - 1, value]).chain([0, 1, u16::MAX]).map(|new| new | TOP)
            {
                let is_there = values.contains(&new);
                let mut with: Vec<u16> = values.iter().copied().filter(|&value| value != new).collect();
                let mut without = with.clone();
                with.push(new);
                with.sort();
                with.resize(N, 0);
                without.resize(N, 0);
                if len < N {
                    let (mut inserted, mut portable) = (lanes, lanes);
                    assert_eq!((insert_sorted(&mut inserted, new), &inserted[..]), (!is_there, &with[..]), "{new}");
                    if !is_there {
                        insert_portable(&mut portable, new);
                        assert_eq!(&portable[..], &with[..], "{new}");
                    }
                }
                let (mut removed, mut portable) = (lanes, lanes);
                assert_eq!((remove_sorted(&mut removed, new), &removed[..]), (is_there, &without[..]), "{new}");
                if is_there {
                    remove_portable(&mut portable, new);
                    assert_eq!(&portable[..], &without[..], "{new}");
                }
            }
        }
    }

    #[test]
    fn keeps_order() {
        check::<8>(1);
        check::<8>(4096);
        check::<32>(1000);
        check::<64>(512);
    }
}
