// SPDX-License-Identifier: GPL-2.0-or-later
//! Where in its chunk a bit is.

use super::chunks::CHUNK_BITS;
use super::words::{insert_sorted, remove_sorted};

/// The number of a bit in its chunk, or none. In memory the top bit of 16 says that there is one, so zeroes are no places; places order
/// and compare as the numbers do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(transparent)]
pub(super) struct Place(u16);

const SOME: u16 = 1 << 15;
const _: () = assert!(CHUNK_BITS == SOME as u64);

impl Place {
    /// No place.
    pub(super) const NONE: Place = Place(0);

    /// The place of a bit, numbered through the chunk or through the whole bitmap.
    #[inline(always)]
    pub(super) fn of(bit: u64) -> Place {
        Place(bit as u16 | SOME)
    }

    /// The number of the bit in the chunk.
    #[inline(always)]
    pub(super) fn bit(self) -> u64 {
        u64::from(self.0 & !SOME)
    }

    /// The number of its leaf word in the chunk.
    #[inline(always)]
    pub(super) fn word(self) -> usize {
        usize::from((self.0 & !SOME) / 64)
    }

    /// That word with the bit alone.
    #[inline(always)]
    pub(super) fn in_word(self) -> u64 {
        1 << (self.0 % 64)
    }

    /// The place as it is in memory; 0 if there is none.
    #[inline(always)]
    pub(super) fn raw(self) -> u16 {
        self.0
    }

    /// What is in memory as a place. Without the top bit it is none, whatever else it says.
    #[inline(always)]
    pub(super) fn from_raw(raw: u16) -> Place {
        Place(raw)
    }

    /// Puts `self` in its place among `places`: ascending, and then none, of which there is at least one. Returns whether it was not there
    /// yet; else nothing changes. `N` is a multiple of eight.
    #[inline(always)]
    pub(super) fn insert_into<const N: usize>(self, places: &mut [Place; N]) -> bool {
        insert_sorted(lanes_of(places), self.0)
    }

    /// Takes `self` out of `places`: ascending, and then none, if any. Returns whether it was there; else nothing changes. `N` is a multiple
    /// of eight.
    #[inline(always)]
    pub(super) fn remove_from<const N: usize>(self, places: &mut [Place; N]) -> bool {
        remove_sorted(lanes_of(places), self.0)
    }

    /// The first from `self` on of `places`, which may have [`Place::NONE`] among them, in any order. Free of branches but for the
    /// question whether there is one.
    #[inline(always)]
    pub(super) fn or_next(self, places: &[Place; 8]) -> Option<Place> {
        // What lies before wraps around and is farther than all that lies behind; none is farther than the last place.
        let distance = places.iter().fold(u16::MAX, |least, place| least.min(place.0.wrapping_sub(self.0)));
        let next = Place(self.0.wrapping_add(distance));
        (next >= self).then_some(next)
    }
}

/// Places as they are in memory.
#[inline(always)]
fn lanes_of<const N: usize>(places: &mut [Place; N]) -> &mut [u16; N] {
    let places: *mut [Place; N] = places;
    // SAFETY: a `Place` is a `u16`, any of which is one, so an array of them is one of those; it is borrowed as long as `places` was.
    unsafe { &mut *places.cast() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_its_bit() {
        for bit in [0, 1, 63, 64, 32767, 32768 + 5] {
            let place = Place::of(bit);
            assert_eq!(place.bit(), bit % CHUNK_BITS);
            assert_eq!((place.word() as u64, place.in_word()), (place.bit() / 64, 1 << (bit % 64)));
            assert_eq!(Place::from_raw(place.raw()), place);
            assert!(place > Place::NONE);
        }
        assert!(Place::of(3) < Place::of(4));
    }

    #[test]
    fn finds_the_next_one() {
        let ends = [0, 1, 2, 63, 64, 1000, 20000, 32766, 32767];
        for have in 0..1 << ends.len() {
            let places: Vec<Place> =
                (0..ends.len()).filter(|i| have >> i & 1 != 0).map(|i| Place::of(ends[i])).collect();
            let mut lanes = [Place::NONE; 8];
            if places.len() > lanes.len() {
                continue;
            }
            lanes[..places.len()].copy_from_slice(&places);
            for from in ends.map(Place::of) {
                assert_eq!(from.or_next(&lanes), places.iter().copied().find(|&place| place >= from));
            }
        }
    }
}
