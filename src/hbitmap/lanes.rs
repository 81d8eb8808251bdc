// SPDX-License-Identifier: GPL-2.0-or-later
//! Up to four places in a chunk in one word: a queue that needs no index.
//!
//! Each lane of 16 bits has the complement of a place, the first place in the lowest lane. A place has 15 bits, so a lane of zero is
//! none, and shifting the word drops the first place and brings in none behind the last.

/// Places in a word of lanes.
pub(crate) const EACH: usize = 4;

/// The first place of `lanes`, which has one.
#[inline(always)]
pub(crate) fn first(lanes: u64) -> u16 {
    !(lanes as u16)
}

/// `lanes` without its first place.
#[inline(always)]
pub(crate) fn without_first(lanes: u64) -> u64 {
    lanes >> 16
}

/// The places of `lanes`, in order.
pub(crate) fn places(lanes: u64) -> impl Iterator<Item = u16> {
    (0..EACH).map(move |i| (lanes >> (16 * i)) as u16).filter(|&lane| lane != 0).map(|lane| !lane)
}

/// A word of the first [`EACH`] of `places`, or fewer if there are fewer.
#[inline]
pub(crate) fn of(places: &[u16]) -> u64 {
    places.iter().take(EACH).rev().fold(0, |lanes, &place| lanes << 16 | u64::from(!place))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn are_a_queue() {
        for places_in in [&[][..], &[0], &[7, 32767], &[0, 1, 2, 3], &[0, 1, 2, 3, 4]] {
            let mut lanes = of(places_in);
            assert!(places(lanes).eq(places_in.iter().copied().take(EACH)));
            for &place in places_in.iter().take(EACH) {
                assert_ne!(lanes, 0);
                assert_eq!(first(lanes), place);
                lanes = without_first(lanes);
            }
            assert_eq!(lanes, 0);
        }
    }
}
