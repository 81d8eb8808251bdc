// SPDX-License-Identifier: GPL-2.0-or-later
//! Up to eight places in two words: a queue that needs no index, so that taking its first place needs no branch.

use super::place::Place;
use std::array::from_fn;

/// The most places that a queue holds.
pub(super) const ROOM: usize = 8;

/// Lanes of 16 bits, the first place in the lowest lane of the first word. No place is zero, so shifting the lanes drops the first
/// place and brings in none behind the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub(super) struct Queue([u64; 2]);

/// Four places, or fewer and then none, as a word of lanes.
#[inline(always)]
fn lanes(places: [Place; 4]) -> u64 {
    places.iter().rev().fold(0, |lanes, place| lanes << 16 | u64::from(place.raw()))
}

impl Queue {
    pub(super) const EMPTY: Queue = Queue([0; 2]);

    /// The first [`ROOM`] of `places`, or fewer if there are fewer.
    #[inline]
    pub(super) fn of(places: &[Place]) -> Queue {
        Queue::of_eight(from_fn(|i| places.get(i).copied().unwrap_or(Place::NONE)))
    }

    /// The same for eight places, or fewer and then none. If the first four are none it is empty, whatever follows.
    #[inline(always)]
    pub(super) fn of_eight(places: [Place; ROOM]) -> Queue {
        let [a, b, c, d, e, f, g, h] = places;
        Queue([lanes([a, b, c, d]), lanes([e, f, g, h])])
    }

    #[inline(always)]
    pub(super) fn is_empty(self) -> bool {
        self.0[0] == 0
    }

    /// The first place.
    #[inline(always)]
    pub(super) fn first(self) -> Place {
        Place::from_raw(self.0[0] as u16)
    }

    /// What is left without the first place.
    #[inline(always)]
    pub(super) fn without_first(self) -> Queue {
        let [low, high] = self.0;
        Queue([low >> 16 | high << 48, high >> 16])
    }

    /// `self` if `mask` is all ones, or an empty queue if it is none.
    #[inline(always)]
    pub(super) fn only_if(self, mask: u64) -> Queue {
        Queue(self.0.map(|lanes| lanes & mask))
    }

    /// `self` or `other`, one of which is empty.
    #[inline(always)]
    pub(super) fn or(self, other: Queue) -> Queue {
        Queue([self.0[0] | other.0[0], self.0[1] | other.0[1]])
    }

    /// The places, in order.
    pub(super) fn places(self) -> impl Iterator<Item = Place> {
        let lanes = (0..ROOM).map(move |i| Place::from_raw((self.0[i / 4] >> (16 * (i % 4))) as u16));
        lanes.take_while(|&place| place != Place::NONE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hbitmap::words::mask_if;

    #[test]
    fn is_a_queue() {
        for bits in [&[][..], &[0], &[7, 32767], &[0, 1, 2, 3], &[0, 1, 2, 3, 4], &[9; 7], &[5; 8], &[6; 9]] {
            let places: Vec<Place> = bits.iter().copied().map(Place::of).collect();
            let mut queue = Queue::of(&places);
            assert!(queue.places().eq(places.iter().copied().take(ROOM)));
            let mut eight = [Place::NONE; ROOM];
            if places.len() <= ROOM {
                eight[..places.len()].copy_from_slice(&places);
                assert_eq!(Queue::of_eight(eight), queue);
            }
            for &place in places.iter().take(ROOM) {
                assert!(!queue.is_empty());
                assert_eq!(queue.first(), place);
                queue = queue.without_first();
            }
            assert!(queue.is_empty());
            assert_eq!(queue, Queue::EMPTY);
        }
    }

    #[test]
    fn is_chosen_by_a_mask() {
        let queue = Queue::of(&[1, 2, 3, 4, 5].map(Place::of));
        assert_eq!(queue.only_if(mask_if(true)), queue);
        assert_eq!(queue.only_if(mask_if(false)), Queue::EMPTY);
        assert_eq!(queue.or(Queue::EMPTY), queue);
        assert_eq!(Queue::EMPTY.or(queue), queue);
    }
}
